"""What it costs to wait for the disk: a run of small scenes, flushed and not.

    python tests/benchmarks/bench_durable.py [--scenes 10] [--rounds 6] [--folder .]

All stages, in this process and one task after the other, on scenes of 96 x 96 pixels at 20 m: as
many flushes for as little work as can be. The folder must lie on a real disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults import Loop, make_archive

from spark_cot.archive.options import RunOptions
from spark_cot.archive.run import run


class Flushes:
    """`os.fsync`, counted and timed, or left out."""

    def __init__(self, real: Callable[[int], None] | None) -> None:
        self.real, self.number, self.seconds = real, 0, 0.0

    def __call__(self, descriptor: int) -> None:
        if self.real is not None:
            started = time.perf_counter()
            self.real(descriptor)
            self.number += 1
            self.seconds += time.perf_counter() - started


def seconds(archive: Path, out: Path, flushes: Flushes) -> float:
    """Wall time of a run from nothing."""
    os.fsync = flushes  # type: ignore[assignment]
    options = RunOptions(archive=str(archive), out=out, model="student", mask_above=1.25)
    started = time.perf_counter()
    run(Loop(), options)  # type: ignore[arg-type]
    passed = time.perf_counter() - started
    shutil.rmtree(out)
    return passed


def main() -> None:
    """Flushed and not in turns; the first round does not count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--folder", default=".")
    arguments = parser.parse_args()
    real, waiting, not_waiting = os.fsync, [], []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        archive = make_archive(folder / "archive", arguments.scenes)
        for number in range(arguments.rounds + 1):
            flushes = Flushes(real)
            without = seconds(archive, folder / "out", Flushes(None))
            with_ = seconds(archive, folder / "out", flushes)
            print(
                f"{with_:.1f} s, {flushes.seconds:.1f} of them in {flushes.number} flushes; "
                f"without {without:.1f} s",
                flush=True,
            )
            if number:
                waiting.append(with_)
                not_waiting.append(without)
    print(f"ratio of medians: {statistics.median(waiting) / statistics.median(not_waiting):.2f}")


if __name__ == "__main__":
    main()
