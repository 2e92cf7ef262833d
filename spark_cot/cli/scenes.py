"""The stages over an archive: run, ingest, apply, products."""

from __future__ import annotations

from spark_cot.archive.apply import apply as apply_model
from spark_cot.archive.ingest import ingest as ingest_archive
from spark_cot.archive.options import ApplyOptions, IngestOptions, ProductsOptions, RunOptions
from spark_cot.archive.products import products as write_products
from spark_cot.archive.run import run as run_archive
from spark_cot.archive.settings import in_effect
from spark_cot.cli.running import finish, job_of, planning, start_spark
from spark_cot.tables.workspace import Workspace

# Model and workspace are opened before Spark starts: what is wrong with them is said at once.


def run(options: RunOptions) -> int:
    """Ingest, apply a model and write products."""
    options, changed = in_effect(options)
    job = job_of("run", options, options.bundle)
    stages = run_archive(start_spark("run", options), options, planning(job, options, changed))
    return finish(job, options, options.out, stages)


def ingest(options: IngestOptions) -> int:
    """Bring products into the pixel table and the scene index."""
    options, changed = in_effect(options)
    job = job_of("ingest", options)
    announce = planning(job, options, changed)
    stages = ingest_archive(start_spark("ingest", options), options, announce)
    return finish(job, options, options.out, stages)


def apply(options: ApplyOptions) -> int:
    """Give every pixel a COT, its uncertainty and a class."""
    Workspace.open(options.workspace)
    options, changed = in_effect(options)
    job = job_of("apply", options, options.bundle)
    announce = planning(job, options, changed)
    stage = apply_model(start_spark("apply", options), options, announce)
    return finish(job, options, options.workspace, [stage])


def products(options: ProductsOptions) -> int:
    """Write COGs, quicklook and STAC item."""
    Workspace.open(options.workspace)
    options, changed = in_effect(options)
    job = job_of("products", options)
    announce = planning(job, options, changed)
    stage = write_products(start_spark("products", options), options, announce)
    return finish(job, options, options.workspace, [stage])
