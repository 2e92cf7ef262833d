"""Training of models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spark_cot.archive import train as training
from spark_cot.archive.options import TrainOptions
from spark_cot.archive.simulate import read_synthetic
from spark_cot.cli.running import print_path, start_spark
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.report.card import write_card
from spark_cot.simulate.schema import SYNTHETIC
from spark_cot.storage import path_of
from spark_cot.tables.rowgroups import has_columns

if TYPE_CHECKING:
    import pyarrow as pa


def train(options: TrainOptions) -> int:
    """Train a model on a table of labelled rows."""
    run = _run(options)
    spark = start_spark("train", options) if options.spark else None
    bundle = training.train(run, options.ranks, spark)
    if bundle is not None:
        print_path("model", run.out)
        print_path("curves", run.folder / "curves.png")
        print_path("card", write_card(bundle, _test_rows(run), run.folder / "card.html"))
    return 0


def _test_rows(run: TrainingRun) -> pa.Table | None:
    """Rows of the test split, if the table says of each what it holds."""
    stored = [name for name in SYNTHETIC.arrow.names if name != "split"]
    known = has_columns(run.split("test"), stored)
    return read_synthetic(path_of(run.table), ["test"]) if known else None


def _run(options: TrainOptions) -> TrainingRun:
    return TrainingRun(
        recipe=_recipe(options),
        table=options.table,
        out=options.out,
        teacher=path_of(options.teacher) if options.teacher else None,
        unlabelled=options.unlabelled,
        resume=options.resume,
        checkpoint_every=options.checkpoint_every,
        precision=options.precision,
        compile=options.compile,
        threads=options.threads,
        stream=options.stream,
    )


def _recipe(options: TrainOptions) -> Recipe:
    """The recipe asked for, with the changes asked for."""
    recipe = RECIPES[options.recipe]
    if options.bands:
        recipe = recipe.with_bands(options.bands.upper().split(","))
    sizes = ("members", "steps", "batch_rows")
    changes = {name: getattr(options, name) for name in sizes if getattr(options, name) is not None}
    return replace(recipe, seed=options.seed, **changes)
