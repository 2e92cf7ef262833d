"""Batches of a Parquet table for training: shared among ranks, shuffled, read ahead.

    stream = Stream("s3://bucket/synthetic/split=train", columns, 4096, seed=1, shard=Shard(0, 2))
    for epoch in range(epochs):
        for batch in stream.epoch(epoch):  # (4096, len(columns))
            ...

In each epoch the row groups are assigned anew to the ranks and read in a new order, by Petastorm or
by pyarrow without it, and the rows are permuted within windows of many row groups. The order
depends on seed, epoch, rank and number of ranks alone.

All ranks take the same number of steps, or the slower ones would wait for ever for gradients of
those that ran out. What a rank is assigned beyond that, less than two row groups and a batch, it
reads and leaves out; in the next epoch these are other rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from spark_cot.errors import SetupError, TableError
from spark_cot.models.architecture import Float32
from spark_cot.tables.rowgroups import Location, ParquetTable, in_turn

T = TypeVar("T")
ReadRowGroups = Callable[[ParquetTable, Sequence[int]], Generator[Float32, None, None]]

#: Windows that are ready or in the making while batches are drawn from one.
_WINDOWS_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of every epoch a process reads: that of ``rank`` among ``count`` ranks."""

    rank: int = 0
    count: int = 1


class Stream:
    """Batches of a Parquet table for one rank.

    Memory is bounded by about five windows: the one that batches are drawn from, twice, and three
    ahead of it, read and decoded by threads in the background.

    Parameters
    ----------
    location, columns
        As of :class:`~spark_cot.tables.rowgroups.ParquetTable`.
    batch_rows : int
        Rows of a batch.
    seed : int
        Of the order, 0 or more.
    shard : Shard, optional
        The whole table by default.
    window_rows : int, optional
        About how many rows are shuffled together.
    through : {"petastorm", "pyarrow"}, optional
        What reads the row groups; the batches are the same.

    Attributes
    ----------
    rows : int
        Rows of the whole table, all shards, by the Parquet footers.
    steps : int
        Batches per epoch: the same on all ranks and in all epochs.

    Raises
    ------
    TableError
        As :class:`~spark_cot.tables.rowgroups.ParquetTable`; there are fewer row groups than ranks;
        or a batch holds more rows than a rank is sure to get.
    SetupError
        As :class:`~spark_cot.tables.rowgroups.ParquetTable`; or Petastorm is to read and is not
        installed.
    """

    def __init__(
        self,
        location: Location,
        columns: Sequence[str],
        batch_rows: int,
        *,
        seed: int,
        shard: Shard = Shard(),
        window_rows: int = 65_536,
        through: str = "petastorm",
    ) -> None:
        self._read = row_group_reader(through)
        self._table = ParquetTable(location, columns)
        self._group_rows = np.array(list(self._table.row_groups.values()))
        self._batch_rows, self._window_rows = batch_rows, window_rows
        self._seed, self._shard = seed, shard
        self.rows = self._table.rows
        self.steps = self._count_steps()

    def _count_steps(self) -> int:
        filled, ranks = np.count_nonzero(self._group_rows), self._shard.count
        if filled < ranks:
            raise TableError(
                f"{filled} row groups with rows for {ranks} ranks",
                self._table.location,
                "Use fewer ranks, or write the table with smaller row groups",
            )
        smallest = least_rows(self._group_rows, ranks)
        if smallest < self._batch_rows:
            raise TableError(
                f"a batch of {self._batch_rows} rows is more than the {smallest} rows that each of "
                f"{ranks} ranks is sure to get",
                self._table.location,
                f"Use batches of at most {smallest} rows, or fewer ranks",
            )
        return smallest // self._batch_rows

    def epoch(self, number: int, skip: int = 0) -> Iterator[torch.Tensor]:
        """Batches of one epoch.

        Parameters
        ----------
        number : int
            Of the epoch, 0 or more.
        skip : int, optional
            Leave out this many batches from the start, those that an interrupted run has seen; the
            others are the same as without.

        Yields
        ------
        torch.Tensor
            ``(batch_rows, columns)`` float32, ``steps - skip`` of them.

        Raises
        ------
        TableError
            Data cannot be read, are not finite, or are not the rows that the footers promise.
        """
        rank, count = self._shard.rank, self._shard.count
        lots = np.random.default_rng((self._seed, number))
        assigned = assign_row_groups(self._group_rows, count, lots)[rank]
        rng = np.random.default_rng((self._seed, number, 1 + rank))
        with (
            closing(self._read(self._table, assigned.tolist())) as row_groups,
            closing(read_ahead(windows(row_groups, self._window_rows), _WINDOWS_AHEAD)) as ahead,
        ):
            # To the end and beyond `steps`, so that every row is read and accounted for.
            for step, batch in enumerate(shuffled(ahead, self._batch_rows, rng)):
                if skip <= step < self.steps:
                    yield batch


def row_group_reader(through: str) -> ReadRowGroups:
    """What reads the row groups of a table at given positions, in their order.

    Parameters
    ----------
    through : {"petastorm", "pyarrow"}

    Raises
    ------
    SetupError
        Petastorm, or what it needs, is not installed.
    """
    if through == "pyarrow":
        return in_turn
    try:  # only here, so that who reads through pyarrow needs no Petastorm
        from spark_cot.learn.reader import read_row_groups
    except ModuleNotFoundError as error:
        raise SetupError(
            f"streaming through Petastorm needs the module {error.name}, which is not installed",
            cure="pip install petastorm==0.12.1 setuptools, or read through pyarrow, which gives "
            "the same batches: --stream pyarrow",
        ) from error
    return read_row_groups


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
