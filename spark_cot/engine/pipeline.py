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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spark_cot.commit.flight import in_flight
from spark_cot.commit.ledger import STAGES, Entries, LedgerEntry
from spark_cot.commit.listing import Listing
from spark_cot.commit.log import Log
from spark_cot.commit.state import State, refresh_index
from spark_cot.engine.attempt import Attempt
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.survey import survey
from spark_cot.engine.waves import in_waves
from spark_cot.plan.decide import (
    Configuration,
    Decision,
    DueScene,
    Plan,
    StageWork,
    WorkspaceState,
    damaged_generations,
    decide,
    first_stage_due,
    generation_name,
    past_failures,
)
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
    found = discover(source)
    archive = survey(spark, found.products, read_catalogue(state.workspace))
    archive = replace(archive, passed_over=found.passed_over)
    configurations = {name: stage.configuration for name, stage in stages.items()}
    decisions = decide(archive, planning_state(state, configurations), configurations, retries)
    if selection is not None:
        decisions = (d for d in decisions if _is_selected(d, selection))
    plan = Plan.of(archive, decisions, newest_first, most)
    due = {scene.name: scene.stage for scene in plan.scenes}
    return replace(plan, work=_work(state.log, list(stages), due))


def _work(log: Log, stages: Sequence[str], due: Mapping[str, str]) -> list[StageWork]:
    """What stages have to do with scenes that are ``due`` from a stage on."""
    if not due:
        return []
    rows = log.rows(["size"])
    known = zip(*(rows[name].to_pylist() for name in ("stage", "name", "size")), strict=True)
    sizes: dict[str, dict[str, int]] = {stage: {} for stage in stages}
    for stage, name, size in known:
        if stage in sizes and size > 0:
            sizes[stage][name] = size
    work = []
    for place, stage in enumerate(stages):
        names = [name for name, first in due.items() if stages.index(first) <= place]
        replaced = [sizes[stage][name] for name in names if name in sizes[stage]]
        written = None
        if sizes[stage]:
            mean = sum(sizes[stage].values()) / len(sizes[stage])
            written = sum(replaced) + round(mean * (len(names) - len(replaced)))
        work.append(StageWork(stage, len(names), sum(replaced), written))
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
    names = [scene.name for scene in plan.scenes]
    before = {stage: state.log.entries(stage, names) for stage in STAGES}
    wave = partial(_through_stages, state.log, stages, before)
    results = in_waves(spark, plan.scenes, wave, max_failure_ratio)
    refresh_index(state.log)
    by_stage = {stage: StageResult(stage, 0.0) for stage in stages}
    by_stage |= {result.stage: result for result in results}
    by_stage["ingest"].outcomes.extend(unreadable)
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

    def wave(part: Sequence[SceneRecord]) -> list[StageResult]:
        with in_flight(state.workspace, [scene.scene_id for scene in part]):
            return [StageResult(name, 1.0, _told(state.log, work(part, known)))]

    plan = Plan.of(Archive(), map(decision, scenes))
    doing = {decision.name for decision in plan.decisions}
    announce(replace(plan, work=_work(state.log, [name], dict.fromkeys(doing, name))))
    if dry_run:
        return scenes, StageResult(name, 0.0)
    due = [scene for scene in scenes if scene.scene_id in doing]
    known = {stage: state.log.entries(stage, doing) for stage in entries}
    outcomes = [o for result in in_waves(spark, due, wave) for o in result.outcomes]
    refresh_index(state.log)
    outcomes.sort(key=lambda outcome: outcome.name)
    rest: dict[SceneState, int] = {"skipped": len(scenes) - len(due)}
    return scenes, StageResult(name, time.monotonic() - started, outcomes, rest)


def _through_stages(
    log: Log, stages: Stages, before: Entries, wave: Sequence[DueScene]
) -> list[StageResult]:
    """A wave of scenes through all stages; what fails in one is left out of the next.

    The log is told after each stage, and until the last one a note says which scenes are at work.
    """
    order, results, going = list(stages), [], list(wave)
    names = [scene.name for scene in wave]
    known = {stage: {n: e[n] for n in names if n in e} for stage, e in before.items()}
    with in_flight(log.workspace, names):
        for place, (name, stage) in enumerate(stages.items()):
            started = time.monotonic()
            due = [scene.granule for scene in going if order.index(scene.stage) <= place]
            waiting = [scene.granule for scene in going if order.index(scene.stage) > place]
            outcomes = stage.work(due, known) if due else []
            if name == "ingest":
                outcomes = _with_elders(stage, going, outcomes, known)
            known[name] |= {outcome.name: outcome.entry for outcome in outcomes if outcome.entry}
            outcomes = _told(log, outcomes)
            outcomes += [Outcome(scene.scene_id, "skipped", scene.source) for scene in waiting]
            failed = {outcome.name for outcome in outcomes if outcome.state == "failed"}
            going = [scene for scene in going if scene.name not in failed]
            results.append(StageResult(name, time.monotonic() - started, outcomes))
    return results


def _with_elders(
    stage: Stage, wave: Sequence[DueScene], outcomes: list[Outcome], known: Entries
) -> list[Outcome]:
    """The outcomes of an ingest, in which older generations stand in for damaged newer ones.

    The failure of a newer one has a name of its own, so that the scene goes on.
    """
    trying = {scene.name: scene for scene in wave}
    ended: list[Outcome] = []
    while True:
        failed = {
            outcome.name: outcome
            for outcome in outcomes
            if outcome.state == "failed" and trying[outcome.name].elder is not None
        }
        ended += [outcome for outcome in outcomes if outcome.name not in failed]
        if not failed:
            return ended
        ended += [_given_way(trying[name], outcome) for name, outcome in failed.items()]
        elders = [elder for name in failed if (elder := trying[name].elder) is not None]
        trying = {elder.name: elder for elder in elders}
        due = [elder.granule for elder in elders if elder.stage == "ingest"]
        outcomes = stage.work(due, known) if due else []
        outcomes += [
            Outcome(elder.name, "skipped", elder.granule.source)
            for elder in elders
            if elder.stage != "ingest"
        ]


def _given_way(scene: DueScene, failure: Outcome) -> Outcome:
    """The failure of a generation in whose place an older one is taken."""
    granule, elder = scene.granule, scene.elder
    name = generation_name(granule)
    instead = Path(elder.granule.source).name if elder is not None else ""
    why = f"{failure.reason}. Until it is repaired an older generation is taken, {instead}"
    entry = LedgerEntry(
        "ingest",
        name,
        granule.signature,
        "failed",
        source=granule.source,
        attempt=scene.attempts + 1,
        error=why,
    )
    return Outcome(name, "failed", granule.source, reason=why, entry=entry)


def _told(log: Log, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, of which the log knows now."""
    log.append([outcome.entry for outcome in outcomes if outcome.entry is not None])
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
    return [
        Attempt("ingest", i.name, i.signature, i.source, before.get(i.name)).refuse(i.reason)
        for i in unreadable
    ]


def _held(listing: Listing, stage: str, configuration: Configuration) -> set[str]:
    """Scenes whose files of a stage are all there."""
    whole = set(listing.committed[stage])
    if configuration.get("mask_above") is not None:
        whole &= listing.masked
    return whole


def _is_selected(decision: Decision, selection: Selection) -> bool:
    return not isinstance(decision.found, Granule) or selection.takes(decision.found)
