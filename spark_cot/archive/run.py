"""The main job: ingest an archive, apply a model, write products."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from spark_cot.archive.apply import apply
from spark_cot.archive.ingest import ingest
from spark_cot.archive.outcome import StageResult
from spark_cot.archive.products import products
from spark_cot.archive.select import Selection
from spark_cot.learn import Bundle, Thresholds
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
) -> Iterator[StageResult]:
    """Give the result of each stage as it ends; each works on the scenes the last one left good.

    Parameters and errors are those of `ingest`, `apply` and `products`.
    """
    result = ingest(spark, source, out, resolution, downsampling)
    yield result
    workspace = Workspace.open(out)
    if good := _good(result):
        result = apply(spark, workspace, bundle, thresholds, good)
        yield result
    if good := _good(result):
        yield products(spark, workspace, mask_above, good)


def _good(result: StageResult) -> Selection | None:
    """The scenes that are done, now or before; None if there are none."""
    good = ("done", "skipped")
    names = tuple(outcome.name for outcome in result.outcomes if outcome.state in good)
    return Selection(scene_ids=names) if names else None
