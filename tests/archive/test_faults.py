"""Killed workers, killed drivers and full disks lose nothing that is done."""

import errno
import os
import signal
from pathlib import Path

import pytest

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.engine.attempt import Attempt, Finished
from spark_cot.engine.outcome import Outcome, StageResult, exit_code, merged
from spark_cot.engine.tasks import run_tasks
from spark_cot.errors import JobError, ProductError, reason


def die_once(marker: Path, number: int) -> int:
    """Kill the Python worker at the first try of task 3."""
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_killed_worker_is_retried(spark, tmp_path: Path) -> None:
    from functools import partial

    task = partial(die_once, tmp_path / "died")
    assert run_tasks(spark, "squares", range(6), task) == [0, 1, 4, 9, 16, 25]
    assert (tmp_path / "died").exists()


def always_die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_always_dies_is_one_clear_error(spark) -> None:
    with pytest.raises(JobError, match=r"doomed: Spark gave up: .*fewer cores per executor"):
        run_tasks(spark, "doomed", [1], always_die)


def test_an_unexpected_error_of_the_program_exits_with_2(cot_command, monkeypatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("spark_cot.cli.models.load_bundle", broken)
    code, text = cot_command("model", "show", "x")
    assert code == 2
    assert "ZeroDivisionError" in text


def test_no_tasks_need_no_spark() -> None:
    assert run_tasks(None, "nothing", [], str) == []  # type: ignore[arg-type]


def no_b10() -> Finished:
    raise ProductError("no B10", "x.SAFE", "Get it")


def full_disk() -> Finished:
    raise OSError(errno.ENOSPC, "No space left on device", "pixels/x.parquet")


def test_a_full_disk_is_no_failure_of_the_scene() -> None:
    outcome = Attempt("ingest", "S", "k", "src").run(full_disk)
    assert outcome is not None
    assert (outcome.state, outcome.cause, outcome.again) == ("failed", "store", True)
    assert outcome.reason == "no space left for pixels/x.parquet. Free space and run again"
    assert outcome.entry is None, "it is no attempt"


def test_after_a_failure_the_other_tasks_of_the_attempt_are_not_begun(tmp_path: Path) -> None:
    first = Attempt("ingest", "S", "k", "src").of_many_tasks(tmp_path)
    failed = first.run(no_b10)
    again = first.run(lambda: Finished(1, 1.0))
    assert failed is not None and again is not None and failed.entry is not None
    assert (failed.entry.state, failed.entry.attempt) == ("failed", 1)
    assert (again.state, again.reason) == ("failed", failed.reason)
    second = Attempt("ingest", "S", "k", "src", failed.entry).of_many_tasks(tmp_path)
    outcome = second.run(lambda: Finished(7, 1.0, {"x": 1}))
    assert outcome is not None and outcome.entry is not None
    assert (outcome.state, outcome.rows, outcome.seconds) == ("done", 7, 1.0)
    assert (outcome.entry.attempt, outcome.entry.facts) == (2, {"x": 1})
    assert Attempt("ingest", "S", "other", "src", failed.entry).number == 1


def test_a_failure_keeps_what_the_workspace_still_holds() -> None:
    files = {"pixels/S.parquet": {"bytes": 1, "sha256": "ab"}}
    known = {"facts": {"x": 1}, "details": {"y": 2}, "files": files}
    before = LedgerEntry("ingest", "S", "k", "done", **known)
    entry = Attempt("ingest", "S", "k2", "src", before).refuse("no B10").entry
    assert entry is not None
    assert {name: getattr(entry, name) for name in known} == known
    assert entry.key == "k2"


def test_reasons_name_cause_and_cure() -> None:
    assert reason(ProductError("no B10", "x.SAFE", "Get it")) == "x.SAFE: no B10. Get it"
    assert "Give each Python worker more" in reason(MemoryError())
    try:
        {}["absent"]
    except KeyError as error:
        assert "unexpected KeyError at test_reasons_name_cause_and_cure" in reason(error)


def test_the_failure_of_any_task_is_that_of_its_scene() -> None:
    done, failed = Outcome("S", "done"), Outcome("S", "failed", reason="x")
    other = Outcome("A", "done")
    assert merged([done, None, failed, other]) == [other, failed]
    again = Outcome("S", "failed", again=True)
    assert merged([again, failed]) == merged([failed, again]) == [again]


@pytest.mark.parametrize(
    ("failed", "good", "ratio", "code"),
    [
        (0, 3, 0.0, 0),
        (1, 3, 0.5, 1),
        (2, 2, 0.5, 1),
        (3, 1, 0.5, 1),
        (1, 0, 0.5, 1),
        (9, 0, 0.0, 1),
        (10, 0, 0.5, 2),
        (10, 0, 1.0, 1),
        (5, 5, 0.5, 1),
        (6, 4, 0.5, 2),
    ],
)
def test_exit_codes(failed: int, good: int, ratio: float, code: int) -> None:
    outcomes = [Outcome(f"F{n}", "failed") for n in range(failed)]
    done = [Outcome(f"G{n}", "done") for n in range(good)]
    assert exit_code([StageResult("ingest", 1.0, outcomes + done)], ratio) == code
    rest = {"skipped": good, "superseded": 9}
    results = [StageResult(stage, 1.0, outcomes, rest) for stage in ("ingest", "apply")]
    assert exit_code(results, ratio) == (code if failed >= 10 or not failed else 1)


def test_what_was_given_up_is_said_and_not_judged() -> None:
    given_up = [Outcome(f"F{n}", "given-up") for n in range(20)]
    assert exit_code([StageResult("ingest", 1.0, [*given_up, Outcome("G", "done")])], 0.0) == 1
