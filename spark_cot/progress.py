"""How far long work has come: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Show = Callable[[int], None]

log = logging.getLogger(__name__)
_LOG_EVERY_SECONDS: Final = 30.0


def progress(
    title: str, total: int, unit: str, *, shown: bool = True
) -> AbstractContextManager[Show]:
    """Give a function to call with how much is done; several may be open at once.

    Parameters
    ----------
    title : str
    total : int
        Of what is to be done.
    unit : str
        Plural, for log lines: ``tasks``.
    shown : bool, optional
        Otherwise nothing is said.
    """
    if not shown:
        return nullcontext(lambda _done: None)
    return _bars.bar(title, total) if sys.stderr.isatty() else _lines(title, total, unit)


class _Bars:
    """The bars of all work under way, in the one live display a terminal can show."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._display = self._new_display()

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Show]:
        """A bar for as long as the block runs."""
        with self._lock:
            if self._running == 0:
                self._display = self._new_display()
                self._display.start()
            self._running += 1
            display, task = self._display, self._display.add_task(title, total=total)
        try:
            yield lambda done: display.update(task, completed=done)
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


@contextmanager
def _lines(title: str, total: int, unit: str) -> Iterator[Show]:
    started = last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > _LOG_EVERY_SECONDS:
            last = time.monotonic()
            log.info("%s: %d of %d %s", title, done, total, unit)

    yield show
    log.info("%s: %d %s in %.1f s", title, total, unit, time.monotonic() - started)
