"""What a command would write, found out without writing: its counts and bytes, and where."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

from spark_cot.archive.options import SimulateOptions
from spark_cot.archive.simulate import SyntheticTable, beside, held
from spark_cot.errors import TableError
from spark_cot.learn.run import TrainingRun
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import check_place
from spark_cot.storage import find, open_parquet, path_of, sizes

#: Of a row of a finished synthetic table of some thousand rows or more.
_BYTES_PER_ROW: Final = 235
#: The weights, and a checkpoint of them and of two moments of each (Kingma and Ba 2015, Adam).
_COPIES_OF_WEIGHTS: Final = 4
_FLOAT32_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Write:
    """One thing that would be written.

    Attributes
    ----------
    what : str
    place : Path
    amount : str
        Its rows, scenes or weights, in words.
    written : int or None
        Bytes, about; None where nobody knows before.
    replaced : int
        Bytes of what lies there and would go.
    """

    what: str
    place: Path
    amount: str
    written: int | None = None
    replaced: int = 0


def simulated(options: SimulateOptions) -> list[Write]:
    """What `archive.simulate.simulate` would write.

    Raises
    ------
    SimulationError
        ``rows`` or ``seed`` is out of range.
    WorkspaceError
        ``out`` holds another table.
    """
    table = held(SyntheticTable.of(options.out, options.rows, options.seed, options.region))
    left = {index for parts in table.splits.values() for index in parts.missing()}
    rows = sum(table.row_count(index) for index in left)
    amount = f"{rows:,} of {table.rows:,} rows, {len(left):,} of {table.part_count:,} parts"
    writes = [Write("table", table.out, amount, rows * _BYTES_PER_ROW)]
    if options.plot:
        writes.append(Write("pictures", beside(table.out) / "plots", "rows and physics"))
    return [*writes, Write("report", beside(table.out) / "reports", "1 report")]


def trained(run: TrainingRun) -> list[Write]:
    """What `archive.train.train` would write.

    Raises
    ------
    ModelError
        ``out`` holds what is no bundle.
    TableError
        A split has no rows.
    """
    rows = {name: _rows(run.split(name)) for name in ("train", "val", "test")}
    told = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    goes_on = run.resume and run.checkpoint.exists()
    steps = f"{run.recipe.steps:,} steps over rows {told}"
    bundle = model(run.out, run.recipe.architecture)
    training = Write(
        "training",
        run.folder,
        f"goes on, {steps}" if goes_on else steps,
        (bundle.written or 0) * _COPIES_OF_WEIGHTS,
        0 if goes_on else size_of(run.folder),
    )
    return [bundle, training]


def model(out: Path, architecture: MLP) -> Write:
    """A bundle as `models.bundle.save_bundle` would write it.

    Raises
    ------
    ModelError
        ``out`` holds what is no bundle.
    """
    check_place(out)
    weights = sum(map(prod, architecture.shapes.values()))
    amount = f"{weights:,} weights, members {architecture.members}"
    return Write("model", out, amount, weights * _FLOAT32_BYTES, size_of(out))


def size_of(place: Path) -> int:
    """Bytes of a file, or of all in a folder; 0 if nothing is there."""
    return place.stat().st_size if place.is_file() else sum(sizes(place).values())


def _rows(split: str) -> int:
    rows = 0
    for path in find(path_of(split), "*.parquet"):
        with open_parquet(path) as file:
            rows += file.metadata.num_rows
    if not rows:
        raise TableError("holds no rows", split, "Run `spark-cot simulate` to its end")
    return rows
