"""The simulator: synthetic table and validation."""

from __future__ import annotations

from functools import partial

import click

from spark_cot.archive.options import SimulateOptions, ValidateOptions
from spark_cot.archive.simulate import beside, read_synthetic
from spark_cot.archive.simulate import simulate as simulate_table
from spark_cot.archive.writes import simulated
from spark_cot.cli.console import console
from spark_cot.cli.pages import show, writes_page
from spark_cot.cli.running import job_of, print_path, print_stage, start_spark
from spark_cot.engine.outcome import exit_code
from spark_cot.evaluate.bias import bias_checks
from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import load_bundle
from spark_cot.report.run import Picture, Section
from spark_cot.simulate.plots import save_figures
from spark_cot.simulate.validate import validate as validate_simulator
from spark_cot.storage import write_text


def simulate(options: SimulateOptions) -> int:
    """Make the synthetic table."""
    if options.dry_run:
        show(writes_page(simulated(options)))
        return 0
    job, out = job_of("simulate", options), options.out
    job.stages.append(simulate_table(start_spark("simulate", options), options))
    print_stage(job.stages[0])
    code = exit_code(job.stages, 0)
    if options.plot and code == 0:
        pictures = save_figures(read_synthetic(out), beside(out) / "plots")
        job.sections = [Section("Pictures", pictures=[Picture(str(path)) for path in pictures])]
    print_path("report", job.report(beside(out) / "reports"))
    return code


def validate(options: ValidateOptions) -> int:
    """Measure the simulator against published solutions and other codes."""
    judge = partial(bias_checks, Predictor(load_bundle(options.model))) if options.model else None
    report = validate_simulator(
        table=read_synthetic(options.table) if options.table else None,
        rows=options.rows,
        disort_cases=options.columns,
        convergence_cases=max(1, 3 * options.columns // 5),
        ensemble=options.ensemble,
        learn=options.learn,
        judge=judge,
        progress=console.print,
    )
    click.echo(report.markdown())
    if options.out:
        write_text(options.out, report.markdown())
    return 0 if report.passed else 2
