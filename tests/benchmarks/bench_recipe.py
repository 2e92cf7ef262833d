"""The published recipe on the benchmark stratum of a synthetic table: its scores on rows held out.

    python tests/benchmarks/bench_recipe.py TABLE [--steps N]

The stratum is that of the simulator's validation: whole pixels under cloud or clear, ground up to
2.5 km, neither wet ground nor bright sand.
"""

import argparse
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_cot.archive.simulate import read_synthetic
from spark_cot.archive.train import train
from spark_cot.learn.recipe import RECIPES
from spark_cot.learn.run import TrainingRun
from spark_cot.simulate.validate.rows import benchmark_stratum


def main() -> None:
    """Filter, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--steps", type=int, default=RECIPES["published"].steps)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    table = read_synthetic(arguments.table)
    chosen = table.filter(pa.array(benchmark_stratum(table)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for split in ("train", "val", "test"):
            path = folder / "table" / f"split={split}" / "rows.parquet"
            path.parent.mkdir(parents=True)
            rows = chosen.filter(pc.equal(chosen["split"], split))
            pq.write_table(rows.drop_columns(["split"]), path, row_group_size=4096)
        recipe = replace(RECIPES["published"], steps=arguments.steps)
        bundle = train(TrainingRun(recipe, str(folder / "table"), folder / "bundle"))
        assert bundle, "another rank judges"
        print(json.dumps(bundle.metrics, indent=1))


if __name__ == "__main__":
    main()
