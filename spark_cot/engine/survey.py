"""What an archive holds, looked at by many tasks at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Final

from spark_cot.engine.tasks import run_tasks
from spark_cot.plan.sources import Archive, Granule, look_at
from spark_cot.safe import ProductPath

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Products looked at by one Spark task, at most.
PRODUCTS_PER_TASK: Final = 200


def survey(
    spark: SparkSession, products: Sequence[ProductPath], known: Iterable[Granule]
) -> Archive:
    """Granules of ``products``; only those whose signature is not that of ``known`` are opened."""
    remembered: dict[str, list[Granule]] = {}
    for granule in known:
        remembered.setdefault(granule.source, []).append(granule)
    tasks = [(product, tuple(remembered.get(product.path, ()))) for product in products]
    fair = len(tasks) // (4 * spark.sparkContext.defaultParallelism)
    size = min(PRODUCTS_PER_TASK, max(1, fair))
    slices = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    found = run_tasks(spark, "Looking at products", slices, look_at)
    return reduce(add, found, Archive())
