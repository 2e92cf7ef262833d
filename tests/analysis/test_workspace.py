"""What a workspace says of itself, and which rows it gives in Arrow, pandas and Spark."""

import datetime as dt
import shutil
from dataclasses import fields
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spark_cot
from spark_cot.analysis.rows import SceneRows
from spark_cot.analysis.workspace import WorkspaceReader
from spark_cot.errors import SetupError, SparkCotError, TableError, WorkspaceError
from spark_cot.storage import find, publish
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT, MASKED, PIXELS, SCENES
from spark_cot.tables.workspace import Workspace

FIRST = "S2A_T31TCJ_20240305T104819"
OTHER_TILE = "S2B_T31TDJ_20240310T104819"
LAST = "S2C_T31TCJ_20240315T104819"


def query(sql: str) -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(sql).to_arrow_table()


def by_duckdb(folder: Path, table: str, where: str) -> pd.DataFrame:
    """Rows of a table as DuckDB reads them, in their order."""
    files = f"'{folder}/{table}/**/*.parquet'"
    options = "hive_partitioning = true, filename = true, file_row_number = true"
    sql = f"""SELECT * EXCLUDE (tile, date), tile, date
        FROM read_parquet({files}, {options}) WHERE {where}
        ORDER BY tile, date, filename, file_row_number"""
    return query(sql).to_pandas().drop(columns=["filename", "file_row_number"])


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Same columns in the same order with the same values."""
    assert list(found) == list(expected)
    assert len(found) == len(expected) > 0
    for name in found:
        left, right = found[name], expected[name]
        if name == "date":
            left, right = pd.to_datetime(left), pd.to_datetime(right)
        assert np.array_equal(left.to_numpy(), right.to_numpy()), name


def test_it_says_what_is_there(workspace: WorkspaceReader, folder: Path) -> None:
    assert workspace.resolution == 20
    assert workspace.tiles == ["31TCJ", "31TDJ"]
    assert workspace.dates == ["2024-03-05", "2024-03-10", "2024-03-15"]
    assert workspace.dates_of("t31tcj") == ["2024-03-05", "2024-03-15"]
    assert workspace.dates_of("32TCJ") == []
    text = repr(workspace)
    for fact in (folder, "20 m", "3 scenes", "31TCJ, 31TDJ", "2024-03-05 to 2024-03-15"):
        assert str(fact) in text


def test_the_scenes_are_the_index(workspace: WorkspaceReader, folder: Path) -> None:
    assert workspace.scenes.schema.equals(SCENES.arrow)
    assert workspace.scenes.column("eo:cloud_cover").null_count == 0
    assert workspace.scenes.column("scene_id").to_pylist() == [FIRST, LAST, OTHER_TILE]
    stored = query(f"SELECT * FROM '{folder}/scenes/*.parquet' ORDER BY tile, sensing_time")
    names = [field.name for field in fields(SceneRecord) if field.name != "offsets"]
    expected = stored.to_pandas()[names]
    assert workspace.scenes.to_pandas()[names].astype(str).equals(expected.astype(str))


@pytest.mark.parametrize("table", [PIXELS, COT, MASKED], ids=lambda table: table.name)
def test_all_rows_are_those_of_the_files(table, workspace, folder: Path) -> None:
    rows: SceneRows = getattr(workspace, table.name)()
    arrow = rows.arrow()
    assert arrow.schema.names == [*table.arrow.names, "tile", "date"]
    assert arrow.select(table.arrow.names).schema.equals(table.arrow, check_metadata=True)
    assert arrow.schema.field("tile").type == pa.string()
    assert arrow.schema.field("date").type == pa.date32()
    assert len(rows) == arrow.num_rows
    expected = by_duckdb(folder, table.name, "true")
    assert_same(arrow.to_pandas(), expected)
    assert_same(rows.pandas(), expected)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"tile": "31TDJ"}, "tile = '31TDJ'"),
        ({"tile": ["t31TCJ", "31TDJ"], "date": "2024-03-06:"}, "date > '2024-03-05'"),
        ({"date": "2024-03-05"}, "date = '2024-03-05'"),
        ({"date": dt.date(2024, 3, 5)}, "date = '2024-03-05'"),
        ({"date": pd.Timestamp("2024-03-15 10:48")}, "date = '2024-03-15'"),
        ({"date": ":2024-03-10"}, "date <= '2024-03-10'"),
        ({"date": "2024-03-06:2024-03-15", "tile": "31TCJ"}, "date = '2024-03-15'"),
        ({"scene": FIRST}, f"scene_id = '{FIRST}'"),
        ({"scene": [FIRST, OTHER_TILE]}, f"scene_id IN ('{FIRST}', '{OTHER_TILE}')"),
    ],
    ids=str,
)
def test_a_selection_has_the_rows_that_sql_selects(
    arguments: dict, where: str, workspace: WorkspaceReader, folder: Path
) -> None:
    assert_same(workspace.cot(**arguments).pandas(), by_duckdb(folder, "cot", where))


def test_columns_come_in_the_order_asked_for(workspace: WorkspaceReader, folder: Path) -> None:
    names = ["date", "B8A", "row", "tile"]
    rows = workspace.pixels(scene=FIRST, columns=names)
    assert_same(rows.pandas(), by_duckdb(folder, "pixels", f"scene_id = '{FIRST}'")[names])
    assert workspace.cot(columns="cot").arrow().column_names == ["cot"]
    folders = workspace.cot(scene=FIRST, columns=["tile", "date"]).arrow()
    assert folders.num_rows == len(rows)
    assert folders.to_pylist()[0] == {"tile": "31TCJ", "date": dt.date(2024, 3, 5)}


def test_no_more_columns_are_read_than_asked_for(workspace, monkeypatch) -> None:
    asked = []
    read = pq.ParquetFile.read_row_group

    def spy(self, i, columns=None, **options):
        asked.append(columns)
        return read(self, i, columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    workspace.pixels(scene=FIRST, columns=["B04", "tile"]).arrow()
    assert asked == [["B04"]]


def test_dates_in_pandas_are_timestamps(workspace: WorkspaceReader) -> None:
    frame = workspace.cot(columns=["cot", "date"]).pandas()
    assert pd.api.types.is_datetime64_any_dtype(frame["date"])
    assert frame["cot"].dtype == np.float32
    means = frame.groupby("date")["cot"].mean()
    assert list(means.index.strftime("%Y-%m-%d")) == workspace.dates


def test_nothing_is_read_before_it_is_asked_for(workspace, monkeypatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("a table file was opened")

    monkeypatch.setattr(pq, "ParquetFile", read)
    rows = workspace.pixels(tile="31TCJ")
    assert [path.stem for path in rows.files] == [FIRST, LAST]
    assert rows.tiles == ["31TCJ"]
    assert rows.dates == ["2024-03-05", "2024-03-15"]
    for fact in ("pixels", "2 scenes", "31TCJ", "2024-03-05 to 2024-03-15", "B8A"):
        assert fact in repr(rows)
    with pytest.raises(AssertionError, match="opened"):
        len(rows)


@pytest.fixture
def finely(folder: Path, tmp_path: Path) -> WorkspaceReader:
    """A copy of the workspace with row groups of about ten rows of pixels."""
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    for file in find(own / "cot", "*.parquet"):
        pq.write_table(pq.read_table(file, partitioning=None), file, row_group_size=960)
    return spark_cot.open_workspace(own)


def bounds_of(workspace: WorkspaceReader, rows: slice, cols: slice) -> tuple[float, ...]:
    """Bounds of a rectangle of pixels of the first scene."""
    grid = workspace.cot(scene=FIRST).grid
    left, top = grid.left, grid.top
    return (
        left + 20 * cols.start,
        top - 20 * rows.stop,
        left + 20 * cols.stop,
        top - 20 * rows.start,
    )


def test_bounds_read_the_row_groups_alone_that_hold_them(finely, folder, monkeypatch) -> None:
    read, count = pq.ParquetFile.read_row_group, []

    def spy(*arguments, **options):
        count.append(arguments)
        return read(*arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    bounds = bounds_of(finely, slice(40, 45), slice(20, 50))
    rows = finely.cot(scene=FIRST, bounds=bounds)
    where = f"scene_id = '{FIRST}' AND row BETWEEN 40 AND 44 AND col BETWEEN 20 AND 49"
    assert_same(rows.pandas(), by_duckdb(folder, "cot", where))
    groups = pq.ParquetFile(rows.files[0]).num_row_groups
    assert 0 < len(count) <= 2 < groups
    assert len(rows) == 5 * 30
    whole = finely.cot(scene=FIRST)
    assert sum(1 for _ in whole.batches()) == groups


def test_bounds_take_pixels_whose_centre_they_hold(workspace: WorkspaceReader) -> None:
    left, bottom, right, top = bounds_of(workspace, slice(50, 53), slice(60, 63))
    shrunk = (left + 9, bottom + 9, right - 9, top - 9)
    missed = (left + 11, bottom + 11, right - 11, top - 11)
    assert len(workspace.cot(scene=FIRST, bounds=shrunk)) == 9
    with pytest.raises(WorkspaceError, match="no pixel centre"):
        workspace.cot(scene=FIRST, bounds=(left + 1, bottom + 1, left + 2, bottom + 2))
    assert len(workspace.cot(scene=FIRST, bounds=missed)) == 1
    huge = (left - 1e6, bottom - 1e6, right + 1e6, top + 1e6)
    assert len(workspace.cot(scene=FIRST, bounds=huge)) == len(workspace.cot(scene=FIRST))


def as_spark_gives(rows: SceneRows, spark) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = ["scene_id", "row", "col"]
    frames = rows.spark(spark).toPandas(), rows.arrow().to_pandas()
    return tuple(f.sort_values(order, ignore_index=True) for f in frames)


@pytest.mark.parametrize("table", [PIXELS, COT, MASKED], ids=lambda table: table.name)
def test_spark_has_the_rows_of_arrow(table, workspace: WorkspaceReader, spark) -> None:
    rows: SceneRows = getattr(workspace, table.name)(tile="31TCJ")
    frame = rows.spark(spark)
    expected = [f"{f.name}:{f.dataType.simpleString()}" for f in table.spark.fields]
    found = [f"{f.name}:{f.dataType.simpleString()}" for f in frame.schema.fields]
    assert found == [*expected, "tile:string", "date:date"]
    assert_same(*as_spark_gives(rows, spark))


def test_spark_has_columns_bounds_and_a_default_session(workspace, spark) -> None:
    bounds = bounds_of(workspace, slice(40, 45), slice(20, 50))
    rows = workspace.cot(tile="31TCJ", bounds=bounds, columns=["cot", "date"])
    frame = rows.spark()
    assert frame.sparkSession is spark
    assert frame.columns == ["cot", "date"]
    assert frame.count() == len(rows) == 2 * 5 * 30
    assert sorted(r.cot for r in frame.collect()) == sorted(rows.arrow().column("cot").to_pylist())


def test_an_object_store_gives_the_same_rows(bucket, folder: Path, workspace, spark) -> None:
    for file in find(folder):
        publish(file, bucket / "workspace" / file.relative_to(folder).as_posix())
    remote = spark_cot.open_workspace(f"{bucket}workspace")
    assert remote.scenes.equals(workspace.scenes)
    rows = remote.cot(tile="31TCJ", date="2024-03-06:")
    assert rows.arrow().equals(workspace.cot(scene=LAST).arrow())
    assert len(rows) == len(workspace.cot(scene=LAST))
    assert_same(*as_spark_gives(remote.cot(), spark))
    bounds = bounds_of(workspace, slice(40, 45), slice(20, 50))
    part = remote.cot(tile="31TCJ", bounds=bounds)
    assert_same(*as_spark_gives(part, spark))
    narrow = replace_columns(part, ("date", "cot")).spark(spark)
    assert narrow.columns == ["date", "cot"]
    assert narrow.count() == 300


def replace_columns(rows: SceneRows, columns: tuple[str, ...]) -> SceneRows:
    return SceneRows(rows.table, rows.workspace, rows.scenes, columns, rows.window)


def refusal(kind: type[SparkCotError], function, **arguments: object) -> str:
    with pytest.raises(kind) as caught:
        function(**arguments)
    return str(caught.value)


def test_an_empty_selection_says_what_was_asked_and_what_is_there(workspace, folder) -> None:
    text = refusal(WorkspaceError, workspace.cot, tile="32TQM", date="2023-01-01:")
    assert text.startswith(f"{folder}: no scene has tile 32TQM and date 2023-01-01:. It holds")
    assert "3 scenes of 31TCJ, 31TDJ, 2024-03-05 to 2024-03-15" in text
    assert "scene id S2X" in refusal(WorkspaceError, workspace.cot, scene="S2X")


def test_a_workspace_without_scenes_can_be_opened(tmp_path: Path) -> None:
    Workspace.create(tmp_path, 20)
    empty = spark_cot.open_workspace(tmp_path)
    assert (empty.tiles, empty.dates, empty.scenes.num_rows) == ([], [], 0)
    assert repr(empty).endswith("at 20 m: 0 scenes>")
    text = refusal(WorkspaceError, empty.cot)
    assert "no scene has been ingested yet. It holds 0 scenes; `spark-cot ingest` adds" in text


def test_long_lists_are_cut_short(workspace: WorkspaceReader) -> None:
    text = refusal(WorkspaceError, workspace.cot, tile=[f"{n}TQM" for n in range(40, 60)])
    assert "47TQM and 12 more" in text


def test_a_table_that_is_not_made_yet_says_what_makes_it(folder: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    shutil.rmtree(own / "masked")
    workspace = spark_cot.open_workspace(own)
    text = refusal(WorkspaceError, workspace.masked, tile="31TCJ")
    assert "none of the selected scenes, 2 scenes of 31TCJ, 2024-03-05 to" in text
    assert "is in the table masked" in text
    assert "spark-cot products --mask-above" in text
    shutil.rmtree(own / "cot" / "tile=31TCJ" / "date=2024-03-05")
    assert workspace.cot(tile="31TCJ").dates == ["2024-03-15"]


def test_wrong_arguments_are_refused_by_name(workspace: WorkspaceReader) -> None:
    text = refusal(SetupError, workspace.cot, date="March")
    assert text.startswith("date: 'March' is no date")
    text = refusal(TableError, workspace.cot, columns=["cot", "B04"])
    assert "table cot: has no columns ['B04']. There are scene_id, row" in text
    for argument in ("tile", "scene", "columns"):
        text = refusal(WorkspaceError, workspace.cot, **{argument: []})
        assert text == f"{argument}: is empty and selects nothing. Leave it out to have all"
    text = refusal(WorkspaceError, workspace.cot, bounds=(0, 0, 1, 1))
    assert "tiles 31TCJ, 31TDJ. Select one tile" in text


def test_no_workspace_and_a_damaged_file_are_told_apart(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is not a spark_cot workspace"):
        spark_cot.open_workspace(str(tmp_path))
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    rows = spark_cot.open_workspace(own).cot(scene=FIRST)
    rows.files[0].write_bytes(b"PAR1")
    for use in (rows.arrow, rows.pandas, rows.__len__):
        with pytest.raises(TableError, match=FIRST):
            use()
