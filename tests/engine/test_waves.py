"""Waves: bounded, two at once, stopped when too much fails."""

import threading
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.waves import in_waves

SPARK = SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=2))


def results(names: Sequence[str], state: str = "done") -> list[StageResult]:
    outcomes = [Outcome(name, state, rows=1) for name in names]
    return [StageResult("ingest", 3.0, list(outcomes)), StageResult("apply", 1.0, outcomes)]


def test_all_scenes_go_through_in_order_and_in_parts() -> None:
    names, sizes = [f"S{n:03d}" for n in range(100)], []

    def work(wave: Sequence[str]) -> list[StageResult]:
        sizes.append(len(wave))
        return results(wave)

    ingest, apply = in_waves(SPARK, names, work)
    assert sorted(sizes) == [4, 32, 32, 32]
    assert [outcome.name for outcome in ingest.outcomes] == names
    assert (ingest.rows, apply.rows) == (100, 100)
    assert ingest.seconds == pytest.approx(3 * apply.seconds)


def test_two_waves_are_under_way_at_once() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def work(wave: Sequence[int]) -> list[StageResult]:
        meeting.wait()
        return results([str(number) for number in wave])

    assert len(in_waves(SPARK, range(64), work)[0].outcomes) == 64


def test_too_many_failures_keep_further_waves_from_being_begun() -> None:
    begun = []

    def work(wave: Sequence[int]) -> list[StageResult]:
        begun.extend(wave)
        return results([str(number) for number in wave], "failed")

    stages = in_waves(SPARK, range(3200), work, max_failure_ratio=0.5)
    assert len(stages[0].outcomes) == len(begun) <= 64


def test_an_error_ends_the_waves() -> None:
    begun = []

    def work(wave: Sequence[int]) -> list[StageResult]:
        begun.append(wave)
        raise RuntimeError("Spark gave up")

    with pytest.raises(RuntimeError, match="Spark gave up"):
        in_waves(SPARK, range(3200), work)
    assert len(begun) <= 2


def test_no_scenes_are_no_waves() -> None:
    assert in_waves(SPARK, [], results) == []
