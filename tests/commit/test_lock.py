"""One writing job at a time, whoever crashes."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_cot.commit import lock
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.lock import Holder, holder, locked
from spark_cot.commit.log import Log
from spark_cot.engine.outcome import StageResult
from spark_cot.engine.tasks import check_lock, run_tasks
from spark_cot.engine.waves import in_waves
from spark_cot.errors import WorkspaceError
from spark_cot.tables.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", 20)


def leave(workspace: Workspace, **changes: object) -> Path:
    """A lease that a job has left behind."""
    path = workspace.ledger / "lock" / "00000007.json"
    path.parent.mkdir()
    path.write_text(json.dumps(asdict(replace(Holder.this_process("run"), **changes))))
    return path


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat(timespec="seconds")


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_second_job_is_told_who_holds_the_lock_and_how_to_break_it(
    workspace: Workspace,
) -> None:
    with locked(workspace, "run"):
        with pytest.raises(WorkspaceError) as refused, locked(workspace, "vacuum"):
            pass
        (file,) = (workspace.ledger / "lock").glob("*.json")
        mine = holder(workspace)
        assert mine is not None
        for named in ("spark-cot run", f"process {mine.pid} on {mine.host}", mine.since, str(file)):
            assert named in str(refused.value)
    assert holder(workspace) is None
    with locked(workspace, "vacuum"):
        assert holder(workspace) is not None


def test_the_lock_is_given_back_when_the_job_fails(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), locked(workspace, "run"):
        raise ZeroDivisionError
    assert holder(workspace) is None
    assert len(list((workspace.ledger / "lock").iterdir())) == 1


def test_the_lock_of_a_crashed_process_of_this_machine_is_free_at_once(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    left = leave(workspace, pid=dead_pid())
    with locked(workspace, "run"):
        assert not left.exists()
    assert "took over the lock of `spark-cot run`" in caplog.text


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "minutes": 4}, False),
        ({"host": "elsewhere", "minutes": 6}, True),
        ({"boot": "before the restart"}, False),  # or another machine of the same name
        ({"boot": "before the restart", "minutes": 6}, True),
        ({"pid_space": "pid:[1]"}, False),  # a container that shares the host's name
        ({"pid": 1}, False),  # alive and not ours
        ({"released": True}, True),
    ],
)
def test_elsewhere_a_lock_is_free_when_its_lease_has_run_out(
    workspace: Workspace, changes: dict, free: bool
) -> None:
    if "minutes" in changes:
        changes = changes | {"renewed": ago(minutes=changes.pop("minutes"))}
    if {"host", "pid_space", "boot"} & changes.keys():
        changes = {"pid": dead_pid(), **changes}
    leave(workspace, **changes)
    assert (holder(workspace) is None) is free


def test_of_many_that_come_at_once_one_wins(workspace: Workspace) -> None:
    leave(workspace, pid=dead_pid())
    won, refused, start = [], [], threading.Barrier(8)
    done = threading.Event()

    def job(number: int) -> None:
        start.wait()
        try:
            with locked(workspace, f"job {number}"):
                won.append(number)
                done.wait(10)
        except WorkspaceError:
            refused.append(number)
        if len(refused) == 7:
            done.set()

    threads = [threading.Thread(target=job, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 7)


def test_a_running_job_renews_its_lease(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.0)
    with locked(workspace, "run"):
        first = holder(workspace)
        now, deadline = first, time.monotonic() + 30
        while now == first and time.monotonic() < deadline:
            time.sleep(0.05)
            now = holder(workspace)
    assert first is not None and now is not None
    assert now.since == first.since
    assert now.renewed > first.renewed


def test_a_job_whose_lock_was_broken_stops_and_leaves_the_new_one_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.5)
    lost = threading.Event()
    with locked(workspace, "run", on_loss=lost.set):
        (file,) = (workspace.ledger / "lock").glob("*.json")
        file.rename(file.with_name("00000009.json"))
        assert lost.wait(5)
    (left,) = (workspace.ledger / "lock").glob("*.json")
    assert not json.loads(left.read_text())["released"]


LEASE = asdict(Holder("run", "elsewhere", 1, "", ago(), ago()))


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\0", b"[]", b"{}", b"null", json.dumps(LEASE | {"renewed": "soon"}).encode()],
    ids=["empty", "zeros", "list", "nothing", "null", "no time"],
)
def test_a_lease_that_cannot_be_understood_runs_out_with_its_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    left = leave(workspace)
    left.write_bytes(content)
    assert holder(workspace) is not None
    with (
        pytest.raises(WorkspaceError, match=r"an unknown machine.* [0-9] s ago"),
        locked(workspace, "run"),
    ):
        pass
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.2)
    os.utime(left, (time.time() - 10, time.time() - 10))
    assert holder(workspace) is None
    with locked(workspace, "run"):
        assert not left.exists()


def test_fields_of_a_newer_version_are_left_out(workspace: Workspace) -> None:
    left = leave(workspace)
    left.write_text(json.dumps(LEASE | {"renewed": ago(), "queue": "night"}))
    found = holder(workspace)
    assert found is not None
    assert found.host == "elsewhere"


def test_other_files_beside_the_leases_are_none(workspace: Workspace) -> None:
    left = leave(workspace, released=True)
    left.with_name("notes.json").write_text("mine")
    with locked(workspace, "run"):
        assert left.with_name("00000008.json").exists()


def test_a_holder_whose_clock_is_ahead_is_said_to_be(workspace: Workspace) -> None:
    leave(workspace, host="elsewhere", renewed=ago(hours=-2))
    with (
        pytest.raises(WorkspaceError, match=r"7[12][0-9][0-9] s ahead of .* Set the clocks"),
        locked(workspace, "run"),
    ):
        pass


def test_a_lease_that_seems_to_have_run_out_but_is_renewed_is_left_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of this machine is an hour ahead of the holder's."""
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.0)
    left = leave(workspace, host="elsewhere", renewed=ago(hours=1))

    def renew() -> None:
        lock._write(left, replace(lock._read(left), renewed=ago(minutes=59)))

    living = threading.Timer(0.2, renew)
    living.start()
    with pytest.raises(WorkspaceError, match="another job is at work"), locked(workspace, "run"):
        pass
    living.join()
    with locked(workspace, "run"):  # by now it is silent
        assert not left.exists()


