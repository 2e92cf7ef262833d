"""An archive through the stages: survey, plan, and the scenes that have work to do.

What `ingest`, `run` and `reprocess` share. They differ in their stages and in which of the planned
scenes they take.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from spark_cot.commit.inventory import files_of
from spark_cot.commit.ledger import Ledger, LedgerEntry
from spark_cot.commit.listing import Listing, list_tables
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
    decide,
    first_stage_due,
    past_failures,
)
from spark_cot.plan.select import Selection
from spark_cot.plan.sources import Granule, Unreadable, read_catalogue, write_catalogue
from spark_cot.report.run import State
from spark_cot.safe import discover
from spark_cot.storage import path_of
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: The tables that a stage writes.
_TABLES: Final = {
    "ingest": ("pixels", "scenes"),
    "apply": ("cot",),
    "products": ("products", "masked"),
}

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
    listing = list_stages(workspace, stages)
    state = state_of(workspace, configurations, listing)
    decisions = decide(archive, state, configurations, retries)
    if selection is not None:
        decisions = (d for d in decisions if _is_selected(d, selection))
    return Plan.of(archive, decisions, listing, newest_first, most)


def list_stages(workspace: Workspace, stages: Iterable[str]) -> Listing:
    """The tables that these stages write."""
    return list_tables(workspace, [table for stage in stages for table in _TABLES[stage]])


def state_of(
    workspace: Workspace, configurations: Mapping[str, Configuration], listing: Listing
) -> WorkspaceState:
    """What the workspace says of these stages, whose tables are listed."""
    entries = {stage: Ledger(workspace, stage).entries() for stage in configurations}
    held = {stage: _held(found, listing) for stage, found in entries.items()}
    return WorkspaceState(entries, held)


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
) -> tuple[Plan, list[StageResult]]:
    """All scenes of an archive: those that are done and superseded are counted too."""
    started = time.monotonic()
    plan = make_plan(spark, workspace, source, stages)
    planned = time.monotonic() - started
    results = carry_out(spark, workspace, plan, stages)
    results[0] = replace(results[0], seconds=results[0].seconds + planned)
    for result in results:
        result.outcomes.sort(key=lambda outcome: (outcome.name, outcome.source))
    done, superseded = (plan.counts.get(kind, 0) for kind in ("done", "superseded"))
    rests: list[dict[State, int]] = [{"skipped": done} for _ in results]
    rests[0]["superseded"] = superseded
    return plan, [replace(result, rest=rest) for result, rest in zip(results, rests, strict=True)]


def on_index(
    spark: SparkSession,
    workspace: Workspace,
    name: str,
    configuration: Configuration,
    work: Callable[[Sequence[SceneRecord]], list[Outcome]],
    scenes: Sequence[SceneRecord],
    listing: Listing,
) -> StageResult:
    """One stage over scenes of the index; what the ledger calls done is not looked at."""
    started = time.monotonic()
    state = state_of(workspace, {name: configuration}, listing)
    inputs = Ledger(workspace, _INPUT[name]).entries()

    def is_done(scene: SceneRecord) -> bool:
        made = inputs.get(scene.scene_id)
        key = made.key if made is not None else ""
        return first_stage_due(scene.scene_id, key, state, {name: configuration})[0] == "done"

    def wave(part: Sequence[SceneRecord]) -> list[StageResult]:
        return [StageResult(name, 1.0, work(part))]

    due = [scene for scene in scenes if not is_done(scene)]
    outcomes = [o for result in in_waves(spark, due, wave) for o in result.outcomes]
    outcomes.sort(key=lambda outcome: outcome.name)
    rest: dict[State, int] = {"skipped": len(scenes) - len(due)}
    return StageResult(name, time.monotonic() - started, outcomes, rest)


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
    looked_at = plan.archive.sources
    if plan.archive.opened:
        others = read_catalogue(workspace).of_products(looked_at, others=True)
        write_catalogue(workspace, others + plan.archive.lasting)
    ledger = Ledger(workspace, "ingest")
    for entry in past_failures(plan.archive, ledger.entries()):
        if entry.source in looked_at or not path_of(entry.source).exists():
            ledger.forget(entry.name)


def _record(workspace: Workspace, item: Unreadable) -> Outcome:
    """The failure of what could not be read when the plan was made."""
    attempt = Attempt.next(Ledger(workspace, "ingest"), item.name, item.signature, item.source)
    return attempt.refuse(item.reason)


def _held(entries: Mapping[str, LedgerEntry], listing: Listing) -> set[str]:
    """Scenes whose recorded files are all there, and of their size."""
    return {name for name, entry in entries.items() if listing.has(name, files_of(entry))}


def _is_selected(decision: Decision, selection: Selection) -> bool:
    return not isinstance(decision.found, Granule) or selection.takes(decision.found)
