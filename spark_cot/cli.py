"""The command line: spark-cot NAME, and spark-submit jobs/NAME.py with the same options.

A command turns its options into one library call, prints what came of it and returns the exit
code: 0 all done, 1 some scenes failed within ``--max-failure-ratio``, 2 the job failed.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from spark_cot import __version__
from spark_cot.archive.apply import apply as apply_model
from spark_cot.archive.ingest import ingest as ingest_archive
from spark_cot.archive.job import Job
from spark_cot.archive.outcome import StageResult, exit_code
from spark_cot.archive.products import products as write_products
from spark_cot.archive.run import run as run_archive
from spark_cot.archive.select import Selection
from spark_cot.errors import SetupError, SparkCotError
from spark_cot.learn import Bundle, Thresholds, load, save
from spark_cot.learn.importers import import_model
from spark_cot.options import (
    PATH,
    archive_options,
    job_options,
    mask_option,
    model_options,
    selection_options,
    spark_options,
)
from spark_cot.safe import Downsampling
from spark_cot.session import spark_session
from spark_cot.tables.workspace import Workspace, write_text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the job's code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        code = cli.main(arguments, prog_name="spark-cot", standalone_mode=False)
    except SparkCotError as error:
        _console.print("[bold red]error[/]", end=" ")
        _console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        code = 2
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        _console.print("interrupted; run again to go on from here")
        code = 2
    except Exception:  # a fault of ours must not exit with 1, which means "some scenes failed"
        traceback.print_exc()
        _console.print("unexpected error, please report it; what is finished is kept")
        code = 2
    raise SystemExit(code)


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """Cloud optical thickness of Sentinel-2 L1C archives on Apache Spark."""


@cli.command()
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
    bundle = load(model)
    stages = run_archive(
        _spark("run", master, conf),
        archive,
        out,
        bundle,
        int(resolution),
        Downsampling(downsampling),
        _thresholds(bundle, thin, thick),
        mask_above,
    )
    return _finish(out, stages, max_failure_ratio, bundle)


@cli.command()
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
    spark = _spark("ingest", master, conf)
    stage = ingest_archive(spark, archive, out, int(resolution), Downsampling(downsampling))
    return _finish(out, [stage], max_failure_ratio)


@cli.command()
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
    """Give every pixel in the pixel table of WORKSPACE a COT, a spread and a class."""
    bundle, folder = load(model), Workspace.open(workspace)
    thresholds, selection = _thresholds(bundle, thin, thick), Selection.parse(tile, date, scene)
    stage = apply_model(_spark("apply", master, conf), folder, bundle, thresholds, selection)
    return _finish(workspace, [stage], max_failure_ratio, bundle)


@cli.command()
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
    stage = write_products(_spark("products", master, conf), folder, mask_above, selection)
    return _finish(workspace, [stage], max_failure_ratio)


@cli.group(invoke_without_command=True)
@click.option("--rows", type=int, help="Rows of the table.  [required]")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Of all draws.")
@click.option("--out", type=PATH, help="Folder of the table; made if missing.  [required]")
@click.option("--plot", is_flag=True, help="Also draw the rows and the physics, in OUT/plots.")
@spark_options
def simulate(
    rows: int | None,
    seed: int,
    out: Path | None,
    plot: bool,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Make the synthetic table of reflectances under clouds of known thickness."""
    if click.get_current_context().invoked_subcommand:
        return 0
    if rows is None or out is None:
        raise click.UsageError("Give --rows and --out, or the sub-command validate.")
    # Numba and its kernels take seconds to import, which other commands need not wait for.
    from spark_cot.archive.simulate import read_synthetic
    from spark_cot.archive.simulate import simulate as simulate_table
    from spark_cot.simulate.plots import save_figures

    job = _job()
    job.stages.append(simulate_table(_spark("simulate", master, conf), out, rows, seed))
    _print_stage(job.stages[0])
    code = exit_code(job.stages, 0)
    if plot and code == 0:
        job.pictures = save_figures(read_synthetic(out), out / "plots")
    _print_path("report", job.report(out / "reports"))
    return code


