"""What commands share: the Spark session, the lines they print, the report and the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from spark_cot.archive.job import Job
from spark_cot.archive.status import operating_sections
from spark_cot.engine.outcome import StageResult, exit_code
from spark_cot.engine.session import spark_session
from spark_cot.errors import SetupError
from spark_cot.models.bundle import Bundle
from spark_cot.report.run import Section
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

console: Final = Console(stderr=True)


def start_spark(name: str, master: str | None, conf: Iterable[str]) -> SparkSession:
    """Spark with the properties of ``--conf KEY=VALUE``."""
    properties = {}
    for pair in conf:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SetupError(f"{pair!r} is no Spark property", "--conf", "Write KEY=VALUE")
        properties[key] = value
    return spark_session(f"spark-cot {name}", master, properties)


def finish(
    root: Path,
    stages: Iterable[StageResult],
    ratio: float,
    bundle: Bundle | None = None,
    sections: Iterable[Section] = (),
) -> int:
    """Print the outcome of each stage as it ends, write the run report, give the exit code."""
    job = current_job(bundle)
    for stage in stages:
        job.stages.append(stage)
        print_stage(stage)
    workspace = Workspace.open(root)
    job.sections += [*sections, *operating_sections(workspace)]
    print_path("report", job.report(workspace.reports, workspace))
    return exit_code(job.stages, ratio)


def current_job(bundle: Bundle | None = None) -> Job:
    """The command being run, with its options, for the report."""
    context = click.get_current_context()
    options = {k: str(v) for k, v in context.params.items() if v not in (None, ())}
    return Job(str(context.info_name), options, bundle)


def print_path(what: str, path: Path) -> None:
    """Say where something was written."""
    console.print(f"{what} {path}", highlight=False, soft_wrap=True)


def print_stage(stage: StageResult) -> None:
    """Counts and rate of a stage, and a line per scene that failed or was superseded."""
    rate = stage.rows / stage.seconds if stage.seconds else 0.0
    console.print(
        f"[bold]{stage.stage}[/]: {stage.count('done')} done, {stage.count('skipped')} skipped, "
        f"{stage.count('failed')} failed, {stage.rows:,} rows in {stage.seconds:.1f} s "
        f"({rate:,.0f} rows/s)",
        highlight=False,
    )
    for outcome in stage.outcomes:
        if outcome.state in ("failed", "superseded"):
            text = f"  {outcome.state} {outcome.name}: {outcome.reason}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
