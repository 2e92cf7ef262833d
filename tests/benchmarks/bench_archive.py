"""A full-size scene through ingest, apply and products, against bare GDAL and bare torch.

    python tests/benchmarks/bench_archive.py [--model BUNDLE] [--folder DIR] [--resolution 20]

Writes the scene first (about 5 minutes, 0.8 GB, kept in ``--folder``). Every figure is a ratio of
two times taken in this run on the same two cores, because machines differ and are noisy. Without
``--model`` an ensemble of the published shape with random weights stands in: the work is the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
from full_scene import write_full_scene
from rasterio.windows import Window as PixelWindow

from spark_cot.archive.apply import apply
from spark_cot.archive.ingest import ingest
from spark_cot.archive.options import ApplyOptions, IngestOptions, ProductsOptions
from spark_cot.archive.products import products
from spark_cot.engine.session import spark_session
from spark_cot.grid import Grid, Window
from spark_cot.infer.predictor import Predictor
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.target import Target
from spark_cot.msi import BAND_IDS
from spark_cot.safe import Downsampling, Scene, blocks, discover, open_scene, scene_grid, scenes_of

CORES = 2
GDAL = {
    "GDAL_NUM_THREADS": 1,
    "GDAL_CACHEMAX": 64 << 20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}


def random_bundle() -> Bundle:
    """Ten members of the published shape."""
    bands = tuple(band for band in BAND_IDS if band != "B01")
    architecture = MLP(10, (12, 64, 64, 64, 64, 1))
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(shape) / 8).astype(np.float32)
        for name, shape in architecture.shapes.items()
    }
    return Bundle(
        name="random",
        architecture=architecture,
        inputs=bands,
        means=(0.5,) * 12,
        stds=(0.3,) * 12,
        target=Target("linear", 50.0),
        thresholds=Thresholds(0.75, 1.25),
        weights=weights,
    )


def decode(scene: Scene, grid: Grid, level: bool, window: Window) -> int:
    """Bare GDAL: all bands of a block, whole samples or GDAL's own way down to the grid."""
    samples = 0
    with rasterio.Env(**GDAL):
        for path in scene.images:
            with rasterio.open(path) as image:
                scale = grid.resolution / image.transform.a
                part = PixelWindow(
                    round(window.col * scale),
                    round(window.row * scale),
                    round(window.width * scale),
                    round(window.height * scale),
                )
                shape = (window.height, window.width) if level and scale > 1 else None
                resampling = rasterio.enums.Resampling.average
                samples += image.read(1, window=part, out_shape=shape, resampling=resampling).size
    return samples


def predict(bundle: Bundle, features: np.ndarray, repeats: int) -> float:
    """Seconds of the bare ensemble on rows in memory."""
    predictor = Predictor(bundle)
    predictor(features[:4096])
    started = time.perf_counter()
    for _ in range(repeats):
        predictor(features)
    return time.perf_counter() - started


def plain_torch(bundle: Bundle, features: np.ndarray, batch: int = 2048) -> float:
    """Seconds of ten separate torch networks, batch by batch, on rows in memory."""
    import torch

    torch.set_num_threads(1)
    layers = bundle.architecture.layers
    members = []
    for member in range(bundle.architecture.members):
        modules: list[torch.nn.Module] = []
        for layer in range(1, layers + 1):
            weight = torch.from_numpy(bundle.weights[f"layer{layer}.weight"][member].copy())
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight.data = weight
            modules += [linear, torch.nn.ReLU()]
        members.append(torch.nn.Sequential(*modules))
    rows = torch.from_numpy(features)
    with torch.inference_mode():
        started = time.perf_counter()
        for start in range(0, len(rows), batch):
            torch.stack([net(rows[start : start + batch]) for net in members]).mean(0)
        return time.perf_counter() - started


def bare_rates(
    pool: ProcessPoolExecutor, bundle: Bundle, features: np.ndarray, repeats: int = 5
) -> tuple[float, float]:
    """Million pixels a second on all cores: our stacked ensemble, and ten separate networks.

    Long enough for the processor to leave its short-lived boost; taken before and after ours.
    """
    work = partial(predict, bundle, features)
    stacked = sum(repeats / s for s in pool.map(work, [repeats] * CORES))
    networks = sum(1 / s for s in pool.map(partial(plain_torch, bundle), [features] * CORES))
    return stacked, networks


