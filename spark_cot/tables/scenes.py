"""The scene index: one row per ingested scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa

from spark_cot.grid import Grid
from spark_cot.tables.schema import SCENES


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """A row of the scene index; the columns and units are those of ``schema.SCENES``."""

    scene_id: str
    product: str
    source: str
    fingerprint: str
    satellite: str
    tile: str
    sensing_time: datetime
    baseline: str
    orbit: int
    crs: str
    left: float
    top: float
    resolution: int
    rows: int
    cols: int
    offsets: list[float]
    quantification: float
    metadata_cloud_cover: float
    valid_pixels: int
    footprint: str
    ingested_at: datetime
    ingested_by: str

    @property
    def grid(self) -> Grid:
        """The pixel grid that ``row`` and ``col`` of the tables refer to."""
        return Grid(self.crs, self.left, self.top, self.resolution, (self.rows, self.cols))

    @property
    def date(self) -> str:
        """Sensing date, ``YYYY-MM-DD`` (UTC)."""
        return self.sensing_time.date().isoformat()

    def to_table(self) -> pa.Table:
        """Arrow table of this one row."""
        return pa.Table.from_pylist([asdict(self)], schema=SCENES.arrow)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> SceneRecord:
        """A record from a row of the table as a dictionary."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})
