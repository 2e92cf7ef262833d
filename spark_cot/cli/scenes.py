"""The stages over an archive: run, ingest, apply, products."""

from __future__ import annotations

from pathlib import Path

import click

from spark_cot.archive.apply import apply as apply_model
from spark_cot.archive.ingest import ingest as ingest_archive
from spark_cot.archive.products import products as write_products
from spark_cot.archive.run import run as run_archive
from spark_cot.cli.options import (
    archive_options,
    job_options,
    mask_option,
    model_options,
    selection_options,
)
from spark_cot.cli.running import finish, start_spark
from spark_cot.models.bundle import Bundle, load_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.plan.select import Selection
from spark_cot.safe import Downsampling
from spark_cot.tables.workspace import Workspace


@click.command()
@archive_options
@model_options
@mask_option
@job_options
def run(
    archive: str,
    out: Path,
    resolution: str,
    downsampling: str,
    model: Path,
    thin: float | None,
    thick: float | None,
    mask_above: float | None,
    max_failure_ratio: float,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Ingest ARCHIVE, apply a model and write products: the main job, with a report.

    ARCHIVE is a folder tree, a glob, a list file, or one L1C product (.SAFE or .zip).
    """
    bundle = load_bundle(model)
    stages = run_archive(
        start_spark("run", master, conf),
        archive,
        out,
        bundle,
        int(resolution),
        Downsampling(downsampling),
        thresholds_of(bundle, thin, thick),
        mask_above,
    )
    return finish(out, stages, max_failure_ratio, bundle)


@click.command()
@archive_options
@job_options
def ingest(
    archive: str,
    out: Path,
    resolution: str,
    downsampling: str,
    max_failure_ratio: float,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Bring the L1C products of ARCHIVE into the pixel table and the scene index.

    ARCHIVE is a folder tree, a glob, a list file, or one L1C product (.SAFE or .zip).
    """
    spark = start_spark("ingest", master, conf)
    stage = ingest_archive(spark, archive, out, int(resolution), Downsampling(downsampling))
    return finish(out, [stage], max_failure_ratio)


@click.command()
@selection_options
@model_options
@job_options
def apply(
    workspace: Path,
    tile: tuple[str, ...],
    date: str | None,
    scene: tuple[str, ...],
    model: Path,
    thin: float | None,
    thick: float | None,
    max_failure_ratio: float,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Give every pixel in the pixel table of WORKSPACE a COT, its uncertainty and a class."""
    bundle, folder = load_bundle(model), Workspace.open(workspace)
    thresholds, selection = thresholds_of(bundle, thin, thick), Selection.parse(tile, date, scene)
    stage = apply_model(start_spark("apply", master, conf), folder, bundle, thresholds, selection)
    return finish(workspace, [stage], max_failure_ratio, bundle)


@click.command()
@selection_options
@mask_option
@job_options
def products(
    workspace: Path,
    tile: tuple[str, ...],
    date: str | None,
    scene: tuple[str, ...],
    mask_above: float | None,
    max_failure_ratio: float,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Write COGs, quicklook and STAC item of the scenes in WORKSPACE that have a COT."""
    folder, selection = Workspace.open(workspace), Selection.parse(tile, date, scene)
    stage = write_products(start_spark("products", master, conf), folder, mask_above, selection)
    return finish(workspace, [stage], max_failure_ratio)


def thresholds_of(bundle: Bundle, thin: float | None, thick: float | None) -> Thresholds:
    """The thresholds of ``--thin`` and ``--thick``, the model's own where they are not given."""
    own = bundle.thresholds
    return Thresholds(own.thin if thin is None else thin, own.thick if thick is None else thick)
