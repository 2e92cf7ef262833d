"""Streaming: every row once, in an order that depends on the seed alone, and faults that say so."""

import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spark_cot.errors import SetupError, TableError
from spark_cot.learn import reader
from spark_cot.learn.petastorm_names import legacy_names
from spark_cot.learn.stream import Shard, Stream
from spark_cot.tables.rowgroups import ParquetTable, read_rows

with legacy_names():
    from petastorm.workers_pool.ventilator import ConcurrentVentilator

COLUMNS = ["B02", "B8A", "sun_zenith", "cot", "row"]
GROUP_ROWS = 97
BATCH = 64
WHOLE = Shard()


def table(rows: int, first: int = 0) -> pa.Table:
    """A pixel table joined with a label; ``row`` says which row it is, exactly in float32."""
    row = np.arange(first, first + rows)
    return pa.table(
        {
            "scene_id": pa.array([f"S2A_{number % 3}" for number in row]),
            "B02": pa.array((row % 30_000).astype(np.int16)),
            "B8A": pa.array(np.sin(row).astype(np.float64)),
            "sun_zenith": pa.array((row % 80).astype(np.float32)),
            "cot": pa.array(np.sqrt(row).astype(np.float32)),
            "cot_in_cloud": pa.array(np.full(rows, -1, np.float32)),
            "row": pa.array(row.astype(np.int32)),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2000 rows in two partitions, 11 row groups each, the last ones short."""
    top = tmp_path_factory.mktemp("tables") / "training table"
    for part in range(2):
        path = top / f"split=train/tile={part}/rows.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table(1000, 1000 * part), path, row_group_size=GROUP_ROWS)
    (top / "split=train/_temporary").mkdir()
    (top / "split=train/_temporary/half.parquet").write_bytes(b"PAR1 half")
    (top / "split=train/.hidden.parquet").write_bytes(b"")
    return top / "split=train"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """1000 rows, to be damaged."""
    pq.write_table(table(1000), tmp_path / "rows.parquet", row_group_size=GROUP_ROWS)
    return tmp_path / "rows.parquet"


def stream(
    place: object,
    shard: Shard = WHOLE,
    seed: int = 1,
    columns: object = None,
    through: str = "petastorm",
) -> Stream:
    columns = COLUMNS if columns is None else columns
    return Stream(place, columns, BATCH, seed=seed, shard=shard, window_rows=300, through=through)


def rows_of(batches: Iterator[torch.Tensor]) -> list[int]:
    return [int(row) for batch in batches for row in batch[:, COLUMNS.index("row")]]


def test_an_epoch_is_the_table_less_a_remainder(folder: Path) -> None:
    whole = stream(folder)
    assert (whole.rows, whole.steps) == (2000, 2000 // BATCH)
    seen = rows_of(whole.epoch(0))
    assert len(seen) == whole.steps * BATCH
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(2000))


def test_values_follow_their_row(folder: Path) -> None:
    for batch in stream(folder).epoch(3):
        assert batch.dtype == torch.float32
        assert batch.shape == (BATCH, len(COLUMNS))
        row = batch[:, COLUMNS.index("row")].numpy().astype(np.int64)
        band = (row % 30_000).astype(np.float32) / np.float32(10_000)
        expected = [band, np.sin(row), row % 80, np.sqrt(row), row]
        np.testing.assert_array_equal(batch.numpy(), np.stack(expected, 1).astype(np.float32))


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_share_an_epoch_in_equal_steps(folder: Path, count: int) -> None:
    ranks = [stream(folder, Shard(rank, count)) for rank in range(count)]
    (steps,) = {rank.steps for rank in ranks}
    seen = [row for rank in ranks for row in rows_of(rank.epoch(0))]
    assert len(seen) == len(set(seen)) == count * steps * BATCH
    assert len(seen) >= 2000 - count * (2 * GROUP_ROWS + BATCH)


def test_epochs_leave_out_other_rows_in_another_order(folder: Path) -> None:
    epochs = [rows_of(stream(folder, Shard(0, 2)).epoch(number)) for number in range(2)]
    assert epochs[0] != epochs[1]
    both = [set(rows_of(stream(folder).epoch(number))) for number in range(2)]
    assert both[0] != both[1]
    assert set(epochs[0]) != set(epochs[1])  # assigned anew, not only shuffled


def test_rows_of_many_row_groups_are_mixed(folder: Path) -> None:
    first = rows_of(itertools.islice(stream(folder).epoch(0), 1))
    assert len({row // GROUP_ROWS for row in first}) >= 3
    assert first != sorted(first)


def test_the_order_depends_on_the_seed_alone(folder: Path) -> None:
    def order(seed: int) -> torch.Tensor:
        return torch.cat(list(stream(folder, Shard(1, 2), seed).epoch(5)))

    assert torch.equal(order(seed=1), order(seed=1))
    assert torch.equal(order(seed=0), order(seed=0))
    assert not torch.equal(order(seed=1), order(seed=0))
    one = stream(folder, Shard(1, 2))
    list(one.epoch(4))
    assert torch.equal(torch.cat(list(one.epoch(5))), order(seed=1))


@pytest.mark.parametrize("rank", [0, 1])
def test_petastorm_and_pyarrow_give_the_same_batches(folder: Path, rank: int) -> None:
    one, other = (
        stream(folder, Shard(rank, 2), through=through) for through in ("petastorm", "pyarrow")
    )
    for epoch in range(3):
        batches = [torch.stack(list(each.epoch(epoch))).numpy() for each in (one, other)]
        assert batches[0].tobytes() == batches[1].tobytes()


@pytest.mark.parametrize("skip", [1, 7, 13])
def test_a_resumed_epoch_goes_on_where_it_was(folder: Path, skip: int) -> None:
    shard = stream(folder, Shard(0, 2))
    whole, resumed = list(shard.epoch(2)), list(shard.epoch(2, skip))
    assert len(resumed) == shard.steps - skip
    assert torch.equal(torch.cat(whole[skip:]), torch.cat(resumed))


def test_a_batch_may_be_larger_than_a_window(folder: Path) -> None:
    large = Stream(folder, ["row"], 900, seed=1, window_rows=100)
    batches = list(large.epoch(0))
    assert [tuple(batch.shape) for batch in batches] == [(900, 1)] * 2
    assert len(set(torch.cat(batches).flatten().tolist())) == 1800


def test_load_keeps_the_order_of_the_files(folder: Path) -> None:
    assert read_rows(folder, ["row"]).flatten().tolist() == list(range(2000))
    assert read_rows(folder, ["row"], 150).flatten().tolist() == list(range(150))
    assert read_rows(folder, ["row"], 10_000).shape == (2000, 1)


def test_places_may_be_files_urls_and_lists(folder: Path) -> None:
    files = sorted(folder.glob("tile=*/*.parquet"))
    expected = read_rows(folder, COLUMNS)
    for place in (str(folder), f"file://{folder}", files, [str(path) for path in files]):
        assert np.array_equal(read_rows(place, COLUMNS), expected)
    assert read_rows(files[1], ["row"]).flatten().tolist() == list(range(1000, 2000))
    assert stream(f"file://{files[0]}").rows == 1000


def test_a_name_that_starts_another_means_itself(folder: Path) -> None:
    assert (read_rows(folder, ["cot"]) >= 0).all()
    assert all((batch >= 0).all() for batch in stream(folder, columns=["cot"]).epoch(0))


def test_no_warning_reaches_the_user(folder: Path) -> None:
    code = (
        "import sys; from spark_cot.learn.stream import Stream\n"
        "print(len(list(Stream(sys.argv[1], ['cot'], 64, seed=1).epoch(0))))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == (f"{2000 // 64}\n", "")


#: Petastorm, and what it brings, as good as not installed.
WITHOUT = "import sys; sys.modules['petastorm'] = None; "


def test_pyarrow_reads_without_petastorm(folder: Path) -> None:
    code = WITHOUT + (
        "from spark_cot.learn.stream import Stream\n"
        "read = Stream(sys.argv[1], ['cot'], 64, seed=1, through='pyarrow').epoch(0)\n"
        "print(len(list(read)))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"{2000 // 64}\n"


def test_petastorm_that_is_not_installed(folder: Path) -> None:
    code = WITHOUT + "from spark_cot.learn.stream import row_group_reader as r; r('petastorm')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(
        r"SetupError: .*module petastorm.*not installed.*pip install petastorm==0.12.1.*"
        r"--stream pyarrow",
        result.stderr,
    )


# ---------------------------------------------------------------- faults


def test_missing_columns_are_named_with_those_present(folder: Path) -> None:
    with pytest.raises(TableError, match=r"\['B03'\] are missing, present are .*'B8A'"):
        stream(folder, columns=["B02", "B03"])


def test_every_file_is_asked_for_the_columns(folder: Path, file: Path) -> None:
    pq.write_table(table(100).drop_columns(["cot"]), file.parent / "late.parquet")
    with pytest.raises(TableError, match=r"late.parquet: columns \['cot'\]"):
        stream(file.parent)


def test_a_column_of_text_is_no_input(folder: Path) -> None:
    with pytest.raises(TableError, match="scene_id is string, expected integers or floats"):
        read_rows(folder, ["B02", "scene_id"])


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_place_without_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match=f"{name}: no Parquet file"):
        stream(tmp_path / name)


def test_an_unknown_kind_of_url() -> None:
    with pytest.raises(SetupError, match="s3://"):
        stream("gopher://hole/rows.parquet")


def test_a_table_without_rows(tmp_path: Path) -> None:
    pq.write_table(table(0), tmp_path / "rows.parquet")
    with pytest.raises(TableError, match="hold no rows"):
        stream(tmp_path)


def test_fewer_row_groups_than_ranks(file: Path) -> None:
    pq.write_table(table(0), file.parent / "empty.parquet")
    with pytest.raises(TableError, match=r"11 row groups with rows for 12 ranks.*fewer ranks"):
        stream(file.parent, Shard(0, 12))


def test_a_batch_beyond_the_smallest_shard(file: Path) -> None:
    with pytest.raises(TableError, match=r"5000 rows is more than the 1000.*at most 1000 rows"):
        Stream(file, COLUMNS, 5000, seed=1)


def test_a_file_without_its_end(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TableError, match=r"rows.parquet: cannot be read as Parquet"):
        stream(file)


def test_a_file_shorter_than_its_footer_says(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4] + content[400:])
    with pytest.raises(TableError, match=f"is {len(content) - 396} bytes long, its footer asks"):
        stream(file)


def test_bytes_damaged_in_the_middle_reach_the_consumer(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = slice(len(content) // 3, len(content) // 3 + 2000)
    content[middle] = bytes(byte ^ 0xFF for byte in content[middle])
    file.write_bytes(content)
    damaged = stream(file)
    with pytest.raises(TableError, match=r"rows.parquet: cannot be read as Parquet"):
        list(damaged.epoch(0))
    assert not readers_alive()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e300])
def test_values_that_are_no_numbers(file: Path, value: float | None) -> None:
    values = [0.5] * 1000
    values[500] = value
    data = table(1000).set_column(2, "B8A", pa.array(values, pa.float64()))
    pq.write_table(data, file, row_group_size=GROUP_ROWS)
    with pytest.raises(TableError, match=r"rows.parquet: null, NaN or inf.*group 5: 1 in B8A"):
        list(stream(file).epoch(0))
    with pytest.raises(TableError, match="1 in B8A"):
        read_rows(file, COLUMNS)


def test_a_null_among_integers(file: Path) -> None:
    data = table(1000).set_column(1, "B02", pa.array([None, *range(999)], pa.int16()))
    pq.write_table(data, file)
    with pytest.raises(TableError, match="row group 0: 1 in B02"):
        read_rows(file, COLUMNS)


@pytest.mark.parametrize("through", ["petastorm", "pyarrow"])
@pytest.mark.parametrize("rows", [990, 400, 1100])
def test_a_table_written_anew_since_it_was_planned(file: Path, rows: int, through: str) -> None:
    planned = stream(file, through=through)
    pq.write_table(table(rows), file, row_group_size=GROUP_ROWS)
    with pytest.raises(TableError, match="start again"):
        list(planned.epoch(0))


def test_a_row_group_more_since_the_table_was_planned(file: Path) -> None:
    pq.write_table(table(10 * GROUP_ROWS), file, row_group_size=GROUP_ROWS)
    planned = stream(file)
    pq.write_table(table(11 * GROUP_ROWS), file, row_group_size=GROUP_ROWS)
    with pytest.raises(TableError, match=r"holds 11 row groups, had 10.*start again"):
        list(planned.epoch(0))


def test_a_table_that_vanished_since_it_was_planned(file: Path) -> None:
    planned = stream(file)
    file.unlink()
    with pytest.raises(TableError, match=r"rows.parquet: cannot be read"):
        list(planned.epoch(0))


def test_row_groups_lost_by_the_reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ventilate = reader.ThreadPool.ventilate

    def lossy(pool: object, **task: int) -> None:
        if task["piece_index"]:
            ventilate(pool, **task)

    monkeypatch.setattr(reader.ThreadPool, "ventilate", lossy)
    with pytest.raises(TableError, match=r"delivered 21 row groups with 19.. rows.* have 22 with"):
        list(stream(folder).epoch(0))


def test_a_pool_asked_while_tasks_arrive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    completed = ConcurrentVentilator.completed

    def late(ventilator: ConcurrentVentilator) -> bool:
        asked_by_pool = "read-ahead" in threading.current_thread().name
        time.sleep(0.2 if asked_by_pool else 0.005)  # 22 tasks arrive after the look at the queue
        return completed(ventilator)

    monkeypatch.setattr(ConcurrentVentilator, "completed", late)
    whole = stream(folder)
    assert len(list(whole.epoch(0))) == whole.steps


def test_what_the_worker_meets_reaches_the_consumer_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise MemoryError("full")

    monkeypatch.setattr(ParquetTable, "read", full)
    with pytest.raises(MemoryError, match="full"):
        list(stream(folder).epoch(0))
    assert capfd.readouterr() == ("", "")
    assert not readers_alive()


def test_a_consumer_that_stops_stops_the_reader(folder: Path) -> None:
    for _ in stream(folder).epoch(0):
        break
    batches = stream(folder).epoch(0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not readers_alive()


def readers_alive() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if "read-ahead" in thread.name or type(thread).__name__ == "WorkerThread"
    ]
