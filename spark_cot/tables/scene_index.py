"""The scene index as one GeoParquet file, which tools read as a layer of footprints.

Columns as stac-geoparquet has them, so that a row is the STAC item of its scene, and ours. Formats:
GeoParquet 1.1.0; STAC GeoParquet specification 1.0.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from spark_cot.tables.footprints import box, well_known_binary
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import ASSETS, CORNERS, SCENES

#: As objects; a row is small in a table and large as a dictionary.
_ROWS_AT_ONCE: Final = 5_000

_STAC_VERSION: Final = "1.1.0"
_COLLECTION: Final = "cloud-optical-thickness"
#: Of ``eo:cloud_cover``.
_EO: Final = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"


@dataclass(frozen=True, slots=True)
class SceneRow:
    """A row of the index: a scene, and its product if it has one.

    Attributes
    ----------
    scene : SceneRecord
    item : str
        Path of the STAC item from the index's folder; empty without a product.
    files : frozenset[str]
        Names of the product's files.
    cover : mapping
        Percent by class, and ``outside``.
    """

    scene: SceneRecord
    item: str = ""
    files: frozenset[str] = frozenset()
    cover: Mapping[str, float] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """Values by column."""
        clear, thin, thick, outside = map(self.cover.get, ("clear", "thin", "thick", "outside"))
        links = [{"rel": "item", "href": self.item, "type": "application/geo+json"}]
        return asdict(self.scene) | {
            "type": "Feature",
            "stac_version": _STAC_VERSION,
            "stac_extensions": [_EO] if self.cover else [],
            "id": self.scene.scene_id,
            "collection": _COLLECTION,
            "geometry": well_known_binary(self.scene.footprint),
            "bbox": dict(zip(CORNERS, box(self.scene.footprint), strict=True)),
            "datetime": self.scene.sensing_time,
            "links": links if self.item else [],
            "assets": {name: self._asset(name, *form) for name, form in ASSETS.items()},
            "eo:cloud_cover": None if clear is None else round(100 - clear, 4),
            "clear_cover": clear,
            "thin_cover": thin,
            "thick_cover": thick,
            "outside_cover": outside,
        }

    def _asset(self, name: str, suffix: str, kind: str) -> dict[str, Any] | None:
        file = f"{name}.{suffix}"
        if file not in self.files:
            return None
        role = "thumbnail" if name == "quicklook" else "data"
        return {"href": f"{self.item.rpartition('/')[0]}/{file}", "type": kind, "roles": [role]}


def index_table(rows: Iterable[SceneRow]) -> pa.Table:
    """The index of these scenes, in their order."""
    values, tables = map(SceneRow.to_row, rows), [SCENES.arrow.empty_table()]
    while chunk := list(islice(values, _ROWS_AT_ONCE)):
        tables.append(pa.Table.from_pylist(chunk, SCENES.arrow))
    return pa.concat_tables(tables)


def geo_metadata() -> dict[bytes, bytes]:
    """The ``geo`` entry of the index as a GeoParquet file: longitude, latitude on WGS 84."""
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"],
        "edges": "planar",
        "covering": {"bbox": {corner: ["bbox", corner] for corner in CORNERS}},
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    return {b"geo": json.dumps(geo, sort_keys=True).encode()}
