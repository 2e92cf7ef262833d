"""Operating an archive: reprocess, verify, vacuum, status."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import click

from spark_cot.archive.reprocess import Limits
from spark_cot.archive.reprocess import reprocess as reprocess_archive
from spark_cot.archive.status import status as status_of
from spark_cot.cli.options import (
    PLACE,
    archive_options,
    job_options,
    mask_option,
    model_options,
    tile_date_options,
)
from spark_cot.cli.pages import plan_page, show, status_page, vacuum_page, verification_page
from spark_cot.cli.running import finish, start_spark
from spark_cot.cli.scenes import thresholds_of
from spark_cot.commit.vacuum import vacuum as vacuum_workspace
from spark_cot.commit.verify import verify as verify_workspace
from spark_cot.models.bundle import load_bundle
from spark_cot.plan.decide import Plan
from spark_cot.plan.select import Selection
from spark_cot.report.run import Section
from spark_cot.safe import Downsampling
from spark_cot.tables.workspace import Workspace

#: Scenes that --dry-run lists by name.
_SCENES_SHOWN: Final = 30


@click.command()
@archive_options
@model_options
@mask_option
@tile_date_options
@click.option("--order", type=click.Choice(["newest", "oldest"]), default="newest",
              show_default=True, help="Which scenes come first.")  # fmt: skip
@click.option("--max-scenes", type=click.IntRange(min=0), help="Work on this many at most.")
@click.option("--retry-failed", type=click.IntRange(min=0), default=3, show_default=True,
              help="How often what failed is tried again while nothing changes.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
@job_options
def reprocess(
    archive: str,
    out: Path,
    resolution: str,
    downsampling: str,
    model: Path,
    thin: float | None,
    thick: float | None,
    mask_above: float | None,
    tile: tuple[str, ...],
    date: str | None,
    order: str,
    max_scenes: int | None,
    retry_failed: int,
    dry_run: bool,
    max_failure_ratio: float,
    master: str | None,
    conf: tuple[str, ...],
) -> int:
    """Process what is new, changed, outdated or unfinished in ARCHIVE: the job for a schedule.

    ARCHIVE is a folder tree, a glob, a list file, or one L1C product (.SAFE or .zip).
    """
    bundle, plans = load_bundle(model), []

    def announce(plan: Plan) -> None:
        plans.append(plan)
        show(plan_page(plan, _SCENES_SHOWN if dry_run else 0))

    stages = reprocess_archive(
        start_spark("reprocess", master, conf),
        archive,
        out,
        bundle,
        Limits(
            Selection.parse(tile, date),
            order == "newest",
            max_scenes,
            retry_failed,
            max_failure_ratio,
        ),
        announce,
        int(resolution),
        Downsampling(downsampling),
        thresholds_of(bundle, thin, thick),
        mask_above,
        dry_run,
    )
    if dry_run:
        return 0
    counts = [(kind, f"{number:,}") for kind, number in plans[0].counts.items()]
    section = Section("Plan", header=("", "Scenes"), rows=counts)
    return finish(out, stages, max_failure_ratio, bundle, [section])


@click.command()
@click.argument("workspace", type=PLACE)
@click.option("--quick", is_flag=True, help="Compare sizes and footers, no checksums.")
def verify(workspace: Path, quick: bool) -> int:
    """Check WORKSPACE against its ledger and index; the exit code is 1 if something is wrong."""
    found = verify_workspace(Workspace.open(workspace), quick, threads=os.cpu_count() or 1)
    show(verification_page(found, not quick))
    return 1 if found.findings else 0


@click.command()
@click.argument("workspace", type=PLACE)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, remove nothing.")
def vacuum(workspace: Path, dry_run: bool) -> int:
    """Remove from WORKSPACE what no commit owns: orphans, and what killed runs left behind."""
    show(vacuum_page(vacuum_workspace(Workspace.open(workspace), dry_run), dry_run))
    return 0


@click.command()
@click.argument("workspace", type=PLACE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(workspace: Path, as_json: bool) -> int:
    """Print what WORKSPACE holds: coverage, failures, models, disk used, last runs."""
    found = status_of(Workspace.open(workspace))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        show(status_page(found))
    return 0
