"""Reprocess: what is new, changed, outdated or unfinished in an archive, within limits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from spark_cot.archive.options import ReprocessOptions
from spark_cot.archive.products import list_products
from spark_cot.archive.run import all_stages
from spark_cot.commit.lock import locked
from spark_cot.commit.state import State, look, take_up
from spark_cot.engine.outcome import StageResult
from spark_cot.engine.pipeline import Stages, carry_out, make_plan
from spark_cot.plan.decide import Plan
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def reprocess(
    spark: SparkSession, options: ReprocessOptions, announce: Callable[[Plan], None]
) -> list[StageResult]:
    """Plan, announce the plan, and carry it out; with ``dry_run`` nothing is written.

    Parameters
    ----------
    spark : SparkSession
    options : ReprocessOptions
        No further scenes are begun once a larger share than ``max_failure_ratio`` has failed;
        what cannot be read does not count among ``max_scenes``.
    announce : callable
        Told the plan.

    Returns
    -------
    list[StageResult]
        Outcomes of the planned scenes only.

    Raises
    ------
    SparkCotError
        As `run`.
    """
    workspace = _workspace(options)
    with nullcontext() if options.dry_run else locked(workspace, "reprocess"):
        state = look(workspace) if options.dry_run else take_up(workspace)
        stages = all_stages(spark, state.workspace, options)
        plan = _plan(spark, state, stages, options)
        announce(plan)
        if options.dry_run:
            return []
        results = carry_out(spark, state, plan, stages, options.max_failure_ratio)
        list_products(state, plan.granules, results)
    return [result for result in results if result.outcomes or result.passed_over]


def _workspace(options: ReprocessOptions) -> Workspace:
    """The workspace, which a dry run does not make."""
    if options.dry_run and not Workspace.exists(options.out):
        return Workspace(options.out.absolute(), options.resolution)
    return Workspace.create(options.out, options.resolution)


def _plan(spark: SparkSession, state: State, stages: Stages, options: ReprocessOptions) -> Plan:
    return make_plan(
        spark,
        state,
        options.archive,
        stages,
        retries=options.retry_failed,
        selection=options.selection,
        newest_first=options.order == "newest",
        most=options.max_scenes,
    )
