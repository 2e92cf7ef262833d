"""What an archive holds, looked at by many tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spark_cot.engine.tasks import run_tasks
from spark_cot.plan.sources import Archive, Granules, look_at, told_apart
from spark_cot.safe import ProductPath

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Products looked at by one Spark task, at most.
PRODUCTS_PER_TASK: Final = 200


def survey(spark: SparkSession, products: Sequence[ProductPath], known: Granules) -> Archive:
    """Granules of ``products``; only those whose signature is not that of ``known`` are opened.

    Tasks are sent signatures and send back what they opened; what is unchanged stays where it is.
    """
    signatures = known.signatures
    tasks = [(product, signatures.get(product.path, "")) for product in products]
    fair = len(tasks) // (4 * spark.sparkContext.defaultParallelism)
    size = min(PRODUCTS_PER_TASK, max(1, fair))
    slices = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    opened = Archive.merged(run_tasks(spark, "Looking at products", slices, look_at))
    unchanged = known.of_products({product.path for product in products} - opened.sources)
    faults = told_apart(opened.unreadable)
    return replace(opened, granules=unchanged + opened.granules, unreadable=faults)
