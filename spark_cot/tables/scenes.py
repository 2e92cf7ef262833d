"""The scene index: one row per ingested scene."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final, Self

from spark_cot.grid import Grid

#: Fields that JSON keeps as text.
_TIMES: Final = ("sensing_time", "datatake_start", "generation_time", "ingested_at")


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """What is known of a scene; units are those of the columns of ``schema.SCENES``."""

    scene_id: str
    product: str
    source: str
    sources: list[str]
    datastrips: list[str]
    fingerprint: str
    satellite: str
    tile: str
    sensing_time: datetime
    datatake: str
    datatake_start: datetime
    generation_time: datetime | None
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

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """A record from a row of the table as a dictionary; other columns are left out.

        Rows of earlier versions know of one product, and of the datatake's start alone.
        """
        known = {
            "sources": [row["source"]],
            "datastrips": [],
            "datatake": "",
            "datatake_start": row["sensing_time"],
            "generation_time": None,
            **row,
        }
        return cls(**{field.name: known[field.name] for field in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """As JSON values: times as text, null for a cloud cover that is not known."""
        values = asdict(self)
        values |= {n: moment.isoformat() for n in _TIMES if (moment := values[n]) is not None}
        if math.isnan(self.metadata_cloud_cover):
            values["metadata_cloud_cover"] = None
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The record of `to_json`; fields of newer versions are left out."""
        times = {n: datetime.fromisoformat(text) for n in _TIMES if (text := values.get(n))}
        cover = values["metadata_cloud_cover"]
        known = {"metadata_cloud_cover": math.nan if cover is None else cover}
        return cls.from_row({**values, **times, **known})
