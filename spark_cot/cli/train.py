"""Training of models."""

from __future__ import annotations

from dataclasses import replace

from spark_cot.archive.options import TrainOptions
from spark_cot.archive.train import train_on_spark
from spark_cot.cli.running import print_path, start_spark
from spark_cot.learn.launch import launch
from spark_cot.learn.plan import Plan
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.storage import path_of


def train(options: TrainOptions) -> int:
    """Train a model on a table of labelled rows."""
    plan = _plan(options)
    if options.spark:
        train_on_spark(start_spark("train", options), plan, options.ranks)
    else:
        launch(plan, options.ranks)
    print_path("model", plan.out)
    print_path("curves", plan.folder / "curves.png")
    return 0


def _plan(options: TrainOptions) -> Plan:
    return Plan(
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
    )


def _recipe(options: TrainOptions) -> Recipe:
    """The recipe asked for, with the changes asked for."""
    recipe = RECIPES[options.recipe]
    if options.bands:
        recipe = recipe.with_bands(options.bands.upper().split(","))
    sizes = ("members", "steps", "batch_rows")
    changes = {name: getattr(options, name) for name in sizes if getattr(options, name) is not None}
    return replace(recipe, seed=options.seed, **changes)
