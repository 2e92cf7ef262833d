"""Many scenes through the stages in waves: a bounded number at a time, and no idle cores.

A wave of scenes goes through all stages before it is forgotten, so neither the driver nor Spark
holds more than a few waves of tasks, however large the archive. Two waves are under way at once:
where the last tasks of a stage of one leave cores free, Spark gives them to the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from spark_cot.engine.outcome import Outcome, StageResult, is_too_many

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")

log = logging.getLogger(__name__)

_AT_ONCE: Final = 2
_SMALLEST_WAVE: Final = 32


def in_waves(
    spark: SparkSession,
    scenes: Sequence[T],
    work: Callable[[Sequence[T]], list[StageResult]],
    max_failure_ratio: float = 1.0,
) -> list[StageResult]:
    """Do ``work`` on all scenes, wave by wave; the stages' results over all waves.

    A larger share of failed scenes than ``max_failure_ratio`` in the waves that have ended keeps
    further ones from being begun, and so does a store that answered for none of a wave. A stage's
    seconds are its part of the wall time: waves overlap.

    Raises
    ------
    JobError
        Spark gave up.
    """
    size = max(_SMALLEST_WAVE, 2 * spark.sparkContext.defaultParallelism)
    waves = [scenes[start : start + size] for start in range(0, len(scenes), size)]
    tally = _Tally(max_failure_ratio)
    stopped = threading.Event()

    def attempt(wave: Sequence[T]) -> list[StageResult]:
        """The wave's results, judged before this thread begins another."""
        if stopped.is_set():
            return []
        try:
            results = work(wave)
        except BaseException:
            stopped.set()
            raise
        if why := tally.add(results):
            stopped.set()
            log.error("%s: no further ones are begun", why)
        return results

    started = time.monotonic()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            in_order = [result for results in pool.map(attempt, waves) for result in results]
        except KeyboardInterrupt:  # or the lock is lost: the waves under way need not end
            stopped.set()
            spark.sparkContext.cancelAllJobs()
            raise
    return together(in_order, time.monotonic() - started)


class _Tally:
    """Scenes that have come through, and those of them that failed; waves add to it at once."""

    def __init__(self, max_failure_ratio: float) -> None:
        self._most = max_failure_ratio
        self._lock = threading.Lock()
        self._ended: set[str] = set()
        self._failed: set[str] = set()

    def add(self, results: Iterable[StageResult]) -> str:
        """Count a wave; why it should be the last one, empty if it need not be."""
        outcomes = [outcome for result in results for outcome in result.outcomes]
        if answers_for_none(outcomes):
            return "the store answered for none of the scenes"
        outcomes = [outcome for outcome in outcomes if not outcome.again]
        with self._lock:
            self._ended.update(outcome.name for outcome in outcomes)
            self._failed.update(o.name for o in outcomes if o.state == "failed")
            ended, failed = len(self._ended), len(self._failed)
        if is_too_many(failed, ended, 0, self._most):
            return f"{failed / ended:.0%} of the scenes failed"
        return ""


def answers_for_none(outcomes: Iterable[Outcome]) -> bool:
    """Whether every scene of these ended for want of its store."""
    last = {outcome.name: outcome for outcome in outcomes}
    return bool(last) and all(outcome.cause == "store" for outcome in last.values())


def together(results: Iterable[StageResult], wall: float) -> list[StageResult]:
    """One result for each stage, whose seconds add up to the wall time."""
    stages: dict[str, StageResult] = {}
    for result in results:
        total = stages.setdefault(result.stage, StageResult(result.stage, 0.0))
        total.outcomes.extend(result.outcomes)
        stages[result.stage] = replace(total, seconds=total.seconds + result.seconds)
    busy = sum(stage.seconds for stage in stages.values()) or 1.0
    return [replace(stage, seconds=stage.seconds / busy * wall) for stage in stages.values()]
