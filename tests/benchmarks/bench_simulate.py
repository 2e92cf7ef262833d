"""Speed of the simulator, one core: start-up, rows, and one doubling step in Numba and in batches.

    python tests/benchmarks/bench_simulate.py [--blocks 8] [--rounds 5] [--batch 7168]

The doubling step (five products and one linear solution of 6 x 6) is what a row spends its time
in; it is timed compiled, as batched numpy and as batched torch over as many matrices as a block
has solutions, in float64. Figures are processor time, so that other load on the machine hardly
counts; contenders take turns and the best round of each counts.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from numba import njit

from spark_cot.simulate.dataset import simulate_block
from spark_cot.simulate.optics import build_optics, load_optics
from spark_cot.simulate.transfer.doubling import double
from spark_cot.simulate.transfer.solver import PRODUCTION, Accuracy
from spark_cot.simulate.world.sampler import BLOCK_ROWS

NODES = PRODUCTION.nodes
ROWS, COLUMNS = NODES + 1, 8


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def row_milliseconds(accuracy: Accuracy, blocks: int) -> float:
    """Per row of the synthetic table, compilation and tables excluded."""
    simulate_block(7, 0, accuracy)
    run = seconds(lambda: [simulate_block(7, block, accuracy) for block in range(blocks)])
    return run / (blocks * BLOCK_ROWS) * 1e3


@njit
def double_each(r, t, row_beam, col_beam, work):
    """The package's step for one matrix after the other."""
    for i in range(r.shape[0]):
        double(NODES, r[i], t[i], row_beam[i], col_beam[i], work, work[3], work[4])


def double_batch(library, r, t, row_beam, col_beam, identity):
    """The same step by batched products and a batched solution, numpy or torch."""
    er, ec = row_beam[:, :, None], col_beam[:, None, :]
    q = r[:, :, :NODES] @ r[:, :NODES]
    rhs = t + q * ec
    down = library.linalg.solve(identity - q[:, :NODES, :NODES], rhs[:, :NODES])
    extra = rhs[:, NODES:] + q[:, NODES:, :NODES] @ down
    down = library.concatenate((down, extra), 1)
    up = r * ec + r[:, :, :NODES] @ down[:, :NODES]
    reflected = r + er * up + t[:, :, :NODES] @ up[:, :NODES]
    transmitted = er * down + t * ec + t[:, :, :NODES] @ down[:, :NODES]
    return reflected, transmitted


def step_contenders(batch: int) -> dict[str, Callable[[], object]]:
    """One doubling of ``batch`` layers in three ways."""
    rng = np.random.default_rng(0)
    r, t = (rng.random((batch, ROWS, COLUMNS)) * 0.02 for _ in range(2))
    r[:, :, ROWS:] = t[:, :, ROWS:] = 0
    row_beam, col_beam = np.full((batch, ROWS), 0.9), np.full((batch, COLUMNS), 0.9)
    arrays = (r, t, row_beam, col_beam)
    tensors = [torch.from_numpy(array.copy()) for array in arrays]
    work = np.empty((9, ROWS, COLUMNS))
    return {
        "numba": lambda: double_each(*(array.copy() for array in arrays), work),
        "numpy batched": lambda: double_batch(np, *arrays, np.eye(NODES)),
        "torch batched": lambda: double_batch(torch, *tensors, torch.eye(NODES).double()),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=28 * BLOCK_ROWS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'optics tables, computed':32}{seconds(build_optics):8.1f} s")
    print(f"{'optics tables, loaded':32}{seconds(load_optics):8.2f} s")
    print(f"{'first block (compiles or loads)':32}{seconds(lambda: simulate_block(7, 0)):8.1f} s")
    for accuracy in (PRODUCTION, Accuracy(nodes=8, thin=1e-3)):
        rate = row_milliseconds(accuracy, options.blocks)
        print(f"{f'a row, {accuracy.nodes} nodes':32}{rate:8.2f} ms")
    steps = step_contenders(options.batch)
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(options.rounds):
        for name, run in steps.items():
            best[name] = min(best[name], seconds(run))
    for name, total in best.items():
        print(f"{f'a doubling step, {name}':32}{total / options.batch * 1e6:8.2f} us")


if __name__ == "__main__":
    main()
