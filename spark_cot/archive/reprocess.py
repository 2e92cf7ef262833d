"""Reprocess: what is new, changed, outdated or unfinished in an archive, within limits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spark_cot.archive.products import list_products
from spark_cot.archive.run import all_stages
from spark_cot.commit.lock import locked
from spark_cot.engine.outcome import StageResult
from spark_cot.engine.pipeline import Stages, carry_out, make_plan
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.plan.decide import Plan
from spark_cot.plan.select import Selection
from spark_cot.safe import Downsampling
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a plan is carried out.

    Attributes
    ----------
    selection : Selection
        Tiles and dates.
    newest_first : bool
        Else the oldest scenes come first.
    max_scenes : int, optional
        Scenes to work on at most; what cannot be read does not count.
    retry_failed : int
        How often what failed is tried again while source, model and configuration are the same.
    max_failure_ratio : float
        No further scenes are begun once a larger share has failed.
    """

    selection: Selection = field(default_factory=Selection)
    newest_first: bool = True
    max_scenes: int | None = None
    retry_failed: int = 3
    max_failure_ratio: float = 0.5


def reprocess(
    spark: SparkSession,
    source: str,
    out: Path,
    bundle: Bundle,
    limits: Limits,
    announce: Callable[[Plan], None],
    resolution: int = 20,
    downsampling: Downsampling = Downsampling.EXACT,
    thresholds: Thresholds | None = None,
    mask_above: float | None = None,
    dry_run: bool = False,
) -> list[StageResult]:
    """Plan, announce the plan, and carry it out; with ``dry_run`` nothing is written.

    Other parameters and errors are those of `run`.

    Returns
    -------
    list[StageResult]
        Outcomes of the planned scenes only.
    """
    fresh = dry_run and not Workspace.exists(out)
    workspace = (
        Workspace(out.absolute(), resolution) if fresh else Workspace.create(out, resolution)
    )
    stages = all_stages(spark, workspace, bundle, downsampling, thresholds, mask_above)
    with nullcontext() if dry_run else locked(workspace, "reprocess"):
        plan = _plan(spark, workspace, source, stages, limits)
        announce(plan)
        if dry_run:
            return []
        results = carry_out(spark, workspace, plan, stages, limits.max_failure_ratio)
        list_products(workspace)
    return [result for result in results if result.outcomes]


def _plan(
    spark: SparkSession, workspace: Workspace, source: str, stages: Stages, limits: Limits
) -> Plan:
    return make_plan(
        spark,
        workspace,
        source,
        stages,
        retries=limits.retry_failed,
        selection=limits.selection,
        newest_first=limits.newest_first,
        most=limits.max_scenes,
    )
