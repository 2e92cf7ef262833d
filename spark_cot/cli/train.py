"""Training of models."""

from __future__ import annotations

from dataclasses import replace

from spark_cot.archive import train as training
from spark_cot.archive.options import TrainOptions
from spark_cot.archive.writes import trained
from spark_cot.cli.pages import show, writes_page
from spark_cot.cli.running import print_path, start_spark
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.world import is_first_rank
from spark_cot.storage import path_of


def train(options: TrainOptions) -> int:
    """Train a model on a table of labelled rows."""
    run = _run(options)
    if options.dry_run:
        if is_first_rank():
            show(writes_page(trained(run)))
        return 0
    spark = start_spark("train", options) if options.spark else None
    if training.train(run, options.ranks, spark) is not None:
        print_path("model", run.out)
        print_path("curves", run.folder / "curves.png")
    return 0


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
