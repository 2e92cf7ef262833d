"""What one rank trains on: its batches, the statistics of the table, the validation rows."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

import torch

from spark_cot.errors import TrainingError
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.statistics import TableStatistics, table_statistics
from spark_cot.learn.stream import Shard, Stream
from spark_cot.learn.world import World
from spark_cot.tables.rowgroups import read_rows

#: Rows the validation loss is taken over; enough for three figures.
VALIDATION_ROWS: Final = 20_000

#: Rows ``(rows, inputs + 1)`` with the COT last, and unlabelled ones ``(rows, inputs)``, if any.
Batch = tuple[torch.Tensor, torch.Tensor | None]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What one rank trains on.

    Attributes
    ----------
    labelled : Stream
        Inputs and ``cot``.
    unlabelled : Stream, optional
        Inputs alone, for a teacher to label.
    table : TableStatistics
        Of the labelled rows, all ranks' together.
    validation : torch.Tensor
        ``(n, inputs + 1)``: inputs, then ``cot``; the same on all ranks.
    """

    labelled: Stream
    unlabelled: Stream | None
    table: TableStatistics
    validation: torch.Tensor

    def batches(self, step: int) -> Generator[Batch, None, None]:
        """Batches from that of ``step`` on, epoch after epoch without end."""
        labelled = endless(self.labelled, step)
        if self.unlabelled is None:
            yield from ((batch, None) for batch in labelled)
        else:
            yield from zip(labelled, endless(self.unlabelled, step), strict=False)


def open_data(run: TrainingRun, world: World) -> TrainingData:
    """Open the streams of a rank, and read statistics and validation rows.

    Raises
    ------
    TableError
        A table cannot be read, or has too few rows or row groups for the ranks.
    SetupError
        Packages that reading needs are missing.
    TrainingError
        A batch has fewer rows than there are ranks, or unlabelled pixels have no teacher.
    """
    if run.unlabelled is not None and run.teacher is None:
        raise TrainingError("unlabelled pixels need a teacher", cure="Give --teacher BUNDLE")
    recipe, train = run.recipe, run.split("train")
    columns = (*recipe.inputs, "cot")
    labelled = _stream(run, world, train, columns, recipe.seed)
    table = table_statistics(train, recipe.inputs)
    validation = torch.from_numpy(read_rows(run.split("val"), columns, VALIDATION_ROWS))
    unlabelled = None
    if run.unlabelled is not None:
        unlabelled = _stream(run, world, run.unlabelled, recipe.inputs, recipe.seed + 1)
    return TrainingData(labelled, unlabelled, table, validation)


def _stream(
    run: TrainingRun, world: World, location: str, columns: tuple[str, ...], seed: int
) -> Stream:
    rows, shard = rows_per_rank(run.recipe, world.size), Shard(world.rank, world.size)
    return Stream(location, columns, rows, seed=seed, shard=shard, through=run.stream)


def endless(stream: Stream, step: int) -> Iterator[torch.Tensor]:
    """Batches of epoch after epoch, from that of ``step`` on."""
    while True:
        epoch, skip = divmod(step, stream.steps)
        for batch in stream.epoch(epoch, skip):
            yield batch
            step += 1


def rows_per_rank(recipe: Recipe, ranks: int) -> int:
    """Rows of a batch on each rank; what does not divide is left out.

    Raises
    ------
    TrainingError
        There are more ranks than rows.
    """
    if recipe.batch_rows < ranks:
        raise TrainingError(
            f"batches of {recipe.batch_rows} rows cannot be shared by {ranks} ranks",
            f"recipe {recipe.name}",
            "Use larger batches, or fewer ranks",
        )
    return recipe.batch_rows // ranks
