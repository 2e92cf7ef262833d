"""The scene index is one GeoParquet file whose rows are STAC items, read by its path alone."""

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import geopandas
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely

from spark_cot.products.rasters import RASTERS
from spark_cot.tables.scene_index import SceneRow, index_table
from spark_cot.tables.schema import ASSETS, SCENES
from spark_cot.tables.workspace import Workspace

from .test_workspace import RECORD

WEST = "POLYGON ((1.5 43.2, 1.6 44.2, 0.2 44.3, 0.1 43.3, 1.5 43.2))"
ACROSS = (
    "MULTIPOLYGON (((179 -18, 180 -18, 180 -17, 179 -18)), "
    "((-180 -18, -179 -17, -180 -17, -180 -18)))"
)
COVER = {"clear": 70.0, "thin": 20.0, "thick": 10.0, "outside": 1.5}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Of a scene with a product, and of one without across the antimeridian."""
    item = "../products/tile=31TCJ/date=2024-03-05/S2B/item.json"
    files = frozenset({"item.json", "cot.tif", "quicklook.png"})
    other = replace(RECORD, scene_id="S2A_T01KAB_20240305T104819", footprint=ACROSS)
    workspace = Workspace.create(tmp_path, 20)
    rows = [SceneRow(replace(RECORD, footprint=WEST), item, files, COVER), SceneRow(other)]
    workspace.write_index(index_table(rows), "log:1")
    return workspace.index


def test_geopandas_reads_footprints_in_longitude_and_latitude(index: Path) -> None:
    frame = geopandas.read_parquet(index)
    assert frame.crs == "OGC:CRS84"
    assert [shape.wkt for shape in frame.geometry] == [
        shapely.from_wkt(ACROSS).wkt,
        shapely.from_wkt(WEST).wkt,
    ]
    found = geopandas.read_parquet(index, bbox=(1.0, 43.5, 1.1, 43.6))
    assert found["scene_id"].tolist() == [RECORD.scene_id]


def test_duckdb_and_pandas_read_it_by_its_path(index: Path) -> None:
    with duckdb.connect() as connection:
        rows = connection.sql(
            f"""SELECT id, "eo:cloud_cover", bbox.xmin, assets.cot.href, links[1].href
            FROM '{index}' WHERE clear_cover > 50"""
        ).fetchall()
    folder = "../products/tile=31TCJ/date=2024-03-05/S2B"
    cot, item = f"{folder}/cot.tif", f"{folder}/item.json"
    assert rows == [(RECORD.scene_id, 30.0, 0.1, cot, item)]
    frame = pd.read_parquet(index)
    assert frame["thick_cover"].tolist()[1] == 10.0
    assert frame["thick_cover"].isna().tolist() == [True, False]
    assert frame["assets"][1]["cot_std"] is None


def test_spark_reads_it_by_its_path(index: Path, spark) -> None:
    frame = spark.read.parquet(str(index.parent))
    assert frame.columns == SCENES.arrow.names
    (row,) = frame.where("clear_cover > 50").select("assets.cot.href", "datetime").collect()
    assert row.href.endswith("cot.tif")


def test_the_geometry_says_what_it_is(index: Path) -> None:
    geo = json.loads(pq.read_schema(index).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"][geo["primary_column"]]["encoding"] == "WKB"


def test_assets_are_the_files_of_a_product() -> None:
    files = {f"{name}.{suffix}" for name, (suffix, _) in ASSETS.items()}
    assert files == {raster.filename for raster in RASTERS} | {"quicklook.png"}
