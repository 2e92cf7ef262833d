"""What commands share: the Spark session, the lines they print, the report and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from spark_cot.archive.declare import Options
from spark_cot.archive.job import Job
from spark_cot.archive.options import JobOptions, SparkOptions
from spark_cot.archive.status import operating_sections
from spark_cot.cli.console import console
from spark_cot.cli.pages import changes_page, plan_page, show
from spark_cot.commit.spread import Spread
from spark_cot.engine.outcome import StageResult, exit_code
from spark_cot.engine.pipeline import Announce
from spark_cot.engine.session import spark_session
from spark_cot.engine.tasks import run_tasks
from spark_cot.errors import SetupError
from spark_cot.models.bundle import Bundle
from spark_cot.plan.decide import Plan
from spark_cot.report.run import Section
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")
#: Scenes that --dry-run lists by name.
_SCENES_SHOWN: Final = 30


def start_spark(command: str, options: SparkOptions) -> SparkSession:
    """Spark as the options ask for it."""
    return spark_session(f"spark-cot {command}", options.master, options.properties)


def on_spark(command: str, options: SparkOptions) -> Spread:
    """Work on files by Spark, which is started when there is something to do."""

    def spread(title: str, tasks: Sequence[T], function: Callable[[T], R]) -> list[R]:
        return run_tasks(start_spark(command, options), title, tasks, function) if tasks else []

    return spread


def planning(
    job: Job, options: JobOptions, changed: Sequence[str], *, shown: bool = False
) -> Announce:
    """What takes up a plan: the report, and with ``shown`` and of dry runs the screen.

    ``changed`` says which options of the workspace are given up.
    """

    def announce(plan: Plan) -> None:
        if options.dry_run or shown:
            page = plan_page(plan, _SCENES_SHOWN if options.dry_run else 0)
            show(*([changes_page(changed)] if changed else []), page)
        counts = [(kind, f"{number:,}") for kind, number in plan.counts.items()]
        job.sections.append(Section("Plan", header=("", "Scenes"), rows=counts))
        reasons = [(why, f"{n:,}") for _, why, n in plan.reasons]
        job.sections.append(Section("Why", header=("", "Scenes"), rows=reasons))

    return announce


def finish(job: Job, options: JobOptions, root: Path, stages: Iterable[StageResult]) -> int:
    """Print the outcome of each stage as it ends, write the run report, give the exit code.

    Of a dry run there is nothing to tell.

    Raises
    ------
    SetupError
        The store of some scenes did not answer, however often it was asked.
    """
    if options.dry_run:
        return 0
    for stage in stages:
        job.stages.append(stage)
        print_stage(stage)
    workspace = Workspace.open(root)
    job.sections += operating_sections(workspace)
    print_path("report", job.report(workspace.reports, workspace))
    _check_store(job.stages)
    return exit_code(job.stages, options.max_failure_ratio)


def _check_store(stages: Iterable[StageResult]) -> None:
    unanswered = {
        outcome.name: outcome.reason
        for stage in stages
        for outcome in stage.outcomes
        if outcome.cause == "store"
    }
    if unanswered:
        raise SetupError(
            f"the store did not give or take what {len(unanswered):,} scenes needed: "
            f"{next(iter(unanswered.values()))}",
            cure="Mend disk, network or credentials and run again; this is no attempt of theirs",
        )


def job_of(command: str, options: Options, bundle: Bundle | None = None) -> Job:
    """The command being run, with its options, for the report."""
    return Job(command, options.given(), bundle)


def print_path(what: str, path: Path) -> None:
    """Say where something was written."""
    console.print(f"{what} {path}", markup=False, highlight=False, soft_wrap=True)


def print_stage(stage: StageResult) -> None:
    """Counts and rate of a stage; what was not seen, and a line per scene that failed."""
    rate = stage.rows / stage.seconds if stage.seconds else 0.0
    others = "".join(
        f"{number} {state.replace('-', ' ')}, "
        for state in ("given-up", "superseded")
        if (number := stage.count(state))
    )
    console.print(
        f"[bold]{stage.stage}[/]: {stage.count('done')} done, {stage.count('skipped')} skipped, "
        f"{stage.count('failed')} failed, {others}{stage.rows:,} rows in "
        f"{stage.seconds:.1f} s ({rate:,.0f} rows/s)",
        highlight=False,
    )
    unseen = [item for item in stage.passed_over if item.unseen]
    lines = [f"not seen {item.path}: {item.reason}" for item in unseen]
    if known := len(stage.passed_over) - len(unseen):
        lines.append(
            f"passed over {known:,} that are no products or known by another path; see the report"
        )
    lines += [
        f"{outcome.state.replace('-', ' ')} {outcome.name}: {outcome.reason}"
        for outcome in stage.outcomes
        if outcome.state in ("failed", "given-up")
    ]
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
