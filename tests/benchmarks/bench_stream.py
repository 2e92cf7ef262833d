"""Row rate of streaming beside plain pyarrow and plain Petastorm, all in one run.

    python tests/benchmarks/bench_stream.py [TABLE] [--rows 480000] [--rounds 9]

Every contender turns the same 15 columns of the same table into float32 tensors. Without TABLE
(a folder of Parquet files with the bands, sun_zenith and cot) one like the synthetic table is made:
47 columns, row groups of 3300 rows. Contenders take turns; a ratio is the median over the rounds
of plain pyarrow's time by the contender's in the same round, so that other load touches all alike.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from spark_cot.learn.stream import Stream
from spark_cot.msi import ANGLES, BAND_IDS

COLUMNS = [*BAND_IDS, "sun_zenith", "cot"]
OTHERS = 47 - len(BAND_IDS) - len(ANGLES) - 1
BASE = "pyarrow, one thread"
READERS = ("petastorm", "pyarrow")
Contender = Callable[[], int]


def make_table(folder: Path, rows: int) -> None:
    """Random numbers in the layout of the synthetic table."""
    rng = np.random.default_rng(0)
    names = [*BAND_IDS, *ANGLES, "cot", *(f"other{i}" for i in range(OTHERS))]
    table = pa.table({name: rng.random(rows, np.float32) for name in names})
    pq.write_table(table, folder / "rows.parquet", row_group_size=3300, compression="zstd")


def tensor(columns: list[np.ndarray]) -> torch.Tensor:
    """Columns side by side, (rows, columns)."""
    return torch.from_numpy(np.stack(columns, axis=1))


def plain(folder: Path, threads: bool) -> int:
    """One row group after the other by pyarrow alone."""
    rows = 0
    for path in sorted(folder.glob("*.parquet")):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=COLUMNS, use_threads=threads)
            rows += len(tensor([table[name].to_numpy() for name in COLUMNS]))
    return rows


def petastorm(folder: Path) -> int:
    """Petastorm as it comes, which needs pyarrow 14; the one pool with a fixed order."""
    from petastorm import make_batch_reader

    patterns = [f"^{name}$" for name in COLUMNS]
    with make_batch_reader(
        f"file://{folder}", schema_fields=patterns, reader_pool_type="dummy"
    ) as reader:
        return sum(len(tensor([getattr(part, name) for name in COLUMNS])) for part in reader)


def streamed(folder: Path, batch_rows: int, through: str) -> Contender:
    """An epoch, each time the next one, in shuffled batches."""
    stream, epochs = Stream(folder, COLUMNS, batch_rows, seed=1, through=through), count()
    return lambda: sum(len(batch) for batch in stream.epoch(next(epochs)))


def contenders(folder: Path, batch_rows: int) -> dict[str, Contender]:
    """Every way to read the table once."""
    runs: dict[str, Contender] = {
        BASE: lambda: plain(folder, threads=False),
        "pyarrow, its own threads": lambda: plain(folder, threads=True),
        **{f"Stream, {name}": streamed(folder, batch_rows, name) for name in READERS},
    }
    if find_spec("pyarrow.filesystem"):
        runs["petastorm make_batch_reader"] = lambda: petastorm(folder)
    return runs


def measure(runs: dict[str, Contender], rounds: int) -> None:
    """Time the contenders in turns and print their rates and ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    rows = {name: run() for name, run in runs.items()}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    print(f"{'':30}{'krows/s':>9}{'x pyarrow':>11}{'least':>7}{'most':>7}")
    for name, spent in seconds.items():
        ratios = [base / mine for base, mine in zip(seconds[BASE], spent, strict=True)]
        rate = rows[name] / statistics.median(spent) / 1e3
        spread = f"{min(ratios):7.2f}{max(ratios):7.2f}"
        print(f"{name:30}{rate:9.0f}{statistics.median(ratios):11.2f}{spread}")


def main() -> None:
    """Make the table unless one is given, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=480_000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    with tempfile.TemporaryDirectory() as made:
        if options.table is None:
            make_table(Path(made), options.rows)
        measure(contenders(options.table or Path(made), options.batch), options.rounds)


if __name__ == "__main__":
    main()
