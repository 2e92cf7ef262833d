"""The main job: ingest an archive, apply a model, write products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spark_cot.archive.apply import apply_stage
from spark_cot.archive.ingest import ingest_stage
from spark_cot.archive.products import list_products, products_stage
from spark_cot.commit.lock import locked
from spark_cot.engine.outcome import StageResult
from spark_cot.engine.pipeline import Stages, whole_archive
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.safe import Downsampling
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(
    spark: SparkSession,
    source: str,
    out: Path,
    bundle: Bundle,
    resolution: int = 20,
    downsampling: Downsampling = Downsampling.EXACT,
    thresholds: Thresholds | None = None,
    mask_above: float | None = None,
) -> list[StageResult]:
    """All stages over an archive; each works on the scenes the last one left good.

    Parameters and errors are those of `ingest`, `apply` and `products`.
    """
    workspace = Workspace.create(out, resolution)
    with locked(workspace, "run"):
        stages = all_stages(spark, workspace, bundle, downsampling, thresholds, mask_above)
        results = whole_archive(spark, workspace, source, stages)
        list_products(workspace)
    return results


def all_stages(
    spark: SparkSession,
    workspace: Workspace,
    bundle: Bundle,
    downsampling: Downsampling,
    thresholds: Thresholds | None,
    mask_above: float | None,
) -> Stages:
    """The stages from a product to a map of optical thickness."""
    return {
        "ingest": ingest_stage(spark, workspace, downsampling),
        "apply": apply_stage(spark, workspace, bundle, thresholds),
        "products": products_stage(spark, workspace, mask_above),
    }
