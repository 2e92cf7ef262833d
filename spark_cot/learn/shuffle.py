"""Which row groups a rank reads, and in what order their rows come."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from spark_cot.models.architecture import Float32

T = TypeVar("T")


def assign_row_groups(
    rows: NDArray[np.int64], ranks: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Assign row groups to ranks so that their numbers of rows are close, else at random.

    In rounds from the largest row groups to the smallest, one for every rank, by lot: the rows of
    two ranks then differ by less than the largest row group.

    Parameters
    ----------
    rows : numpy.ndarray
        ``(n,)`` rows of each row group.
    ranks : int
    rng : numpy.random.Generator

    Returns
    -------
    list[numpy.ndarray]
        For each rank, the indexes of its row groups in random order.
    """
    drawn = rng.permutation(len(rows))
    by_size = drawn[np.argsort(-rows[drawn], kind="stable")]
    nobody = np.full(-len(rows) % ranks, -1)
    rounds = rng.permuted(np.append(by_size, nobody).reshape(-1, ranks), axis=1)
    return [rng.permutation(indexes[indexes >= 0]) for indexes in rounds.T]


def least_rows(rows: NDArray[np.int64], ranks: int) -> int:
    """Rows that every rank is sure to be assigned: the smallest row group of each round."""
    return int(np.sort(rows)[::-1][ranks - 1 :: ranks].sum())


def windows(
    row_groups: Iterable[Float32], window_rows: int
) -> Generator[list[torch.Tensor], None, None]:
    """Consecutive row groups together, ``window_rows`` rows or more; the last ones may be fewer."""
    held: list[torch.Tensor] = []
    rows = 0
    for values in row_groups:
        held.append(torch.from_numpy(values))
        rows += len(values)
        if rows >= window_rows:
            yield held
            held, rows = [], 0
    if held:
        yield held


def shuffled(
    windows: Iterable[list[torch.Tensor]], batch_rows: int, rng: np.random.Generator
) -> Iterator[torch.Tensor]:
    """Draw batches from the rows of each window in random order.

    Rows beyond the last whole batch of a window are shuffled again with the next one; those of
    the last window are left out.

    Parameters
    ----------
    windows : Iterable[list[torch.Tensor]]
        ``(rows, columns)`` each.
    batch_rows : int
    rng : numpy.random.Generator

    Yields
    ------
    torch.Tensor
        ``(batch_rows, columns)``.
    """
    rest: list[torch.Tensor] = []
    for window in windows:
        pool = torch.cat([*rest, *window])
        order = torch.from_numpy(rng.permutation(len(pool)))
        whole = len(pool) - len(pool) % batch_rows
        for start in range(0, whole, batch_rows):
            yield pool.index_select(0, order[start : start + batch_rows])
        rest = [pool.index_select(0, order[whole:])]


def read_ahead(items: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """The same items, made in one background thread, at most ``depth`` ahead of the consumer.

    What the thread raises, the consumer gets in its turn. A consumer that stops early stops the
    thread after the item it is at, and closes ``items``.
    """
    end = object()
    with closing(items), ThreadPoolExecutor(1, "read-ahead") as thread:
        ahead: deque[Any] = deque(thread.submit(next, items, end) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, items, end))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
