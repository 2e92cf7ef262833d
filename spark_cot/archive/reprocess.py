"""Reprocess: what is new, changed, outdated or unfinished in an archive, within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_cot.archive.options import ReprocessOptions
from spark_cot.archive.products import list_products
from spark_cot.archive.run import all_stages
from spark_cot.archive.settings import at_work
from spark_cot.commit.state import State
from spark_cot.engine.outcome import StageResult
from spark_cot.engine.pipeline import Announce, Stages, carry_out, make_plan
from spark_cot.plan.decide import Plan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def reprocess(
    spark: SparkSession, options: ReprocessOptions, announce: Announce
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
    with at_work("reprocess", options) as (state, options):
        stages = all_stages(spark, state.workspace, options)
        plan = _plan(spark, state, stages, options)
        announce(plan)
        if options.dry_run:
            return []
        results = carry_out(spark, state, plan, stages, options.max_failure_ratio)
        list_products(state, plan.granules, results)
    return [r for r in results if r.outcomes or r.passed_over or r.count("superseded")]


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