@simulate.command()
@click.option("--table", type=PATH, help="Synthetic table to judge; else rows are made.")
@click.option("--rows", type=int, default=36_000, show_default=True, help="Rows to make.")
@click.option("--columns", type=int, default=100, show_default=True, help="Compared with DISORT.")
@click.option("--ensemble", type=PATH, help="Published ensemble's .npz, for rank correlation.")
@click.option("--learn", is_flag=True, help="Also train a small network on the rows.")
@click.option("--out", type=PATH, help="Markdown file for the report, besides the terminal.")
def validate(
    table: Path | None,
    rows: int,
    columns: int,
    ensemble: Path | None,
    learn: bool,
    out: Path | None,
) -> int:
    """Measure the simulator against published solutions and other codes; about ten minutes.

    The comparisons need the packages of the dev extra.
    """
    from spark_cot.archive.simulate import read_synthetic
    from spark_cot.simulate.validate import validate as validate_simulator

    report = validate_simulator(
        table=read_synthetic(table) if table else None,
        rows=rows,
        disort_cases=columns,
        convergence_cases=max(1, 3 * columns // 5),
        ensemble=ensemble,
        learn=learn,
        progress=_console.print,
    )
    click.echo(report.markdown())
    if out:
        write_text(out, report.markdown())
    return 0 if report.passed else 2


@cli.group()
def model() -> None:
    """Import and show model bundles."""


@model.command("import")
@click.argument("source", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, required=True, help="Bundle folder to write.")
@click.option("--name", help="Name of the model [default: from SOURCE]")
def model_import(source: tuple[Path, ...], out: Path, name: str | None) -> int:
    """Turn published weights into a bundle; nothing pickled is executed.

    SOURCE is the ensemble's .npz file, or its PyTorch checkpoints, or their folder.
    """
    bundle = import_model(source if len(source) > 1 else source[0], name)
    save(bundle, out)
    _show(bundle)
    return 0


@model.command("show")
@click.argument("bundle", type=PATH)
def model_show(bundle: Path) -> int:
    """Print what BUNDLE is: inputs, thresholds, training, metrics, hash."""
    _show(load(bundle))
    return 0


def _spark(name: str, master: str | None, conf: Iterable[str]) -> SparkSession:
    properties = {}
    for pair in conf:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SetupError(f"{pair!r} is no Spark property", "--conf", "Write KEY=VALUE")
        properties[key] = value
    return spark_session(f"spark-cot {name}", master, properties)


def _thresholds(bundle: Bundle, thin: float | None, thick: float | None) -> Thresholds:
    own = bundle.thresholds
    return Thresholds(own.thin if thin is None else thin, own.thick if thick is None else thick)


def _finish(
    root: Path, stages: Iterable[StageResult], ratio: float, bundle: Bundle | None = None
) -> int:
    """Print the outcome of each stage as it ends, write the run report, give the exit code."""
    job = _job(bundle)
    for stage in stages:
        job.stages.append(stage)
        _print_stage(stage)
    workspace = Workspace.open(root)
    _print_path("report", job.report(workspace.reports, workspace))
    return exit_code(job.stages, ratio)


def _job(bundle: Bundle | None = None) -> Job:
    context = click.get_current_context()
    options = {k: str(v) for k, v in context.params.items() if v not in (None, ())}
    return Job(str(context.info_name), options, bundle)


def _print_path(what: str, path: Path) -> None:
    _console.print(f"{what} {path}", highlight=False, soft_wrap=True)


def _print_stage(stage: StageResult) -> None:
    rate = stage.rows / stage.seconds
    _console.print(
        f"[bold]{stage.stage}[/]: {stage.count('done')} done, {stage.count('skipped')} skipped, "
        f"{stage.count('failed')} failed, {stage.rows:,} rows in {stage.seconds:.1f} s "
        f"({rate:,.0f} rows/s)",
        highlight=False,
    )
    for outcome in stage.outcomes:
        if outcome.state in ("failed", "superseded"):
            text = f"  {outcome.state} {outcome.name}: {outcome.reason}"
            _console.print(text, markup=False, highlight=False, soft_wrap=True)


def _show(bundle: Bundle) -> None:
    """The bundle's model.json, which says all there is to say but the weights."""
    Console(soft_wrap=True).print_json(json.dumps(bundle.document))
