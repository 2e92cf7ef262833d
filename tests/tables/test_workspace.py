"""Layout, the marker and the scene index."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.errors import TableError, WorkspaceError
from spark_cot.msi import ANGLES, BAND_IDS
from spark_cot.simulate.schema import SYNTHETIC
from spark_cot.storage import replacing, write_text
from spark_cot.tables.scene_index import SceneRow, index_table
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT, PIXELS, SCENES, TABLES, schema_page
from spark_cot.tables.workspace import Workspace

RECORD = SceneRecord(
    scene_id="S2B_T31TCJ_20240305T104819",
    product="S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347",
    source="archive/x.SAFE",
    sources=["archive/x.SAFE"],
    datastrips=["20240305T105411/20240305T105408"],
    fingerprint="ab12",
    satellite="S2B",
    tile="31TCJ",
    sensing_time=datetime(2024, 3, 5, 10, 54, 11, tzinfo=UTC),
    datatake="GS2B_20240305T104819_036543_N05.10",
    datatake_start=datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC),
    generation_time=datetime(2024, 3, 5, 12, 53, 47, tzinfo=UTC),
    baseline="05.10",
    orbit=51,
    crs="EPSG:32631",
    left=300000.0,
    top=4900020.0,
    resolution=20,
    rows=5490,
    cols=5490,
    offsets=[-1000.0] * 13,
    quantification=10000.0,
    metadata_cloud_cover=63.96,
    valid_pixels=30140100,
    footprint="POLYGON ((0 0, 1 0, 1 1, 0 0))",
    ingested_at=datetime(2024, 3, 6, tzinfo=UTC),
    ingested_by="0.1.0",
)


def test_layout_is_hive_partitioned_by_tile_and_date(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, 20)
    path = workspace.pixels("31TCJ", "2024-03-05", "S")
    assert path.relative_to(tmp_path).as_posix() == "pixels/tile=31TCJ/date=2024-03-05/S.parquet"


def test_a_workspace_keeps_its_resolution(tmp_path: Path) -> None:
    Workspace.create(tmp_path, 20)
    assert Workspace.open(tmp_path).resolution == 20
    with pytest.raises(WorkspaceError, match="holds scenes at 20 m, not 10 m"):
        Workspace.create(tmp_path, 10)


def test_unknown_resolution_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="30 m is none of"):
        Workspace.create(tmp_path, 30)


def test_a_folder_without_marker_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="not a spark_cot workspace"):
        Workspace.open(tmp_path)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    Workspace.create(tmp_path, 20)
    marker = tmp_path / "_ledger" / "workspace.json"
    marker.write_text(json.dumps({"format_version": 99, "resolution": 20}))
    with pytest.raises(WorkspaceError, match="format version 99, expected 2"):
        Workspace.open(tmp_path)


def test_a_table_without_marker_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "pixels").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "pixels" / "x.parquet")
    with pytest.raises(WorkspaceError, match=r"holds pixels/x\.parquet but no workspace marker"):
        Workspace.create(tmp_path, 20)


def test_a_table_of_another_schema_is_named_with_both_sides(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, 20)
    path = workspace.pixels("31TCJ", "2024-03-05", "S")
    path.parent.mkdir(parents=True)
    foreign = PIXELS.arrow.empty_table().drop_columns(["B10"])
    foreign = foreign.append_column("B99", pa.array([], pa.int16()))
    foreign = foreign.set_column(1, "row", pa.array([], pa.int32()))
    pq.write_table(foreign, path)
    with pytest.raises(TableError) as caught:
        Workspace.open(tmp_path)
    for text in ("missing B10", "unexpected B99", "row is int32, expected int16", str(path)):
        assert text in str(caught.value)


def test_an_outdated_table_does_not_close_the_workspace(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, 20)
    path = workspace.cot("31TCJ", "2024-03-05", "S")
    path.parent.mkdir(parents=True)
    former = COT.arrow.empty_table().drop_columns(["p_thin", "p_thick", "outside"])
    for version in ("1", "3"):
        metadata = {**COT.arrow.metadata, b"spark_cot.schema_version": version.encode()}
        pq.write_table(former.replace_schema_metadata(metadata), path)
        if version == "1":
            Workspace.open(tmp_path)
            with pytest.raises(TableError, match=r"version 1, expected 2.*`spark-cot apply` again"):
                COT.check(pq.read_schema(path), str(path))
    with pytest.raises(TableError, match=r"version 3, expected 2.*the version of spark_cot"):
        Workspace.open(tmp_path)


def test_an_unwritable_folder_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        Workspace.create(tmp_path / "file" / "below", 20)


def test_the_scene_index_gives_back_its_records(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, 20)
    assert workspace.scenes() == []
    other = replace(RECORD, scene_id="S2A_T31TCJ_20240120T105341", metadata_cloud_cover=1.5)
    workspace.write_index(index_table([SceneRow(RECORD), SceneRow(other)]), "log:7")
    assert workspace.scenes() == [other, RECORD]
    assert workspace.index_mark() == "log:7"
    assert RECORD.grid.shape == (5490, 5490)
    assert RECORD.date == "2024-03-05"
    assert pq.read_schema(workspace.index).equals(SCENES.arrow)


@pytest.mark.parametrize("cover", [63.96, math.nan])
def test_a_record_is_the_same_after_json(cover: float) -> None:
    record = replace(RECORD, metadata_cloud_cover=cover)
    again = SceneRecord.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False)))
    assert repr(again) == repr(record)


def test_failed_replacement_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_schemas_keep_the_contract() -> None:
    assert PIXELS.arrow.names == ["scene_id", "row", "col", *BAND_IDS, *ANGLES]
    values = ["cot", "cot_std", "p_thin", "p_thick", "cloud_class", "outside"]
    assert COT.arrow.names == ["scene_id", "row", "col", *values]
    assert [COT.arrow.field(name).type for name in values[2:]] == [*[pa.int8()] * 3, pa.bool_()]
    assert COT.arrow.field("p_thin").metadata[b"nodata"] == b"-1"
    assert {PIXELS.arrow.field(band).type for band in BAND_IDS} == {pa.int16()}
    for table in TABLES:
        assert not any(pa.types.is_unsigned_integer(field.type) for field in table.arrow)
        assert table is SCENES or not any(field.nullable for field in table.arrow)
        assert [field.name for field in table.spark] == table.arrow.names


def test_the_schema_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "conf" / "SCHEMA.md"
    assert page.read_text(encoding="utf-8") == schema_page([*TABLES, SYNTHETIC]), (
        "run `make schema`"
    )
