"""Simulate: the synthetic table, one file per split, made in parts on Spark.

A part is a fixed range of rows and depends on nothing but the seed, so the table is the same
whatever the number of tasks and executors, and a rerun takes up the parts that are there.

The table's folder holds Parquet files and nothing else, for some readers take every file below a
path for one. What belongs to the table lies beside it: `OUT.simulation` has the facts that decide
its rows, reports and plots.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_cot.archive.options import SimulateOptions
from spark_cot.commit.parts import Parts, content_key
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.tasks import run_tasks
from spark_cot.errors import SetupError, TableError, WorkspaceError, reason
from spark_cot.simulate.dataset import block_count, decides, provenance, simulate_rows
from spark_cot.simulate.schema import SYNTHETIC
from spark_cot.simulate.world.sampler import BLOCK_ROWS, SPLITS
from spark_cot.simulate.world.surfaces import WORLD
from spark_cot.storage import move, open_parquet, remove_folder, walk, write_text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Blocks of rows in a part, 4096 rows: a few seconds of work, and row groups that a training run
#: can shuffle.
BLOCKS_PER_PART: Final = 16


@dataclass(frozen=True, slots=True)
class SyntheticTable:
    """A synthetic table and the folder it goes to.

    Attributes
    ----------
    out : Path
    rows, seed : int
    region : str
    facts : dict
        What decides the rows, in the words of the version that began the table; kept beside it and
        in its files.
    """

    out: Path
    rows: int
    seed: int
    region: str
    facts: dict[str, str]

    @classmethod
    def of(cls, out: Path, rows: int, seed: int, region: str = WORLD) -> SyntheticTable:
        """The table by this version of the simulator.

        Raises
        ------
        SimulationError
            ``rows`` is less than 1.
        """
        block_count(rows)
        counts = {"spark_cot.rows": str(rows), "spark_cot.schema_version": str(SYNTHETIC.version)}
        return cls(out.absolute(), rows, seed, region, counts | provenance(seed, region=region))

    @property
    def marker(self) -> Path:
        """File that says which table the folder is for."""
        return beside(self.out) / "table.json"

    @property
    def part_count(self) -> int:
        """Number of parts."""
        return -(-block_count(self.rows) // BLOCKS_PER_PART)

    @property
    def splits(self) -> dict[str, Parts]:
        """The parts of each split's file."""
        key, count = content_key(**self.facts), self.part_count
        return {
            split: Parts(
                self.out / "_parts" / split,
                key,
                count,
                self.out / f"split={split}" / "rows.parquet",
                self.facts,
            )
            for split in SPLITS
        }

    def row_count(self, index: int) -> int:
        """Rows of one part, all splits together."""
        rows = BLOCKS_PER_PART * BLOCK_ROWS
        return min(rows, self.rows - index * rows)

    def rows_of(self, index: int) -> pa.Table:
        """Rows of one part, all splits together."""
        first = index * BLOCKS_PER_PART
        blocks = range(first, min(first + BLOCKS_PER_PART, block_count(self.rows)))
        return pa.concat_tables(simulate_rows(self.seed, self.rows, blocks, region=self.region))


def beside(table: Path) -> Path:
    """Folder for what belongs to a synthetic table and is no Parquet."""
    return table.with_name(f"{table.name}.simulation")


def held(table: SyntheticTable) -> SyntheticTable:
    """The same table with the facts that its folder has for it; nothing is written.

    Raises
    ------
    WorkspaceError
        The folder is another table's, or holds what is none.
    """
    marker = next((m for m in (table.marker, table.out / "_table.json") if m.exists()), None)
    if marker is None:
        if any(name.endswith(".parquet") for _, _, names in walk(table.out) for name in names):
            raise WorkspaceError(
                "holds Parquet files that are no synthetic table",
                str(table.out),
                "Choose another --out",
            )
        return table
    found = json.loads(marker.read_text(encoding="utf-8"))
    if decides(found) != table.facts:
        raise WorkspaceError(
            f"holds another synthetic table: {_difference(decides(found), table.facts)}",
            str(table.out),
            "Choose another --out, or remove this one",
        )
    return replace(table, facts=found)


