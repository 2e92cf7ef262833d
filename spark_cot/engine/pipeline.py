"""An archive through the stages: survey, plan, and the scenes that have work to do.

What `ingest`, `run` and `reprocess` share. They differ in their stages and in which of the planned
scenes they take.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from spark_cot.commit.begun import forget, suspects, try_alone
from spark_cot.commit.flight import in_flight
from spark_cot.commit.ledger import STAGES, Entries, LedgerEntry
from spark_cot.commit.listing import Listing
from spark_cot.commit.log import Log
from spark_cot.commit.state import State, refresh_index
from spark_cot.engine.attempt import DIED, Attempt
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.survey import survey
from spark_cot.engine.waves import answers_for_none, in_waves, together
from spark_cot.plan.decide import (
    Configuration,
    Decision,
    DueScene,
    Plan,
    S,
    WorkspaceState,
    decide,
    first_stage_due,
    past_failures,
)
from spark_cot.plan.select import Selection
from spark_cot.plan.sources import Granule, Unreadable, read_catalogue, write_catalogue
from spark_cot.report.run import State as SceneState
from spark_cot.safe import discover
from spark_cot.storage import exists, path_of
from spark_cot.tables.scenes import SceneRecord

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

#: Stages that read what another has written.
_INPUT: Final = {"apply": "ingest", "products": "apply"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage with its configuration, and the function that puts some scenes through it.

    The function is also given what the log says of these scenes.
    """

    configuration: Configuration
    work: Callable[[list[Granule], Entries], list[Outcome]]


#: By name, in the order in which they follow each other.
Stages = Mapping[str, Stage]


def make_plan(
    spark: SparkSession,
    state: State,
    source: str,
    stages: Stages,
    retries: float = math.inf,
    selection: Selection | None = None,
    newest_first: bool = False,
    most: int | None = None,
) -> Plan:
    """Compare an archive with a workspace; nothing is written.

    Parameters
    ----------
    spark : SparkSession
    state : State
        Of the workspace.
    source : str
        See `safe.discover`.
    stages : mapping
    retries : float
        How often what failed is tried again while nothing has changed.
    selection : Selection, optional
        Scenes to decide on; products that cannot be read belong to every selection.
    newest_first : bool
    most : int, optional
        Scenes to work on at most.

    Raises
    ------
    ProductError
        The archive holds no L1C product.
    JobError
        Spark gave up.
    """
    found = discover(source)
    archive = survey(spark, found.products, read_catalogue(state.workspace))
    archive = replace(archive, passed_over=found.passed_over)
    configurations = {name: stage.configuration for name, stage in stages.items()}
    decisions = decide(archive, planning_state(state, configurations), configurations, retries)
    if selection is not None:
        decisions = (d for d in decisions if _is_selected(d, selection))
    return Plan.of(archive, decisions, newest_first, most)


def planning_state(state: State, configurations: Mapping[str, Configuration]) -> WorkspaceState:
    """What the workspace says of these stages."""
    entries = {stage: state.log.outlines(stage) for stage in configurations}
    held = {stage: _held(state.listing, stage, r) for stage, r in configurations.items()}
    return WorkspaceState(entries, held)


def carry_out(
    spark: SparkSession,
    state: State,
    plan: Plan,
    stages: Stages,
    max_failure_ratio: float = 1.0,
) -> list[StageResult]:
    """Work on the planned scenes; one result for each stage.

    Parameters and errors are those of `in_waves`.
    """
    _remember(state, plan)
    unreadable = _told(state.log, _refuse(state.log, plan.unreadable))
    through = partial(_through_stages, state.log, stages)
    results = in_order_of_trust(spark, state, plan.scenes, through, max_failure_ratio)
    refresh_index(state.log)
    by_stage = {stage: StageResult(stage, 0.0) for stage in stages}
    by_stage |= {result.stage: result for result in results}
    by_stage["ingest"].outcomes.extend(unreadable + _given_up(plan))
    by_stage["ingest"].passed_over.extend(plan.archive.passed_over)
    return list(by_stage.values())


def whole_archive(
    spark: SparkSession, state: State, source: str, stages: Stages
) -> tuple[Plan, list[StageResult]]:
    """All scenes of an archive: those that are done and superseded are counted too."""
    started = time.monotonic()
    plan = make_plan(spark, state, source, stages)
    planned = time.monotonic() - started
    results = carry_out(spark, state, plan, stages)
    results[0] = replace(results[0], seconds=results[0].seconds + planned)
    for result in results:
        result.outcomes.sort(key=lambda outcome: (outcome.name, outcome.source))
    done, superseded = (plan.counts.get(kind, 0) for kind in ("done", "superseded"))
    rests: list[dict[SceneState, int]] = [{"skipped": done} for _ in results]
    rests[0]["superseded"] = superseded
    return plan, [replace(result, rest=rest) for result, rest in zip(results, rests, strict=True)]


