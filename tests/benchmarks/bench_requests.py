"""Requests of a night in an object store: nothing to do, and ten new scenes.

    python tests/benchmarks/bench_requests.py [--scenes 2000] [--new 10]

An archive and a workspace of which all is done lie in a bucket of moto's S3 server, which counts.
`reprocess` runs with nothing to do, then with some small new scenes. Both counts are given by the
formulas of docs/archives.md, and what they say beside.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import s3fs

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench_plan import TILES, write_archive, write_workspace
from conftest import S3Server

from spark_cot.archive.options import ReprocessOptions
from spark_cot.archive.reprocess import reprocess
from spark_cot.archive.run import all_stages
from spark_cot.engine.session import spark_session
from spark_cot.msi import BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product
from spark_cot.storage import path_of
from spark_cot.tables.workspace import Workspace

EXTENT = 1920
STARTED = datetime(2031, 1, 1, 10, 48, 19, tzinfo=UTC)


def add_scenes(archive: Path, number: int, scratch: Path) -> None:
    """Small textured products, uploaded from a folder of the disk."""
    store = s3fs.S3FileSystem()
    for day in range(number):
        rng = np.random.default_rng(day)
        bands = {b.id: rng.uniform(0.05, 0.6, native_shape(b.id, EXTENT)) for b in BANDS}
        moment = STARTED + timedelta(days=day)
        spec = ProductSpec("S2A", TILES[0], moment, moment + timedelta(hours=2))
        product = write_product(scratch, bands, spec)
        store.put(
            str(product), f"{str(archive).removeprefix('s3://')}/{product.name}", recursive=True
        )


def main() -> None:
    """Build, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--new", type=int, default=10)
    parser.add_argument("--scratch", type=Path, default=Path("build/requests"))
    arguments = parser.parse_args()
    server = S3Server()
    os.environ |= {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    s3fs.S3FileSystem().mkdir("night")
    root = path_of("s3://night")
    archive, out = root / "archive", root / "workspace"
    spark = spark_session("requests", "local[2]", {"spark.ui.enabled": "false"})
    options = ReprocessOptions(archive=str(archive), out=out, resolution=60, model="cot6")
    workspace = Workspace.create(out, 60)
    stages = all_stages(spark, workspace, options)
    recipes = {name: stage.configuration for name, stage in stages.items()}
    write_archive(archive, arguments.scenes, changed=0)
    write_workspace(workspace, archive, arguments.scenes, recipes)

    def night() -> dict[str, int]:
        before = Counter(server.requests)
        reprocess(spark, options, lambda plan: print(dict(plan.counts), file=sys.stderr))
        return dict(sorted((server.requests - before).items()))

    night()  # writes the collection
    figures = {"scenes": arguments.scenes, "idle": night()}
    add_scenes(archive, arguments.new, arguments.scratch)
    figures |= {"new": arguments.new, "with new": night(), "idle again": night()}
    print(json.dumps(figures, indent=1))
    server.stop()


if __name__ == "__main__":
    main()
