"""Planning a large archive of which most is done: seconds and memory of the driver.

    python tests/benchmarks/bench_plan.py [--scenes 10000] [--changed 100] [--folder DIR]

Simulates an archive, of files as far as planning looks at them, and a workspace that holds all of
it: log, catalogue and tables. Then some products are replaced, and the plan of
`reprocess` is made twice: the first one opens what was replaced, the second one finds it in the
catalogue. Bars on two cores: 40 s and 1 GB, in Python and the JVM together, for 100,000 scenes, and
no more than ten times what 10,000 cost. Of the memory 0.7 GB are there without any scene.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from spark_cot.commit.files import record_of_bytes, relative
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.log import Log
from spark_cot.commit.state import look
from spark_cot.engine.pipeline import Stage, make_plan
from spark_cot.engine.session import spark_session
from spark_cot.msi import BAND_IDS
from spark_cot.plan.decide import Configuration, Plan, result_key
from spark_cot.plan.sources import Granule, Granules, signature, write_catalogue
from spark_cot.safe import ProductSpec
from spark_cot.safe.spec import granule_xml, product_xml
from spark_cot.storage import is_remote
from spark_cot.tables.workspace import ITEM_NAME, Workspace

TILES = ("31TCJ", "31TDJ", "32TMT", "33UVP")
RECIPES = {
    "ingest": {"resolution": 20, "downsampling": "exact"},
    "apply": {"spark_cot.model_hash": "ab" * 32},
    "products": {"mask_above": None},
}
STAGES = {name: Stage(recipe, lambda *_: []) for name, recipe in RECIPES.items()}
PRODUCT_FILES = (
    "cot.tif", "cot_std.tif", "cloud_probability.tif", "cloud_class.tif", "outside.tif",
    "quicklook.png", ITEM_NAME,
)  # fmt: skip
#: Memory as in conf/spark-defaults.local.conf.
SETTINGS = {"spark.ui.enabled": "false", "spark.driver.memory": "1g"}
FIRST = datetime(2018, 1, 1, 10, 48, 19, tzinfo=UTC)


def spec_of(number: int) -> ProductSpec:
    """Tile and time of a scene."""
    sensing = FIRST + timedelta(days=number // len(TILES))
    return ProductSpec(
        satellite="S2A",
        tile=TILES[number % len(TILES)],
        sensing_time=sensing,
        generation_time=sensing + timedelta(hours=2),
    )


def write_archive(archive: Path, scenes: int, changed: int) -> None:
    """Products of empty files; those that will be opened have the metadata of full scenes."""
    for number in range(scenes):
        spec = spec_of(number)
        top = archive / f"{spec.name}.SAFE"
        opened = number < changed
        put(top / "MTD_MSIL1C.xml", product_xml(spec) if opened else b"")
        metadata = granule_xml(spec, (109_800, 109_800)) if opened else b""
        put(top / spec.granule / "MTD_TL.xml", metadata)
        for band in BAND_IDS:
            put(top / f"{spec.image(band)}.jp2")


def write_workspace(
    workspace: Workspace,
    archive: Path,
    scenes: int,
    recipes: Mapping[str, Configuration] = RECIPES,
) -> None:
    """Everything that planning looks at, as if all scenes were done."""
    granules, entries = [], []
    for number in range(scenes):
        spec = spec_of(number)
        source = str(archive / f"{spec.name}.SAFE")
        tile, moment = spec.tile, spec.sensing_time
        scene_id, fingerprint = f"S2A_T{tile}_{moment:%Y%m%dT%H%M%S}", f"{number:064x}"
        facts = (spec.granule, signature(source), scene_id, tile, moment)
        granules.append(Granule(source, *facts, spec.generation_time, spec.baseline, fingerprint))
        key, date = fingerprint, moment.date().isoformat()
        for stage, recipe in recipes.items():
            key = result_key(key, recipe)
            record = {"source": source, "rows": 30_140_100, "facts": recipe, "files": {}}
            for file in files_of_stage(workspace, stage, tile, date, scene_id):
                content = item_of(moment) if file.name == ITEM_NAME else b""
                put(file, content)
                record["files"][relative(workspace, file)] = record_of_bytes(content)
            entries.append(LedgerEntry(stage, scene_id, key, "done", **record))
    Log(workspace).replace(entries)
    write_catalogue(workspace, Granules.of(granules))


def files_of_stage(
    workspace: Workspace, stage: str, tile: str, date: str, scene_id: str
) -> list[Path]:
    """What a stage leaves of a scene."""
    product = workspace.product(tile, date, scene_id)
    return {
        "ingest": [workspace.pixels(tile, date, scene_id)],
        "apply": [workspace.cot(tile, date, scene_id)],
        "products": [product / name for name in PRODUCT_FILES],
    }[stage]


def item_of(moment: datetime) -> bytes:
    """What a collection tells of a scene."""
    facts = {
        "datetime": moment.isoformat(),
        "platform": "S2A",
        "gsd": 20,
        "proj:code": "EPSG:32631",
    }
    return json.dumps({"bbox": [0.5, 43.2, 1.9, 44.2], "properties": facts}).encode()


def put(file: Path, content: bytes = b"") -> None:
    """Write a file, and its folder where there are folders."""
    if not is_remote(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Largest resident size of this process and of the driver's JVM during the block, MB."""
    peak = {"python_mb": 0.0, "jvm_mb": 0.0}
    ended = threading.Event()
    here = psutil.Process()

    def watch() -> None:
        while not ended.wait(0.05):
            peak["python_mb"] = max(peak["python_mb"], here.memory_info().rss / 1e6)
            for child in here.children():
                if child.name() == "java":
                    peak["jvm_mb"] = max(peak["jvm_mb"], child.memory_info().rss / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """Build what is missing, plan twice, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "spark-cot-plan"
    )
    arguments = parser.parse_args()
    folder = arguments.folder / str(arguments.scenes)
    shutil.rmtree(folder, ignore_errors=True)
    archive = folder / "archive"
    write_archive(archive, arguments.scenes, arguments.changed)
    workspace = Workspace.create(folder / "workspace", 20)
    write_workspace(workspace, archive, arguments.scenes)
    for number in range(arguments.changed):
        product = archive / f"{spec_of(number).name}.SAFE"
        next(product.rglob("*_B03.jp2")).write_bytes(b"replaced")
    spark = spark_session("plan", "local[2,4]", SETTINGS)
    spark.sparkContext.parallelize(range(2), 2).count()
    figures: dict[str, object] = {"scenes": arguments.scenes}
    for run in ("first", "second"):
        started = time.perf_counter()
        with peak_memory() as peak:
            plan: Plan = make_plan(spark, look(workspace), str(archive), STAGES)
        seconds = time.perf_counter() - started
        facts = {"seconds": seconds, "opened": plan.archive.opened, **peak, **plan.counts}
        figures[run] = {k: round(v, 1) for k, v in facts.items()}
        write_catalogue(workspace, plan.archive.lasting)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
