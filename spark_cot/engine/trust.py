"""Scenes in order of trust: first all, then those that the store did not give, suspects last.

A suspect is a scene that Python workers, or the job before this one, died of (`commit.begun`). It
is tried alone, so that it takes nothing else with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from spark_cot.commit.begun import forget, suspects, try_alone
from spark_cot.commit.ledger import STAGES, Entries, LedgerEntry
from spark_cot.commit.log import Log
from spark_cot.commit.state import State
from spark_cot.engine.attempt import DIED
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.waves import answers_for_none, in_waves, together
from spark_cot.plan.decide import DueScene, S

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)


class Through(Protocol[S]):
    """Takes some scenes through the stages; the log says what is ``known`` of them.

    Unless it is their ``last`` try, the log is not told of those that are to come again.
    """

    def __call__(  # noqa: D102
        self, wave: Sequence[DueScene[S]], known: Entries, last: bool
    ) -> list[StageResult]: ...


def in_order_of_trust(
    spark: SparkSession,
    state: State,
    scenes: Sequence[DueScene[S]],
    through: Through[S],
    max_failure_ratio: float = 1.0,
) -> list[StageResult]:
    """Scenes in waves; then those that the store did not give; then, each alone, the suspects.

    Of what the store does not give at the second try either the outcomes tell the cause.

    Parameters and errors are those of `in_waves`.
    """
    started = time.monotonic()
    known = _entries(state.log, scenes)
    doubted = suspects(state.workspace) | _died_before(known)
    trusted = [scene for scene in scenes if scene.name not in doubted]
    results = in_waves(spark, trusted, partial(_wave, through, known, False), max_failure_ratio)
    if answers_for_none([outcome for result in results for outcome in result.outcomes]):
        return results
    results, again = _parted(results)
    resumed = [replace(s, stage=again[s.name][0]) for s in scenes if s.name in again]
    unanswered = [scene for scene in resumed if again[scene.name][1].cause == "store"]
    last = [scene for scene in resumed if again[scene.name][1].cause != "store"]
    last += [scene for scene in scenes if scene.name in doubted]
    known = _entries(state.log, [*unanswered, *last])
    second = in_waves(spark, unanswered, partial(_wave, through, known, True))
    for scene in last:
        log.warning("%s: Python workers or jobs died of it; it is tried alone", scene.name)
        try_alone(state.workspace, scene.name)
        second += _wave(through, known, True, [scene])
        forget(state.workspace, [scene.name])
    forget(state.workspace, [scene.name for scene in scenes])
    results += [replace(r, outcomes=_without_waiting(r.outcomes, again)) for r in second]
    return together(results, time.monotonic() - started)


def _parted(
    results: Sequence[StageResult],
) -> tuple[list[StageResult], dict[str, tuple[str, Outcome]]]:
    """What stands of results, and what is to come again: its stage and outcome by scene."""
    again = {o.name: (r.stage, o) for r in results for o in r.outcomes if o.again}
    standing = [replace(r, outcomes=[o for o in r.outcomes if not o.again]) for r in results]
    return standing, again


def _without_waiting(outcomes: Sequence[Outcome], again: Collection[str]) -> list[Outcome]:
    """Outcomes without those of stages that a scene had been through at its first try."""
    return [o for o in outcomes if o.state != "skipped" or o.name not in again]


def _entries(log: Log, scenes: Sequence[DueScene[S]]) -> dict[str, dict[str, LedgerEntry]]:
    names = _names(scenes)
    return {stage: log.entries(stage, names) for stage in STAGES}


def _names(scenes: Sequence[DueScene[S]]) -> set[str]:
    return {name for scene in scenes for name in scene.names}


def _wave(
    through: Through[S], known: Entries, last: bool, wave: Sequence[DueScene[S]]
) -> list[StageResult]:
    names = _names(wave)
    of_these = {stage: {n: e[n] for n in names if n in e} for stage, e in known.items()}
    return through(wave, of_these, last)


def _died_before(known: Entries) -> set[str]:
    """Scenes that workers died of when they were last tried."""
    return {
        name
        for entries in known.values()
        for name, entry in entries.items()
        if entry.state == "failed" and entry.details.get(DIED)
    }
