"""Training of models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from spark_cot.archive import train as training
from spark_cot.cli.options import MODEL, PATH, spark_options
from spark_cot.cli.running import print_path, start_spark
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.learn.run import TrainingRun


@click.command()
@click.argument("table")
@click.option("--out", type=PATH, required=True, help="Bundle folder to write.")
@click.option(
    "--recipe", type=click.Choice(list(RECIPES)), default="cot12", show_default=True, help="Model."
)
@click.option("--bands", help="Train on these bands, B02,B03,... [default: the recipe's]")
@click.option("--members", type=click.IntRange(1), help="Networks of the ensemble [the recipe's]")
@click.option("--steps", type=click.IntRange(1), help="Steps of the optimiser [the recipe's]")
@click.option("--batch-rows", type=click.IntRange(1), help="Rows per step [the recipe's]")
@click.option("--seed", type=click.IntRange(1), default=1, show_default=True, help="Of all draws.")
@click.option("--teacher", type=MODEL, help="Bundle whose predictions are learned.")
@click.option("--unlabelled", help="Pixel table that the teacher labels beside TABLE.")
@click.option("--ranks", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--spark", is_flag=True, help="Start the ranks on the executors of a Spark cluster.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint, if there is one.")
@click.option(
    "--checkpoint-every", type=click.IntRange(1), default=500, show_default=True, help="Steps."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="Of matrix products; auto is bf16 on GPUs that have it.",
)
@click.option("--compile", "compile_", is_flag=True, help="Fuse the model with torch.compile.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads per rank [a fair share]")
@click.option(
    "--stream",
    type=click.Choice(["petastorm", "pyarrow"]),
    default="petastorm",
    show_default=True,
    help="What reads TABLE; the batches are the same, and pyarrow needs no Petastorm.",
)
@spark_options
def train(
    table: str,
    out: Path,
    recipe: str,
    bands: str | None,
    members: int | None,
    steps: int | None,
    batch_rows: int | None,
    seed: int,
    teacher: Path | None,
    unlabelled: str | None,
    ranks: int,
    spark: bool,
    resume: bool,
    checkpoint_every: int,
    precision: str,
    compile_: bool,
    threads: int | None,
    stream: str,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Train a model on TABLE, a folder with split=train, split=val and split=test.

    Starts --ranks processes on this machine; under torchrun it is one of the ranks itself.
    Checkpoint, metrics and curves go to OUT.training.
    """
    asked: dict[str, Any] = {"members": members, "steps": steps, "batch_rows": batch_rows}
    changes = {name: value for name, value in asked.items() if value is not None}
    chosen = replace(_recipe(recipe, bands), seed=seed, **changes)
    run = TrainingRun(
        recipe=chosen,
        table=table,
        out=out,
        teacher=teacher,
        unlabelled=unlabelled,
        resume=resume,
        checkpoint_every=checkpoint_every,
        precision=precision,
        compile=compile_,
        threads=threads,
        stream=stream,
    )
    training.train(run, ranks, start_spark("train", master, conf) if spark else None)
    print_path("model", out)
    print_path("curves", run.folder / "curves.png")
    return 0


def _recipe(name: str, bands: str | None) -> Recipe:
    recipe = RECIPES[name]
    return recipe.with_bands(bands.upper().split(",")) if bands else recipe