class Memory:
    """Largest resident size of any Python worker and of the JVM while the block runs, bytes."""

    def __enter__(self) -> Memory:
        self.worker = self.jvm = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for process in psutil.Process().children(recursive=True):
                try:
                    name, size = process.name(), process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                if name == "java":
                    self.jvm = max(self.jvm, size)
                else:
                    self.worker = max(self.worker, size)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds and result."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "spark-cot-bench"
    )
    parser.add_argument("--resolution", type=int, default=20)
    parser.add_argument("--side-m", type=int, default=109_800, help="smaller for a quick look")
    parser.add_argument("--stages", default="exact,level,apply,products")
    arguments = parser.parse_args()
    stages = arguments.stages.split(",")
    model = arguments.model or save_bundle(random_bundle(), arguments.folder / "model")
    bundle = load_bundle(model)
    product = write_full_scene(arguments.folder / "archive", arguments.side_m)
    (granule,) = scenes_of(discover(product).products[0])
    scene = open_scene(granule)
    grid = scene_grid(scene, arguments.resolution)
    windows = sorted(blocks(scene, grid), key=lambda window: -window.pixels)
    pool = ProcessPoolExecutor(CORES, mp_context=get_context("spawn"))
    list(pool.map(abs, range(8)))
    spark = spark_session("benchmark", f"local[{CORES},4]", {"spark.ui.enabled": "false"})
    spark.sparkContext.parallelize(range(CORES), CORES).map(lambda _: __import__("torch")).count()
    figures: dict[str, Any] = {"resolution_m": arguments.resolution, "blocks": len(windows)}
    out = arguments.folder / f"workspace-{arguments.resolution}"
    with Memory() as memory:
        for mode in (Downsampling.LEVEL, Downsampling.EXACT):
            if mode.value in stages:
                shutil.rmtree(out, ignore_errors=True)
                bare = partial(decode, scene, grid, mode is Downsampling.LEVEL)
                bare_s, _ = timed(lambda job=bare: sum(pool.map(job, windows)))
                job = partial(
                    ingest,
                    spark,
                    IngestOptions(
                        archive=str(product),
                        out=out,
                        resolution=arguments.resolution,
                        downsampling=mode,
                    ),
                )
                ours_s, result = timed(job)
                figures |= {
                    f"gdal_{mode.value}_s": bare_s,
                    f"ingest_{mode.value}_s": ours_s,
                    f"ingest_{mode.value}_ratio": ours_s / bare_s,
                    "rows": sum(stage.rows for stage in result),
                }
        if "apply" in stages:
            shutil.rmtree(out / "cot", ignore_errors=True)
            features = np.random.default_rng(1).uniform(0, 1, (1_000_000, 12)).astype(np.float32)
            bare = partial(bare_rates, pool, bundle, features)
            before = bare()
            ours_s, result = timed(
                partial(apply, spark, ApplyOptions(workspace=out, model=model, change_options=True))
            )
            ensemble, networks = np.mean([before, bare()], axis=0)
            figures |= {
                "bare_ensemble_mpx_s": float(ensemble),
                "ten_networks_mpx_s": float(networks),
                "apply_mpx_s": result.rows / ours_s / 1e6,
                "apply_ratio": result.rows / ours_s / 1e6 / float(max(ensemble, networks)),
            }
        if "products" in stages:
            seconds, _ = timed(
                partial(products, spark, ProductsOptions(workspace=out, mask_above=1.25))
            )
            figures["products_s"] = seconds
    pool.shutdown()
    files = {path.relative_to(out).parts[0]: path.stat().st_size for path in out.rglob("*.parquet")}
    figures |= {f"{name}_mb": size / 1e6 for name, size in files.items()}
    figures |= {"worker_gb": memory.worker / 1e9, "jvm_gb": memory.jvm / 1e9}
    print(
        json.dumps(
            {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}, indent=1
        )
    )


if __name__ == "__main__":
    main()
