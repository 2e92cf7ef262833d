"""The simulate job: the same rows however they are made, all of them, and in nobody's way."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from spark_cot.archive.options import SimulateOptions
from spark_cot.archive.simulate import SyntheticTable, read_synthetic, simulate, simulate_part
from spark_cot.commit.parts import footer
from spark_cot.errors import TableError, WorkspaceError
from spark_cot.learn.reader import read_row_groups
from spark_cot.simulate.dataset import simulate_rows
from spark_cot.simulate.schema import SYNTHETIC
from spark_cot.storage import write_text
from spark_cot.tables.rowgroups import ParquetTable

ROWS = 4500  # a whole part and a short one


@pytest.fixture(scope="module")
def table(spark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulate") / "synthetic"
    result = simulate(spark, SimulateOptions(out=folder, rows=ROWS, seed=11))
    assert [outcome.state for outcome in result.outcomes] == ["done", "done"]
    assert result.rows == ROWS
    return folder


def test_the_table_holds_every_row_of_the_seed_in_its_split(table: Path) -> None:
    found = read_synthetic(table)
    expected = pa.concat_tables(simulate_rows(11, ROWS, range(-(-ROWS // 256))))
    assert found.schema.equals(SYNTHETIC.arrow)
    assert found.combine_chunks().equals(expected.combine_chunks())
    counts = {row["values"]: row["counts"] for row in pc.value_counts(found["split"]).to_pylist()}
    assert counts["train"] > 10 * min(counts["val"], counts["test"]) / 2 > 0
    assert not (table / "_parts").exists()


def test_path_alone_is_enough_for_pandas(table: Path) -> None:
    frame = pd.read_parquet(table)
    assert len(frame) == ROWS
    assert set(frame["split"].unique()) == {"train", "val", "test"}


def test_petastorm_reads_every_row(table: Path) -> None:
    path = table / "split=train"
    stored = ParquetTable(path, ["row"])
    assert len(stored.row_groups) == 2
    rows = [row for part in read_row_groups(stored, [0, 1]) for row in part[:, 0]]
    assert rows == pq.read_table(path / "rows.parquet")["row"].to_pylist()


def test_a_finished_table_is_not_made_again(table: Path, spark) -> None:
    before = {path: path.stat().st_mtime_ns for path in table.rglob("*.parquet")}
    result = simulate(spark, SimulateOptions(out=table, rows=ROWS, seed=11))
    assert [outcome.state for outcome in result.outcomes] == ["skipped", "skipped"]
    assert {path: path.stat().st_mtime_ns for path in table.rglob("*.parquet")} == before


def test_a_killed_run_goes_on_and_gives_the_same_bytes(table: Path, spark, tmp_path: Path) -> None:
    plan = SyntheticTable.of(tmp_path / "killed", ROWS, 11)
    plan.out.mkdir()
    plan.marker.parent.mkdir()
    shutil.copy(table.with_name("synthetic.simulation") / "table.json", plan.marker)
    assert simulate_part(plan, 1).state == "done"
    result = simulate(spark, SimulateOptions(out=plan.out, rows=ROWS, seed=11))
    assert [outcome.state for outcome in result.outcomes] == ["done", "skipped"]
    for path in table.rglob("*.parquet"):
        assert (plan.out / path.relative_to(table)).read_bytes() == path.read_bytes()


def test_what_earlier_versions_kept_in_the_table_is_moved_out(
    table: Path, spark, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(table, tmp_path / "old"))
    shutil.copy(table.with_name("synthetic.simulation") / "table.json", old / "_table.json")
    (old / "reports").mkdir()
    (old / "reports" / "x.html").touch()
    result = simulate(spark, SimulateOptions(out=old, rows=ROWS, seed=11))
    assert [outcome.state for outcome in result.outcomes] == ["skipped", "skipped"]
    assert {path.suffix for path in old.rglob("*") if path.is_file()} == {".parquet"}
    assert (tmp_path / "old.simulation" / "reports" / "x.html").exists()


def test_a_table_of_revision_1_stays_whatever_told_it_then(
    spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its facts were hashes of code and data; another code's are another table."""
    plan = SyntheticTable.of(tmp_path / "old", 256, 11)
    facts = {n: v for n, v in plan.facts.items() if n != "spark_cot.revision"}
    hashes = {"spark_cot.optics": "fb48cf92959dc23b", "spark_cot.world": "39992724c8bc5f6d"}
    write_text(plan.marker, json.dumps(facts | hashes))
    options = SimulateOptions(out=plan.out, rows=256, seed=11)
    for state in ("done", "skipped"):
        assert [outcome.state for outcome in simulate(spark, options).outcomes] == [state]
    told = footer(plan.out / "split=train" / "rows.parquet")
    assert told["spark_cot.world"] == "39992724c8bc5f6d"
    with monkeypatch.context() as later:
        later.setattr("spark_cot.simulate.dataset.REVISION", 2)
        with pytest.raises(WorkspaceError, match="revision is 1, asked for 2"):
            simulate(spark, options)
    write_text(plan.marker, json.dumps(facts | hashes | {"spark_cot.world": "0"}))
    with pytest.raises(WorkspaceError, match="world is 0"):
        simulate(spark, options)


@pytest.mark.parametrize(("rows", "seed"), [(ROWS, 12), (ROWS + 1, 11)])
def test_another_table_in_the_folder_is_named(table: Path, spark, rows: int, seed: int) -> None:
    with pytest.raises(WorkspaceError, match=r"another synthetic table: (seed|rows) is \d+, asked"):
        simulate(spark, SimulateOptions(out=table, rows=rows, seed=seed))


def test_foreign_files_are_left_alone(spark, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(WorkspaceError, match="no synthetic table"):
        simulate(spark, SimulateOptions(out=tmp_path, rows=ROWS, seed=11))
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_an_unfinished_table_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"split=train.* Run `spark-cot simulate`"):
        read_synthetic(tmp_path)


def test_a_full_disk_fails_the_part(table: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spark_cot.archive.simulate.pq.write_table", full)
    outcome = simulate_part(SyntheticTable.of(tmp_path, 256, 11), 0)
    assert outcome.state == "failed"
    assert "no space left" in outcome.reason
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_executor_of_another_version_is_refused(tmp_path: Path) -> None:
    plan = replace(SyntheticTable.of(tmp_path, 256, 11), facts={"spark_cot.optics": "old"})
    outcome = simulate_part(plan, 0)
    assert outcome.state == "failed"
    assert "another version of the simulator" in outcome.reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rows", "0", "--out", "x"), "0 rows were asked for"),
        (("--rows", "5"), "Give --rows and --out"),
        (("--rows", "5", "--out", "x", "--seed", "-1"), "-1"),
        (("--rows", "5", "--out", "s3://b/x"), "path of the file system only"),
    ],
)
def test_impossible_requests(cot_command, tmp_path, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = cot_command("simulate", *arguments)
    assert (code, message in text) == (2, True), text
    assert not (tmp_path / "x").exists()


def test_the_command_makes_pictures_and_a_report(cot_command, tmp_path: Path) -> None:
    code, text = cot_command("simulate", "--rows", 512, "--out", tmp_path / "x", "--plot")
    assert code == 0, text
    assert len(list((tmp_path / "x.simulation" / "plots").glob("*.png"))) == 4
    assert len(list((tmp_path / "x.simulation" / "reports").glob("*.html"))) == 1
