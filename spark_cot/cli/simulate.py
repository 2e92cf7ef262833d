"""The simulator: synthetic table and validation."""

from __future__ import annotations

from pathlib import Path

import click

from spark_cot.cli.options import PATH, spark_options
from spark_cot.cli.running import console, current_job, print_path, print_stage, start_spark
from spark_cot.engine.outcome import exit_code
from spark_cot.report.run import Picture, Section
from spark_cot.storage import write_text


@click.group(invoke_without_command=True)
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

    job = current_job()
    job.stages.append(simulate_table(start_spark("simulate", master, conf), out, rows, seed))
    print_stage(job.stages[0])
    code = exit_code(job.stages, 0)
    if plot and code == 0:
        pictures = save_figures(read_synthetic(out), out / "plots")
        job.sections = [Section("Pictures", pictures=[Picture(str(path)) for path in pictures])]
    print_path("report", job.report(out / "reports"))
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
        progress=console.print,
    )
    click.echo(report.markdown())
    if out:
        write_text(out, report.markdown())
    return 0 if report.passed else 2
