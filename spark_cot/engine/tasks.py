"""One Spark task per piece of work, with progress, and failures that stay with their scene."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from py4j.protocol import Py4JError

from spark_cot.commit.lock import check_lease, held_leases
from spark_cot.errors import JobError
from spark_cot.progress import Show, progress
from spark_cot.storage import path_of, worker_environment

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS: Final = 0.5
_LONGEST_PAUSE: Final = 30.0

_TRACEBACK: Final = "Traceback (most recent call last):\n"
#: The line below a traceback that says what was raised.
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]*(: |$)")

#: What to do, by what Spark says.
_RUN_AGAIN: Final = "What is finished is kept; run again"
_CURES: Final = (
    (
        re.compile(r"ModuleNotFoundError|ImportError|No module named"),
        "Install it for the Python of all nodes (PYSPARK_PYTHON); spark_cot itself may travel with "
        "--py-files spark_cot.zip",
    ),
    (
        re.compile(r"PYTHON_VERSION_MISMATCH|different version .*of Python|Cannot run program"),
        "Let PYSPARK_PYTHON name the same Python on the driver and all nodes",
    ),
    (
        re.compile(
            r"MemoryError|exited unexpectedly|crashed|ExecutorLost|OutOfMemory|exit code 137"
        ),
        "Use fewer cores per executor or give each more memory, and run again",
    ),
)

#: Name of the Spark job's property that says how often a task is tried at most.
_MOST_TRIES: Final = "spark_cot.tries"
#: And which locks the job holds.
_LEASES: Final = "spark_cot.leases"
#: ``spark.task.maxFailures`` where nobody has set it, and the master that has its own.
_DEFAULT_TRIES: Final = "4"
_LOCAL: Final = re.compile(r"local(?:\[[^,\]]*(?:,\s*(\d+)\s*)?\])?")


@dataclass(frozen=True, slots=True)
class Try:
    """Which try at a task this is, from 0, and how many there are at most."""

    number: int = 0
    most: int = 1


def this_try() -> Try:
    """The try that this code is part of; the only one outside of Spark's tasks."""
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        return Try()
    return Try(context.attemptNumber(), int(context.getLocalProperty(_MOST_TRIES) or 1))


def check_lock() -> None:
    """Before a task commits: raise WorkspaceError if its job has lost the lock meanwhile."""
    from pyspark import TaskContext

    context = TaskContext.get()
    leases = (context.getLocalProperty(_LEASES) or "") if context is not None else ""
    for lease in leases.splitlines():
        check_lease(path_of(lease))


def wait_for_next_try() -> bool:
    """Whether Spark will try this task again if it fails now; if so, after a pause.

    The pauses are 1, 2, 4, ... s long, at most `_LONGEST_PAUSE`.
    """
    now = this_try()
    if now.number + 1 >= now.most:
        return False
    time.sleep(min(2.0**now.number, _LONGEST_PAUSE))
    return True


def most_tries(context: SparkContext) -> int:
    """How often Spark tries a task before it gives up."""
    if local := _LOCAL.fullmatch(str(context.master)):
        return int(local[1] or 1)
    return int(context.getConf().get("spark.task.maxFailures", _DEFAULT_TRIES) or _DEFAULT_TRIES)


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
    from pyspark.errors import PySparkException

    if not tasks:
        return []
    context = spark.sparkContext
    if reach := worker_environment():
        context.environment.update(reach)
    try:
        with _watched(context, title, len(tasks)):
            return context.parallelize(tasks, len(tasks)).map(function).collect()
    except (Py4JError, PySparkException) as error:
        why = java_message(error)
        raise JobError(f"Spark gave up: {why}", title, _cure(why)) from error


def java_message(error: Exception) -> str:
    """What an error comes down to: the last line of Python's traceback in it, or its first line."""
    java = getattr(error, "java_exception", None)
    text = str(java.getMessage() if java is not None else error)
    _, _, last = text.rpartition(_TRACEBACK)
    raised = [line for line in last.splitlines() if _RAISED.match(line)]
    return raised[0].strip() if _TRACEBACK in text and raised else _first_line(text, error)


def _first_line(text: str, error: Exception) -> str:
    return (text.strip().splitlines() or [type(error).__name__])[0]


def _cure(why: str) -> str:
    """What to do when Spark gave up for such a reason."""
    return next((cure for sign, cure in _CURES if sign.search(why)), _RUN_AGAIN)


@contextmanager
def _watched(context: SparkContext, title: str, total: int) -> Iterator[None]:
    """Show how many tasks of the Spark jobs of the block have ended."""
    group = uuid.uuid4().hex
    context.setJobGroup(group, title)
    context.setLocalProperty(_MOST_TRIES, str(most_tries(context)))
    context.setLocalProperty(_LEASES, "\n".join(map(str, held_leases())))
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