def simulate(spark: SparkSession, options: SimulateOptions) -> StageResult:
    """Write the first rows of a seed as the synthetic table in a folder, which is made if missing.

    The table is ``out/split=train|val|test/rows.parquet`` with the columns of
    `simulate.schema.SYNTHETIC`; ``split`` is also the partition's name. The files appear when all
    rows are there. If the folder holds the same table, nothing is done; if it holds a part of it,
    the rest is made.

    Parameters
    ----------
    spark : SparkSession
    options : SimulateOptions

    Returns
    -------
    StageResult
        One outcome per part.

    Raises
    ------
    SimulationError
        ``rows`` or ``seed`` is out of range.
    WorkspaceError
        ``out`` holds another table, or cannot be written.
    """
    started = time.monotonic()
    table = _claim(SyntheticTable.of(options.out, options.rows, options.seed, options.region))
    splits = table.splits.values()
    tasks = sorted({index for parts in splits for index in parts.missing()})
    done = run_tasks(spark, "Simulating rows", tasks, partial(simulate_part, table))
    if all(outcome.state == "done" for outcome in done):
        for parts in splits:
            parts.commit()
        remove_folder(table.out / "_parts")
    skipped = [Outcome(_name(i), "skipped") for i in range(table.part_count) if i not in set(tasks)]
    outcomes = sorted([*done, *skipped], key=lambda outcome: outcome.name)
    return StageResult("simulate", time.monotonic() - started, outcomes)


def read_synthetic(folder: Path, splits: Sequence[str] = SPLITS) -> pa.Table:
    """Splits of a synthetic table, columns of `simulate.schema.SYNTHETIC`, by row number.

    Raises
    ------
    TableError
        A split's file is missing or has other columns.
    """
    tables = []
    for split in splits:
        path = folder / f"split={split}" / "rows.parquet"
        if not path.exists():
            raise TableError("no such file", str(path), "Run `spark-cot simulate` to its end")
        with open_parquet(path) as file:
            rows = file.read()
        place = SYNTHETIC.arrow.names.index("split")
        rows = rows.add_column(place, "split", pa.repeat(pa.scalar(split), len(rows)))
        SYNTHETIC.check(rows.schema, str(path))
        tables.append(rows.cast(SYNTHETIC.arrow))
    return pa.concat_tables(tables).sort_by("row")


def simulate_part(table: SyntheticTable, index: int) -> Outcome:
    """Simulate one part and write its share of each split; any error is the part's outcome."""
    started = time.monotonic()
    try:
        mine = SyntheticTable.of(table.out, table.rows, table.seed, table.region)
        if mine.facts != decides(table.facts):
            raise SetupError(
                "this executor has another version of the simulator than the driver",
                cure="Install the same spark_cot everywhere",
            )
        rows = table.rows_of(index)
        for split, parts in table.splits.items():
            of_split = rows.filter(pc.equal(rows.column("split"), split)).drop_columns(["split"])
            parts.write(index, partial(_write, of_split))
    except Exception as error:
        return Outcome(_name(index), "failed", reason=reason(error))
    return Outcome(_name(index), "done", rows=len(rows), seconds=time.monotonic() - started)


def _write(rows: pa.Table, path: Path) -> None:
    pq.write_table(rows.combine_chunks(), path, compression="zstd", row_group_size=len(rows) or 1)


def _name(index: int) -> str:
    return f"rows from {index * BLOCKS_PER_PART * BLOCK_ROWS:>12}"


def _claim(table: SyntheticTable) -> SyntheticTable:
    """Mark the folder as this table's; the table with the facts that it was begun with.

    Raises WorkspaceError if the folder is another's, or cannot be written.
    """
    _clear_out(table)
    claimed = held(table)
    if not table.marker.exists():
        try:
            write_text(table.marker, json.dumps(claimed.facts, indent=1) + "\n")
        except OSError as error:
            raise WorkspaceError(
                f"cannot be written: {error.strerror or error}",
                str(table.out),
                "Choose another --out",
            ) from error
    return claimed


def _clear_out(table: SyntheticTable) -> None:
    """Move what earlier versions kept in the table's folder to its place beside it."""
    for name, place in (("_table.json", "table.json"), ("reports", "reports"), ("plots", "plots")):
        old, new = table.out / name, beside(table.out) / place
        if old.exists() and not new.exists():
            move(old, new)


def _difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    keys = sorted(key for key in {*found, *asked} if found.get(key) != asked.get(key))
    return "; ".join(
        f"{key.removeprefix('spark_cot.')} is {found.get(key)}, asked for {asked.get(key)}"
        for key in keys
    )
