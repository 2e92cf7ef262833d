"""Work on many files by batches, wherever it is done: in threads here, or by Spark."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from spark_cot.progress import progress

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Applies a function to each of some tasks; gives the results in their order."""

    def __call__(  # noqa: D102
        self, title: str, tasks: Sequence[T], function: Callable[[T], R]
    ) -> list[R]: ...


def in_threads(title: str, tasks: Sequence[T], function: Callable[[T], R]) -> list[R]:
    """As many tasks at once as there are cores: hashing and reading let go of the interpreter."""
    results = []
    with progress(title, len(tasks), "tasks") as show, ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, result in enumerate(pool.map(function, tasks), start=1):
            results.append(result)
            show(number)
    return results


def in_batches(items: Sequence[T], most: int, tasks: int) -> list[Sequence[T]]:
    """``items`` in order, by ``tasks`` batches or, if those were larger than ``most``, more."""
    size = max(1, min(most, len(items) // tasks))
    return [items[start : start + size] for start in range(0, len(items), size)]