def unreadable(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error", "lock")


def test_a_lock_that_cannot_be_read_is_not_free(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(workspace)
    for broken in ("find", "read_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(lock, broken, unreadable)
            for look in (holder, lambda place: locked(place, "run").__enter__()):
                with pytest.raises(WorkspaceError, match=r"lock cannot be read.*Input/output"):
                    look(workspace)


def test_a_lease_that_cannot_be_given_back_does_not_fail_what_was_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(workspace, "run"):
        monkeypatch.setattr(lock, "write_text", unreadable)
    assert "cannot give back the lock" in caplog.text


def sleep_long(_: int) -> None:
    time.sleep(60)


def test_losing_the_lock_stops_a_spark_job_at_once(
    spark, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.0)
    scenes = list(range(4))

    def work(wave: object) -> list[StageResult]:
        run_tasks(spark, "sleeping", scenes, sleep_long)
        return []

    def break_lock() -> None:
        time.sleep(2)
        (file,) = (workspace.ledger / "lock").glob("*.json")
        file.rename(file.with_name("00000009.json"))

    thief, started = threading.Thread(target=break_lock), time.monotonic()
    thief.start()
    with pytest.raises(WorkspaceError, match="has lost its lock"), locked(workspace, "run"):
        in_waves(spark, scenes, work)
    assert time.monotonic() - started < 20
    thief.join()


def commit(_: int) -> str:
    try:
        check_lock()
    except WorkspaceError as error:
        return str(error)
    return ""


def test_nothing_is_committed_without_the_lock(spark, workspace: Workspace) -> None:
    log = Log(workspace)
    log.replace([])
    with locked(workspace, "run", on_loss=lambda: None):
        log.append([LedgerEntry("ingest", "S", "k", "done")])
        assert run_tasks(spark, "committing", [1], commit) == [""]
        (file,) = (workspace.ledger / "lock").glob("*.json")
        file.rename(file.with_name("00000009.json"))
        with pytest.raises(WorkspaceError, match="commits nothing more"):
            log.append([LedgerEntry("ingest", "T", "k", "done")])
        assert "commits nothing more" in run_tasks(spark, "committing", [1], commit)[0]
    assert set(log.entries("ingest")) == {"S"}
