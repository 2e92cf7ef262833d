"""The log: what was appended last counts, whatever happens to the disk."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_cot.commit import log as logs
from spark_cot.commit.flight import forget_flights, in_flight, still_in_flight
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.log import Log, LogDamagedError, LogLostError
from spark_cot.errors import WorkspaceError
from spark_cot.storage import delta_place, find
from spark_cot.tables.workspace import Workspace

DONE = LedgerEntry(
    "ingest",
    "S",
    "k",
    "done",
    source="archive/S.SAFE",
    rows=5,
    seconds=1.5,
    attempt=2,
    facts={"resolution": 20, "of a newer version": [1, None]},
    details={"input": "ab12"},
    files={"pixels/tile=T/date=D/S.parquet": {"bytes": 7, "sha256": "ab"}},
)
FAILED = LedgerEntry("ingest", "F", "k", "failed", error="no B10. Download it again")


@pytest.fixture
def log(place: Path) -> Log:
    """An empty log, in files and in objects."""
    log = Log(Workspace.create(place, 20))
    log.replace([])
    return log


def test_entries_come_back_as_they_were(log: Log) -> None:
    log.append([DONE, FAILED])
    assert Log(log.workspace).entries("ingest") == {"S": DONE, "F": FAILED}
    assert log.entries("ingest", ["F", "unknown"]) == {"F": FAILED}
    assert log.entries("apply") == log.entries("ingest", []) == {}
    assert DONE.size == 7 and FAILED.size == -1
    assert log.never_done("ingest") == {"F": ""}


def test_the_last_entry_counts_and_forgotten_ones_do_not(log: Log) -> None:
    log.append([DONE, FAILED])
    later = replace(DONE, key="k2")
    Log(log.workspace).append([later])  # another job
    log.forget("ingest", ["F"])
    assert log.entries("ingest") == {"S": later}
    log.append([FAILED])
    assert log.entries("ingest") == {"S": later, "F": FAILED}


def test_a_missing_log_is_told_from_an_empty_one(place: Path) -> None:
    workspace = Workspace.create(place, 20)
    with pytest.raises(LogLostError, match="spark-cot repair"):
        Log(workspace).entries("ingest")


def test_many_commits_are_compacted_and_nothing_that_counts_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_FILES_AT_MOST", 3)
    log = Log(Workspace.create(tmp_path, 20))
    log.replace([DONE])
    for number in range(10):
        log.append([replace(DONE, name=f"S{number % 4}", attempt=number)])
    assert {n: e.attempt for n, e in log.entries("ingest").items()} == {
        "S": 2, "S0": 8, "S1": 9, "S2": 6, "S3": 7
    }  # fmt: skip
    assert len(DeltaTable(str(log.folder)).file_uris()) <= 4


def test_a_compaction_that_fails_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(table: str, rows: pa.Table, mode: str, **options: object) -> None:
        if mode == "overwrite":
            raise OSError(28, "No space left on device")
        write_deltalake(table, rows, mode=mode, **options)

    monkeypatch.setattr(logs, "_FILES_AT_MOST", 1)
    monkeypatch.setattr(logs, "write_deltalake", full)
    log = Log(Workspace.create(tmp_path, 20))
    log.replace([DONE])
    log.append([FAILED])
    log.append([replace(FAILED, attempt=2)])
    assert log.entries("ingest") == {"S": DONE, "F": replace(FAILED, attempt=2)}
    assert "No space left" in caplog.text


def test_a_full_disk_is_one_message_and_the_entries_before_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    log = Log(Workspace.create(tmp_path, 20))
    log.replace([DONE])
    with monkeypatch.context() as patch:
        patch.setattr(logs, "write_deltalake", full)
        with pytest.raises(WorkspaceError, match=r"No space left.*Free space"):
            log.append([FAILED])
    assert log.entries("ingest") == {"S": DONE}
    log.append([FAILED])
    assert set(log.entries("ingest")) == {"S", "F"}


def test_columns_of_a_newer_version_are_kept_and_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(Workspace.create(tmp_path, 20))
    log.replace([DONE])
    row = pa.Table.from_pylist([{"stage": "ingest", "name": "N", "number": 9, "mood": "good"}])
    row = row.append_column("key", pa.array(["k"])).append_column("state", pa.array(["done"]))
    write_deltalake(str(log.folder), row, mode="append", schema_mode="merge")
    # Early versions of delta-rs drop the description where schemas are merged.
    DeltaTable(str(log.folder)).alter.set_table_description("spark_cot log, format 1")
    log = Log(log.workspace)
    assert log.entries("ingest")["N"].key == "k"
    monkeypatch.setattr(logs, "_FILES_AT_MOST", 1)
    log.append([FAILED])
    assert log.rows()["mood"].to_pylist() == [None, "good", None]


@pytest.mark.parametrize(
    "what", ("empty commit", "commit is gone", "rows are gone", "rows are cut")
)
def test_damage_is_noticed_and_what_is_readable_salvaged(tmp_path: Path, what: str) -> None:
    log = Log(Workspace.create(tmp_path, 20))
    log.replace([DONE])
    log.append([FAILED])
    commits = sorted((log.folder / "_delta_log").glob("*.json"))
    rows = max(log.folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    if what == "empty commit":
        commits[-1].write_bytes(b"")
    elif what == "commit is gone":
        commits[0].unlink()
    elif what == "rows are gone":
        rows.unlink()
    else:
        rows.write_bytes(rows.read_bytes()[:-9])
    with pytest.raises((LogDamagedError, LogLostError), match="spark-cot repair"):
        Log(log.workspace).entries("ingest")
    assert {entry.name for entry in log.salvaged()} >= {"S"}
    assert DONE in log.salvaged()


def test_a_foreign_delta_table_is_no_log(tmp_path: Path) -> None:
    log = Log(Workspace.create(tmp_path, 20))
    url, _ = delta_place(log.folder)
    write_deltalake(url, pa.table({"x": [1]}))
    with pytest.raises(LogDamagedError, match="is no log of spark_cot"):
        log.check()


def test_a_wave_is_noted_until_the_log_knows_how_it_ended(place: Path) -> None:
    workspace = Workspace.create(place, 20)
    with in_flight(workspace, ["A", "B"]):
        assert still_in_flight(workspace) == {"A", "B"}
    assert still_in_flight(workspace) == set()
    with pytest.raises(RuntimeError), in_flight(workspace, ["C"]):
        raise RuntimeError
    assert still_in_flight(workspace) == {"C"}
    (note,) = find(workspace.ledger / "flight")
    note.write_bytes(b"")  # a power cut
    assert still_in_flight(workspace) is None
    forget_flights(workspace)
    assert still_in_flight(workspace) == set()


def test_a_mark_tells_what_was_written_after_it(log: Log) -> None:
    log.append([DONE])
    mark = log.mark()
    assert log.names_since(mark) == set()
    log.append([FAILED])
    assert log.names_since(mark) == Log(log.workspace).names_since(mark) == {"F"}
    log.replace([DONE])
    assert log.names_since(mark) is None
    assert log.names_since("") is None
