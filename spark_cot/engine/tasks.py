"""One Spark task per piece of work, with progress, and failures that stay with their scene."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from py4j.protocol import Py4JError

from spark_cot.errors import JobError
from spark_cot.progress import Show, progress

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS: Final = 0.5


def run_tasks(
    spark: SparkSession, title: str, tasks: Sequence[T], function: Callable[[T], R]
) -> list[R]:
    """Apply ``function`` to each of ``tasks``, one Spark task each, and give the results in order.

    ``function`` runs in executors; it and the tasks must be picklable. Results should be small:
    pixels go to files. Tasks start in the order given.

    Raises
    ------
    JobError
        Spark gave up: a task died as often as ``spark.task.maxFailures`` allows, or the cluster
        went away.
    """
    if not tasks:
        return []
    context = spark.sparkContext
    try:
        with _watched(context, title, len(tasks)):
            return context.parallelize(tasks, len(tasks)).map(function).collect()
    except Py4JError as error:
        raise JobError(
            f"Spark gave up: {java_message(error)}",
            title,
            "What is finished is kept; run again. If Python workers were killed for memory, "
            "use fewer cores per executor or give each more memory",
        ) from error


def java_message(error: Exception) -> str:
    """First line of the Java exception, or of the error itself."""
    java = getattr(error, "java_exception", None)
    return str(java.getMessage() if java is not None else error).splitlines()[0]


@contextmanager
def _watched(context: SparkContext, title: str, total: int) -> Iterator[None]:
    """Show how many tasks of the Spark jobs of the block have ended."""
    group = uuid.uuid4().hex
    context.setJobGroup(group, title)
    stop = threading.Event()
    with progress(title, total, "tasks") as show:
        arguments = (context, group, show, stop)
        watcher = threading.Thread(target=_watch, args=arguments)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
        show(total)  # the last look may have been before the last task ended


def _watch(context: SparkContext, group: str, show: Show, stop: threading.Event) -> None:
    while not stop.wait(_POLL_SECONDS):
        show(_completed(context, group))


def _completed(context: SparkContext, group: str) -> int:
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    return sum(stage.numCompletedTasks for stage in stages if stage)
