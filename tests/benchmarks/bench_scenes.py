"""Many small scenes through the main job: what a scene costs among 8 and among 64, and two cores.

    python tests/benchmarks/bench_scenes.py [--side-m 15360]

The scenes are one textured image under many dates, which costs the same to read. Each figure is
taken in an application that has warmed up on two other scenes; ratios are of times in this run.
Bars: a scene among 64 costs at most 5 % more than among 8; two cores are 1.8 times one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from full_scene import band_image

from spark_cot.archive.options import RunOptions
from spark_cot.archive.run import run
from spark_cot.engine.session import spark_session
from spark_cot.msi import BAND_IDS
from spark_cot.safe import ProductSpec, write_product
from spark_cot.safe.spec import granule_xml, product_xml

FIRST = ProductSpec()
WARM_UP, FEW, MIDDLE, MANY = 2, 8, 16, 64
PAIRS = 3


def spec_of(number: int) -> ProductSpec:
    """The first scene some days later."""
    start = FIRST.sensing_time + timedelta(days=5 * number)
    return ProductSpec(sensing_time=start, generation_time=start + timedelta(hours=2))


def write_archives(folder: Path, side_m: int) -> None:
    """Archives of each size, named by it; they share the files of one image."""
    original = write_product(folder / "original", partial(band_image, side_m), FIRST)
    for scenes in (WARM_UP, FEW, MIDDLE, MANY):
        for number in range(scenes):
            spec = spec_of(number)
            top = folder / str(scenes) / f"{spec.name}.SAFE"
            (top / spec.granule / "IMG_DATA").mkdir(parents=True)
            (top / "MTD_MSIL1C.xml").write_bytes(product_xml(spec))
            metadata = granule_xml(spec, (side_m, side_m))
            (top / spec.granule / "MTD_TL.xml").write_bytes(metadata)
            for band in BAND_IDS:
                image = original / f"{FIRST.image(band)}.jp2"
                (top / f"{spec.image(band)}.jp2").hardlink_to(image)


def measure(folder: Path, cores: int, sizes: list[int]) -> list[float]:
    """Seconds per scene of archives of these sizes, one after the other in one application.

    Driver, JVM and workers share the cores: Spark's ``local[1]`` alone would lend them others.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    spark = spark_session("scenes", f"local[{cores},4]", {"spark.ui.enabled": "false"})
    seconds = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for turn, size in enumerate([WARM_UP, *sizes]):
            out = Path(scratch) / str(turn)
            started = time.perf_counter()
            options = RunOptions(archive=str(folder / str(size)), out=out, mask_above=1.25)
            stages = run(spark, options)
            seconds.append((time.perf_counter() - started) / size)
            if any(stage.count("done") != size for stage in stages):
                raise SystemExit(f"not all of {size} scenes were done: {stages}")
    spark.stop()
    return seconds[1:]


def in_a_process(folder: Path, cores: int, *sizes: int) -> list[float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(folder), str(cores), *map(str, sizes)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    """Write the archives, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-m", type=int, default=15_360)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        folder, cores, *sizes = arguments.measure
        print(json.dumps(measure(Path(folder), int(cores), [int(size) for size in sizes])))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_archives(folder, arguments.side_m)
        before, many, after = in_a_process(folder, 2, FEW, MANY, FEW)
        few = (before + after) / 2
        print(f"seconds a scene: {few:.2f} among {FEW}, {many:.2f} among {MANY}: {many / few:.3f}")
        gains = []
        for _ in range(PAIRS):
            (one,), (two,) = in_a_process(folder, 1, MIDDLE), in_a_process(folder, 2, MIDDLE)
            gains.append(one / two)
            print(f"one core {one:.2f}, two {two:.2f}: {gains[-1]:.2f} x", flush=True)
        print(f"median of {PAIRS}: {statistics.median(gains):.2f} x")


if __name__ == "__main__":
    main()
