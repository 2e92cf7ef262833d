"""Training speed against bare loops in the same run, on a table made here or given.

    python tests/benchmarks/bench_train.py [--table FOLDER]

Four ratios: streaming against rows in memory; two ranks against one; the batched ensemble against
the loop of the published training script (batches of 32, one member, rows in memory); bfloat16
against float32.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from spark_cot.learn.data import Batch
from spark_cot.learn.launch import _free_port
from spark_cot.learn.rank import Rank, open_rank
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.train import distributed, take_step
from spark_cot.learn.world import World, joined
from spark_cot.tables.rowgroups import read_rows

RECIPE = replace(RECIPES["cot12"], steps=100_000)
#: Rows per step where ranks are compared: what they say to each other costs the same per step.
RANKS_RECIPE = replace(RECIPE, batch_rows=4096)
ROWS = 400_000
SECONDS = 10.0


def make_table(folder: Path) -> None:
    """Random rows with the columns of the recipe, in row groups as the simulator writes them."""
    rng = np.random.default_rng(0)
    for split, rows in {"train": ROWS, "val": 5_000, "test": 5_000}.items():
        columns = {name: rng.random(rows, np.float32) for name in RECIPE.inputs}
        columns["cot"] = rng.exponential(5, rows).astype(np.float32)
        path = folder / f"split={split}" / "rows.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=3300)


def steps_per_second(take: Callable[[], object], seconds: float = SECONDS) -> float:
    """Rate of ``take``, the first few calls left out."""
    for _ in range(5):
        take()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        take()
        count += 1
    return count / (time.perf_counter() - started)


def ready(table: Path, recipe: Recipe, world: World, **changes: object) -> Rank:
    """One rank that is ready to step."""
    run = replace(TrainingRun(recipe, str(table), table / "bundle"), **changes)
    torch.set_num_threads(run.threads or world.threads)
    return open_rank(run, world)


def streamed(rank: Rank) -> Callable[[], float]:
    """A step on the next batch of the stream."""
    batches = rank.data.batches(0)
    return stepping(rank, lambda: next(batches))


def in_memory(rank: Rank) -> Callable[[], float]:
    """The same step on random rows of a tensor."""
    recipe = rank.run.recipe
    rows = torch.from_numpy(read_rows(rank.run.split("train"), (*recipe.inputs, "cot")))
    size = recipe.batch_rows // rank.world.size
    return stepping(rank, lambda: (rows[torch.randint(len(rows), (size,))], None))


def stepping(rank: Rank, batch: Callable[[], Batch]) -> Callable[[], float]:
    """A step on what ``batch`` gives."""
    network = distributed(rank.learner.ensemble, rank.run, rank.world)

    def take() -> float:
        rank.learner.state.step += 1
        return take_step(rank, network, batch())

    return take


def published_loop() -> Callable[[], float]:
    """One step as in the published script: NumPy rows, 3 % noise, one member, batch 32."""
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, 12), np.float32)
    cot = rng.random(ROWS, np.float32)
    mean, std = x.mean(axis=0), x.std(axis=0)
    widths = (12, 64, 64, 64, 64)
    hidden = [p for i, o in pairwise(widths) for p in (nn.Linear(i, o), nn.ReLU())]
    network = nn.Sequential(*hidden, nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)

    def take() -> float:
        rows = rng.integers(0, ROWS, 32)
        noisy = x[rows] + 0.03 * mean * rng.standard_normal((32, 12), np.float32)
        out = network(torch.from_numpy((noisy - mean) / std))
        loss = nn.functional.mse_loss(out[:, 0], torch.from_numpy(cot[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return take


def rank_rate(rank: int, ranks: int, port: int, table: Path, out: Path) -> None:
    """Steps per second of one of several ranks, one thread each, written to a file."""
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
    }
    with joined() as world:
        take = streamed(ready(table, RANKS_RECIPE, world, threads=1))
        for _ in range(10):
            take()
        started, steps = time.perf_counter(), 80 * ranks
        for _ in range(steps):
            take()
        rate = steps / (time.perf_counter() - started)
    if rank == 0:
        out.write_text(str(rate))


def ranks_rate(ranks: int, table: Path) -> float:
    """Steps per second of so many ranks; a step is the same number of rows for any number."""
    out = table / "rate"
    spawn(rank_rate, (ranks, _free_port(), table, out), nprocs=ranks)
    return float(out.read_text())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    given = parser.parse_args().table
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "table"
        if given:
            table.mkdir()
            for split in given.glob("split=*"):
                (table / split.name).symlink_to(split.resolve())
        else:
            make_table(table)
        torch.manual_seed(0)
        rank = ready(table, RECIPE, World())
        pairs = [
            (steps_per_second(streamed(rank)), steps_per_second(in_memory(rank))) for _ in range(3)
        ]
        stream = statistics.median(a for a, _ in pairs)
        ratio = statistics.median(a / b for a, b in pairs)
        members, rows = RECIPE.members, RECIPE.batch_rows
        print(f"streaming: {stream * rows:,.0f} rows/s x {members} members, {ratio:.2f} of memory")
        bare = steps_per_second(published_loop())
        gain = stream * rows * members / (32 * bare)
        print(f"published loop: {32 * bare:,.0f} rows/s x 1 member; ours {gain:.1f} x")
        half = ready(table, RECIPE, World(), precision="bf16")
        print(f"bf16 against fp32: {steps_per_second(in_memory(half)) / pairs[-1][1]:.2f} x")
        one, two = ranks_rate(1, table), ranks_rate(2, table)
        rows = RANKS_RECIPE.batch_rows
        print(f"two ranks against one, a thread each, {rows:,} rows: {two / one:.2f} x")


if __name__ == "__main__":
    main()
