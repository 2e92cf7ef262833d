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

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from spark_cot.errors import SetupError, TableError
from spark_cot.learn.shuffle import (
    assign_row_groups,
    least_rows,
    read_ahead,
    shuffled,
    windows,
)
from spark_cot.models.architecture import Float32
from spark_cot.tables.rowgroups import Location, ParquetTable, in_turn

ReadRowGroups = Callable[[ParquetTable, Sequence[int]], Generator[Float32, None, None]]

#: Windows that are ready or being read while batches are drawn from one.
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
