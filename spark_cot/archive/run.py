"""The main job: ingest an archive, apply a model, write products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_cot.archive.apply import apply_stage
from spark_cot.archive.ingest import ingest_stage
from spark_cot.archive.options import RunOptions, StagesOptions
from spark_cot.archive.products import list_products, products_stage
from spark_cot.archive.settings import at_work
from spark_cot.engine.outcome import StageResult
from spark_cot.engine.pipeline import Announce, Stages, unheard, whole_archive
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(
    spark: SparkSession, options: RunOptions, announce: Announce = unheard
) -> list[StageResult]:
    """All stages over an archive; each works on the scenes the last one left good.

    Results and errors are those of `ingest`, `apply` and `products`.
    """
    with at_work("run", options) as (state, options):
        stages = all_stages(spark, state.workspace, options)
        plan, results = whole_archive(
            spark, state, options.archive, stages, announce, options.dry_run
        )
        if not options.dry_run:
            list_products(state, plan.granules, results)
    return results


def all_stages(spark: SparkSession, workspace: Workspace, options: StagesOptions) -> Stages:
    """The stages from a product to a map of optical thickness."""
    return {
        "ingest": ingest_stage(spark, workspace, options),
        "apply": apply_stage(spark, workspace, options.bundle, options.thresholds),
        "products": products_stage(spark, workspace, options.mask),
    }
