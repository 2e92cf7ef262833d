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

from spark_cot.commit.inventory import files_of, relative
from spark_cot.commit.ledger import Ledger, LedgerEntry
from spark_cot.commit.strays import OF_SCENES
from spark_cot.engine.attempt import Attempt
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.survey import survey
from spark_cot.engine.waves import in_waves
from spark_cot.plan.decide import (
    Configuration,
    Decision,
    DueScene,
    Plan,
    WorkspaceState,
    choose,
    decide,
    first_stage_due,
)
from spark_cot.plan.select import Selection
from spark_cot.plan.sources import Granule, Unreadable, read_catalogue, write_catalogue
from spark_cot.safe import discover
from spark_cot.storage import path_of, sizes
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Stages that read what another has written.
_INPUT: Final = {"apply": "ingest", "products": "apply"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage with its configuration, and the function that puts some scenes through it."""

    configuration: Configuration
    work: Callable[[list[Granule]], list[Outcome]]


#: By name, in the order in which they follow each other.
Stages = Mapping[str, Stage]


def make_plan(
    spark: SparkSession,
    workspace: Workspace,
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
    workspace : Workspace
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
    archive = survey(spark, discover(source), read_catalogue(workspace))
    configurations = {name: stage.configuration for name, stage in stages.items()}
    decisions = decide(archive, state_of(workspace, configurations), configurations, retries)
    if selection is not None:
        decisions = [d for d in decisions if _is_selected(d, selection)]
    return Plan(archive, decisions, choose(decisions, newest_first, most))


def state_of(workspace: Workspace, configurations: Mapping[str, Configuration]) -> WorkspaceState:
    """What the workspace says of these stages."""
    entries = {stage: Ledger(workspace, stage).entries() for stage in configurations}
    there = {
        relative(workspace, path): size
        for folder in OF_SCENES
        for path, size in sizes(workspace.root / folder).items()
    }
    return WorkspaceState(entries, {stage: _held(found, there) for stage, found in entries.items()})


def carry_out(
    spark: SparkSession,
    workspace: Workspace,
    plan: Plan,
    stages: Stages,
    max_failure_ratio: float = 1.0,
) -> list[StageResult]:
    """Work on the planned scenes; one result for each stage.

    Parameters and errors are those of `in_waves`.
    """
    _remember(workspace, plan)
    unreadable = [_record(workspace, item) for item in plan.unreadable]
    wave = partial(_through_stages, stages)
    results = in_waves(spark, plan.scenes, wave, max_failure_ratio)
    by_stage = {stage: StageResult(stage, 0.0) for stage in stages}
    by_stage |= {result.stage: result for result in results}
    by_stage["ingest"].outcomes.extend(unreadable)
    return list(by_stage.values())


def whole_archive(
    spark: SparkSession, workspace: Workspace, source: str, stages: Stages
) -> list[StageResult]:
    """All scenes of an archive: those that are done and superseded have outcomes too."""
    started = time.monotonic()
    plan = make_plan(spark, workspace, source, stages)
    planned = time.monotonic() - started
    results = carry_out(spark, workspace, plan, stages)
    skipped = [Outcome(d.name, "skipped", d.source) for d in plan.of("done")]
    for result in results:
        result.outcomes.extend(skipped)
    results[0] = replace(results[0], seconds=results[0].seconds + planned)
    results[0].outcomes.extend(
        Outcome(d.name, "superseded", d.source, reason=d.reason) for d in plan.of("superseded")
    )
    for result in results:
        result.outcomes.sort(key=lambda outcome: (outcome.name, outcome.source))
    return [result for result in results if result.outcomes]


def on_index(
    spark: SparkSession,
    workspace: Workspace,
    name: str,
    configuration: Configuration,
    work: Callable[[Sequence[SceneRecord]], list[Outcome]],
    scenes: Sequence[SceneRecord],
) -> StageResult:
    """One stage over scenes of the index; what the ledger calls done is not looked at."""
    started = time.monotonic()
    state = state_of(workspace, {name: configuration})
    inputs = Ledger(workspace, _INPUT[name]).entries()

    def is_done(scene: SceneRecord) -> bool:
        made = inputs.get(scene.scene_id)
        key = made.key if made is not None else ""
        return first_stage_due(scene.scene_id, key, state, {name: configuration})[0] == "done"

    def wave(part: Sequence[SceneRecord]) -> list[StageResult]:
        return [StageResult(name, 1.0, work(part))]

    due = [scene for scene in scenes if not is_done(scene)]
    doing = {scene.scene_id for scene in due}
    outcomes = [Outcome(s.scene_id, "skipped", s.source) for s in scenes if s.scene_id not in doing]
    for result in in_waves(spark, due, wave):
        outcomes += result.outcomes
    outcomes.sort(key=lambda outcome: outcome.name)
    return StageResult(name, time.monotonic() - started, outcomes)


def _through_stages(stages: Stages, wave: Sequence[DueScene]) -> list[StageResult]:
    """A wave of scenes through all stages; what fails in one is left out of the next."""
    order, results, going = list(stages), [], list(wave)
    for place, (name, stage) in enumerate(stages.items()):
        started = time.monotonic()
        due = [scene.granule for scene in going if order.index(scene.stage) <= place]
        waiting = [scene.granule for scene in going if order.index(scene.stage) > place]
        outcomes = stage.work(due) if due else []
        outcomes += [Outcome(scene.scene_id, "skipped", scene.source) for scene in waiting]
        failed = {outcome.name for outcome in outcomes if outcome.state == "failed"}
        going = [scene for scene in going if scene.name not in failed]
        results.append(StageResult(name, time.monotonic() - started, outcomes))
    return results


def _remember(workspace: Workspace, plan: Plan) -> None:
    """Keep what the survey found, and drop failures of products that can be read by now."""
    looked_at = {granule.source for granule in plan.archive.granules}
    looked_at |= {item.source for item in plan.archive.unreadable}
    others = (g for g in read_catalogue(workspace) if g.source not in looked_at)
    if plan.archive.opened:
        write_catalogue(workspace, [*others, *plan.archive.lasting])
    ledger = Ledger(workspace, "ingest")
    current = {granule.scene_id for granule in plan.archive.granules}
    current |= {item.name for item in plan.archive.unreadable}
    for name, entry in ledger.entries().items():
        is_past = entry.source in looked_at or not path_of(entry.source).exists()
        if name not in current and not entry.facts and is_past:
            ledger.forget(name)


def _record(workspace: Workspace, item: Unreadable) -> Outcome:
    """The failure of what could not be read when the plan was made."""
    attempt = Attempt.next(Ledger(workspace, "ingest"), item.name, item.signature, item.source)
    return attempt.refuse(item.reason)


def _held(entries: Mapping[str, LedgerEntry], there: Mapping[str, int]) -> set[str]:
    """Scenes whose recorded files are all there, and of their size."""
    return {
        name
        for name, entry in entries.items()
        if all(there.get(path) == record["bytes"] for path, record in files_of(entry).items())
    }


def _is_selected(decision: Decision, selection: Selection) -> bool:
    return not isinstance(decision.found, Granule) or selection.takes(decision.found)
