"""An archive through the stages: survey, plan, and the scenes that have work to do.

What `ingest`, `run` and `reprocess` share. They differ in their stages and in which of the planned
scenes they take.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from spark_cot.commit.flight import in_flight
from spark_cot.commit.ledger import Entries, LedgerEntry
from spark_cot.commit.listing import Listing
from spark_cot.commit.log import Log
from spark_cot.commit.state import State, refresh_index
from spark_cot.engine.attempt import Attempt
from spark_cot.engine.generations import with_elders
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.survey import survey
from spark_cot.engine.trust import in_order_of_trust
from spark_cot.plan.decide import (
    Configuration,
    Decision,
    DueScene,
    Plan,
    StageWork,
    WorkspaceState,
    decide,
    first_stage_due,
    past_failures,
)
from spark_cot.plan.generations import damaged_generations
from spark_cot.plan.select import Selection
from spark_cot.plan.sources import Archive, Granule, Unreadable, read_catalogue, write_catalogue
from spark_cot.report.run import State as SceneState
from spark_cot.safe import discover
from spark_cot.storage import exists, path_of
from spark_cot.tables.scenes import SceneRecord

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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

#: Is told a plan before it is carried out.
Announce = Callable[[Plan], None]


def unheard(_plan: Plan) -> None:
    """Announce a plan to nobody."""


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
    archive = _look_through(spark, state, source)
    configurations = {name: stage.configuration for name, stage in stages.items()}
    known = planning_state(state, configurations)
    decisions = decide(archive, known, configurations, retries)
    if selection is not None:
        decisions = (d for d in decisions if _is_selected(d, selection))
    plan = Plan.of(archive, decisions, newest_first, most)
    due = {scene.name: scene.stage for scene in plan.scenes}
    return replace(plan, work=_work(state.log, list(stages), due))


def _look_through(spark: SparkSession, state: State, source: str) -> Archive:
    """All that an archive holds; the paths of its products are not kept."""
    found = discover(source)
    archive = survey(spark, found.products, read_catalogue(state.workspace))
    return replace(archive, passed_over=found.passed_over)


def _work(log: Log, stages: Sequence[str], due: Mapping[str, str]) -> list[StageWork]:
    """What stages have to do with scenes that are ``due`` from a stage on."""
    if not due:
        return []
    rows, work = log.rows(["size"]), []
    rows = rows.filter(pc.greater(rows["size"], 0))
    for place, stage in enumerate(stages):
        names = [name for name, first in due.items() if stages.index(first) <= place]
        made = rows.filter(pc.equal(rows["stage"], stage))
        going = made.filter(pc.is_in(made["name"], pa.array(names, pa.string())))
        replaced, mean = pc.sum(going["size"]).as_py() or 0, pc.mean(made["size"]).as_py()
        written = replaced + round(mean * (len(names) - len(going))) if len(made) else None
        work.append(StageWork(stage, len(names), replaced, written))
    return work


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
    superseded: dict[SceneState, int] = {"superseded": plan.counts.get("superseded", 0)}
    by_stage["ingest"] = replace(by_stage["ingest"], rest=superseded)
    return list(by_stage.values())


def whole_archive(
    spark: SparkSession,
    state: State,
    source: str,
    stages: Stages,
    announce: Announce = unheard,
    dry_run: bool = False,
) -> tuple[Plan, list[StageResult]]:
    """All scenes of an archive: those that are done and superseded are counted too.

    The plan is announced, and of a dry run that is all.
    """
    started = time.monotonic()
    plan = make_plan(spark, state, source, stages)
    announce(plan)
    if dry_run:
        return plan, []
    planned = time.monotonic() - started
    results = carry_out(spark, state, plan, stages)
    results[0] = replace(results[0], seconds=results[0].seconds + planned)
    for result in results:
        result.outcomes.sort(key=lambda outcome: (outcome.name, outcome.source))
    skipped: dict[SceneState, int] = {"skipped": plan.counts.get("done", 0)}
    return plan, [replace(result, rest={**result.rest, **skipped}) for result in results]


def on_index(
    spark: SparkSession,
    state: State,
    name: str,
    configuration: Configuration,
    work: Callable[[Sequence[SceneRecord], Entries], list[Outcome]],
    selection: Selection,
    announce: Announce = unheard,
    dry_run: bool = False,
) -> tuple[list[SceneRecord], StageResult]:
    """One stage over selected scenes of the workspace, and these; what is done is not looked at.

    The plan is announced, and of a dry run that is all.

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

    def decision(scene: SceneRecord) -> Decision:
        made = entries[_INPUT[name]].get(scene.scene_id)
        key = made.key if made is not None else ""
        due = first_stage_due(scene.scene_id, key, planning, {name: configuration})
        return Decision(
            scene.scene_id, due.kind, scene.source, None, due.stage, due.attempts, due.why
        )

    def through(
        wave: Sequence[DueScene[SceneRecord]], known: Entries, last: bool
    ) -> list[StageResult]:
        with in_flight(state.workspace, [scene.name for scene in wave]):
            outcomes = work([scene.scene for scene in wave], known)
            return [StageResult(name, 1.0, _told(state.log, outcomes, last))]

    plan = Plan.of(Archive(), map(decision, scenes))
    doing = {decision.name for decision in plan.decisions}
    announce(replace(plan, work=_work(state.log, [name], dict.fromkeys(doing, name))))
    if dry_run:
        return scenes, StageResult(name, 0.0)
    due = [DueScene(scene, name) for scene in scenes if scene.scene_id in doing]
    results = in_order_of_trust(spark, state, due, through)
    outcomes = [outcome for result in results for outcome in result.outcomes]
    refresh_index(state.log)
    outcomes.sort(key=lambda outcome: outcome.name)
    rest: dict[SceneState, int] = {"skipped": len(scenes) - len(due)}
    return scenes, StageResult(name, time.monotonic() - started, outcomes, rest)


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
            if name == "ingest":
                outcomes = with_elders(stage.work, going, outcomes, told)
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
    standing = damaged_generations(plan.archive, state.log.entries("ingest", past))
    gone = [
        name
        for name, source in past.items()
        if name not in standing and (source in looked_at or not exists(path_of(source)))
    ]
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
