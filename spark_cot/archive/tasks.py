"""One Spark task per piece of work, with progress, and failures that stay with their scene."""

from __future__ import annotations

import errno
import logging
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from py4j.protocol import Py4JError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from spark_cot.errors import JobError, SparkCotError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.5
_LOG_EVERY_SECONDS: Final = 30.0


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
        with _progress(context, title, len(tasks)):
            return context.parallelize(tasks, len(tasks)).map(function).collect()
    except Py4JError as error:
        raise JobError(
            f"Spark gave up: {java_message(error)}",
            title,
            "What is finished is kept; run again. If Python workers were killed for memory, "
            "use fewer cores per executor or give each more memory",
        ) from error


def reason(error: BaseException) -> str:
    """Text of the failure list: cause and cure for known errors, the place for unknown ones."""
    if isinstance(error, SparkCotError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {error.filename or 'the output'}. Free space and run again"
    if isinstance(error, MemoryError):
        return "out of memory. Give each Python worker more, or use fewer cores per executor"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {frame.name}:{frame.lineno}: {error}"


def java_message(error: Exception) -> str:
    """First line of the Java exception, or of the error itself."""
    java = getattr(error, "java_exception", None)
    return str(java.getMessage() if java is not None else error).splitlines()[0]


@contextmanager
def _progress(context: SparkContext, title: str, total: int) -> Iterator[None]:
    """A bar on a terminal, log lines elsewhere, while the Spark jobs of the block run."""
    group = uuid.uuid4().hex
    context.setJobGroup(group, title)
    stop = threading.Event()
    report = _bar if sys.stderr.isatty() else _lines
    watcher = threading.Thread(target=report, args=(context, group, title, total, stop))
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _completed(context: SparkContext, group: str) -> int:
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    return sum(stage.numCompletedTasks for stage in stages if stage)


class _Bars:
    """The bars of all jobs that run at once, in the one live display a terminal can show."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._display = self._new_display()

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar for as long as the block runs; call what it gives with the number completed."""
        with self._lock:
            if self._running == 0:
                self._display = self._new_display()
                self._display.start()
            self._running += 1
            display, task = self._display, self._display.add_task(title, total=total)
        try:
            yield lambda completed: display.update(task, completed=completed)
        finally:
            with self._lock:
                self._running -= 1
                if self._running:
                    display.remove_task(task)
                else:
                    display.stop()

    @staticmethod
    def _new_display() -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


_bars: Final = _Bars()


def _bar(context: SparkContext, group: str, title: str, total: int, stop: threading.Event) -> None:
    with _bars.bar(title, total) as show:
        while not stop.wait(_POLL_SECONDS):
            show(_completed(context, group))
        show(total)


def _lines(
    context: SparkContext, group: str, title: str, total: int, stop: threading.Event
) -> None:
    started = time.monotonic()
    while not stop.wait(_LOG_EVERY_SECONDS):
        log.info("%s: %d of %d tasks", title, _completed(context, group), total)
    log.info("%s: %d tasks in %.1f s", title, total, time.monotonic() - started)
