"""What an archive holds, looked at by many tasks at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

from spark_cot.engine.attempt import CURE_OF_DEATH
from spark_cot.engine.tasks import run_tasks, this_try, wait_for_next_try
from spark_cot.errors import StoreError
from spark_cot.plan.sources import (
    Archive,
    Granules,
    Unreadable,
    look_at,
    signature,
    told_apart,
)
from spark_cot.safe import ProductPath

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Products looked at by one Spark task, at most.
PRODUCTS_PER_TASK: Final = 1000


def survey(spark: SparkSession, products: Sequence[ProductPath], known: Granules) -> Archive:
    """Granules of ``products``; only those whose signature is not that of ``known`` are opened.

    Tasks are sent signatures and send back what they opened; what is unchanged stays where it is.
    """
    signatures = known.signatures
    tasks = [(product, signatures.get(product.path, "")) for product in products]
    fair = len(tasks) // (4 * spark.sparkContext.defaultParallelism)
    size = min(PRODUCTS_PER_TASK, max(1, fair))
    slices = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    opened = Archive.merged(run_tasks(spark, "Looking at products", slices, _look_at))
    unchanged = known.of_products({product.path for product in products} - opened.sources)
    faults = told_apart(opened.unreadable)
    return replace(opened, granules=unchanged + opened.granules, unreadable=faults)


def _look_at(products: Sequence[tuple[ProductPath, str]]) -> Archive:
    """What they hold; if the store did not answer the task is tried again, as far as Spark does.

    If it is, the worker may have died of one of them, so each is looked at by a process of its own.
    """
    found = look_at(products) if this_try().number == 0 else Archive.merged(_each(products))
    unanswered = [item for item in found.unreadable if item.cause == "store"]
    if unanswered and wait_for_next_try():
        raise StoreError(unanswered[0].reason, unanswered[0].source)
    return found


def _each(products: Iterable[tuple[ProductPath, str]]) -> Iterator[Archive]:
    for product, before in products:
        try:
            with ProcessPoolExecutor(1, get_context("fork")) as pool:
                yield pool.submit(look_at, [(product, before)]).result()
        except BrokenProcessPool:
            why = f"a process dies of looking at it. {CURE_OF_DEATH}"
            now = signature(product.path)
            fault = Unreadable(product.name, product.path, now, why, "resources")
            yield Archive(unreadable=[fault], opened=1)