def on_index(
    spark: SparkSession,
    state: State,
    name: str,
    configuration: Configuration,
    work: Callable[[Sequence[SceneRecord], Entries], list[Outcome]],
    selection: Selection,
) -> tuple[list[SceneRecord], StageResult]:
    """One stage over selected scenes of the workspace, and these; what is done is not looked at.

    Raises
    ------
    WorkspaceError
        No scene is selected.
    JobError
        Spark gave up.
    """
    started = time.monotonic()
    entries = {stage: state.log.outlines(stage) for stage in (_INPUT[name], name)}
    planning = WorkspaceState(entries, {name: _held(state.listing, name, configuration)})
    scenes = selection.of(state.log.scenes(), str(state.workspace.root))

    def is_done(scene: SceneRecord) -> bool:
        made = entries[_INPUT[name]].get(scene.scene_id)
        key = made.key if made is not None else ""
        return first_stage_due(scene.scene_id, key, planning, {name: configuration})[0] == "done"

    def through(
        wave: Sequence[DueScene[SceneRecord]], known: Entries, last: bool
    ) -> list[StageResult]:
        with in_flight(state.workspace, [scene.name for scene in wave]):
            outcomes = work([scene.scene for scene in wave], known)
            return [StageResult(name, 1.0, _told(state.log, outcomes, last))]

    due = [DueScene(scene, name) for scene in scenes if not is_done(scene)]
    results = in_order_of_trust(spark, state, due, through)
    outcomes = [outcome for result in results for outcome in result.outcomes]
    refresh_index(state.log)
    outcomes.sort(key=lambda outcome: outcome.name)
    rest: dict[SceneState, int] = {"skipped": len(scenes) - len(due)}
    return scenes, StageResult(name, time.monotonic() - started, outcomes, rest)


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

    A suspect is a scene that Python workers, or the job before this one, died of (`commit.begun`).
    Of what the store does not give at the second try either the outcomes tell the cause.

    Parameters and errors are those of `in_waves`.
    """
    started, names = time.monotonic(), [scene.name for scene in scenes]
    known = _entries(state.log, names)
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
    known = _entries(state.log, [scene.name for scene in [*unanswered, *last]])
    second = in_waves(spark, unanswered, partial(_wave, through, known, True))
    for scene in last:
        log.warning("%s: Python workers or jobs died of it; it is tried alone", scene.name)
        try_alone(state.workspace, scene.name)
        second += _wave(through, known, True, [scene])
        forget(state.workspace, [scene.name])
    forget(state.workspace, names)
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


def _entries(log: Log, names: Collection[str]) -> dict[str, dict[str, LedgerEntry]]:
    return {stage: log.entries(stage, names) for stage in STAGES}


def _wave(
    through: Through[S], known: Entries, last: bool, wave: Sequence[DueScene[S]]
) -> list[StageResult]:
    names = {scene.name for scene in wave}
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


def _through_stages(
    log: Log, stages: Stages, wave: Sequence[DueScene[Granule]], known: Entries, last: bool
) -> list[StageResult]:
    """A wave of scenes through all stages; what fails in one is left out of the next.

    The log is told after each stage, and until the last one a note says which scenes are at work.
    """
    order, results, going = list(stages), [], list(wave)
    told = {stage: dict(entries) for stage, entries in known.items()}
    with in_flight(log.workspace, [scene.name for scene in wave]):
        for place, (name, stage) in enumerate(stages.items()):
            started = time.monotonic()
            due = [scene.scene for scene in going if order.index(scene.stage) <= place]
            waiting = [scene.scene for scene in going if order.index(scene.stage) > place]
            outcomes = stage.work(due, told) if due else []
            told[name] |= {outcome.name: outcome.entry for outcome in outcomes if outcome.entry}
            outcomes = _told(log, outcomes, last)
            outcomes += [Outcome(scene.scene_id, "skipped", scene.source) for scene in waiting]
            failed = {outcome.name for outcome in outcomes if outcome.state == "failed"}
            going = [scene for scene in going if scene.name not in failed]
            results.append(StageResult(name, time.monotonic() - started, outcomes))
    return results


def _told(log: Log, outcomes: Sequence[Outcome], last: bool = True) -> list[Outcome]:
    """The outcomes, of which the log knows now: those that stand."""
    standing = (outcome for outcome in outcomes if last or not outcome.again)
    log.append([outcome.entry for outcome in standing if outcome.entry is not None])
    return [replace(outcome, entry=None) for outcome in outcomes]


def _remember(state: State, plan: Plan) -> None:
    """Keep what the survey found, and drop failures of products that can be read by now."""
    looked_at = plan.archive.sources
    if plan.archive.opened:
        others = read_catalogue(state.workspace).of_products(looked_at, others=True)
        write_catalogue(state.workspace, others + plan.archive.lasting)
    past = past_failures(plan.archive, state.log.never_done("ingest"))
    gone = [n for n, source in past.items() if source in looked_at or not exists(path_of(source))]
    state.log.forget("ingest", gone)


def _refuse(log: Log, unreadable: Sequence[Unreadable]) -> list[Outcome]:
    """Failures of what could not be read when the plan was made."""
    before = log.entries("ingest", [item.name for item in unreadable])
    return [_refused(item, before.get(item.name)) for item in unreadable]


def _refused(item: Unreadable, before: LedgerEntry | None) -> Outcome:
    if item.cause == "store":
        return Outcome(item.name, "failed", item.source, reason=item.reason, cause="store")
    attempt = Attempt("ingest", item.name, item.signature, item.source, before)
    return replace(attempt.refuse(item.reason), cause=item.cause)


def _given_up(plan: Plan) -> list[Outcome]:
    """What is left as it is since it failed too often; it is said every time."""
    return [
        Outcome(d.name, "given-up", d.source, reason=f"failed {d.attempts} x: {d.reason}")
        for d in plan.decisions
        if d.kind == "given-up"
    ]


def _held(listing: Listing, stage: str, configuration: Configuration) -> set[str]:
    """Scenes whose files of a stage are all there."""
    whole = listing.names(stage)
    if configuration.get("mask_above") is not None:
        whole &= listing.masked.keys()
    return whole


def _is_selected(decision: Decision, selection: Selection) -> bool:
    return not isinstance(decision.found, Granule) or selection.takes(decision.found)
