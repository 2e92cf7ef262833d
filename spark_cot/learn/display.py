"""How far a run has come: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
_LOG_EVERY_SECONDS: Final = 30.0


@contextmanager
def showing_steps(title: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number of steps taken; silent unless ``shown``."""
    if not shown:
        yield lambda _step: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=total)
            yield lambda step: bar.update(task, completed=step)
    else:
        yield _lines(title, total)


def _lines(title: str, total: int) -> Callable[[int], None]:
    last = time.monotonic()

    def line(step: int) -> None:
        nonlocal last
        if time.monotonic() - last > _LOG_EVERY_SECONDS:
            last = time.monotonic()
            log.info("%s: %d of %d steps", title, step, total)

    return line
