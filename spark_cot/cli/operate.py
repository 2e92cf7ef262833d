"""Operating an archive: reprocess, verify, repair, vacuum, status."""

from __future__ import annotations

import json
from typing import Final

import click

from spark_cot.archive.options import (
    RepairOptions,
    ReprocessOptions,
    StatusOptions,
    VacuumOptions,
    VerifyOptions,
)
from spark_cot.archive.repair import repair as repair_workspace
from spark_cot.archive.reprocess import reprocess as reprocess_archive
from spark_cot.archive.status import status as status_of
from spark_cot.cli.pages import (
    plan_page,
    repair_page,
    show,
    status_page,
    vacuum_page,
    verification_page,
)
from spark_cot.cli.running import finish, job_of, on_spark, start_spark
from spark_cot.commit.vacuum import vacuum as vacuum_workspace
from spark_cot.commit.verify import verify as verify_workspace
from spark_cot.plan.decide import Plan
from spark_cot.report.run import Section
from spark_cot.tables.workspace import Workspace

#: Scenes that --dry-run lists by name.
_SCENES_SHOWN: Final = 30


def reprocess(options: ReprocessOptions) -> int:
    """Process what is new, changed, outdated or unfinished."""
    job = job_of("reprocess", options, options.bundle)

    def announce(plan: Plan) -> None:
        show(plan_page(plan, _SCENES_SHOWN if options.dry_run else 0))
        counts = [(kind, f"{number:,}") for kind, number in plan.counts.items()]
        job.sections.append(Section("Plan", header=("", "Scenes"), rows=counts))

    stages = reprocess_archive(start_spark("reprocess", options), options, announce)
    return 0 if options.dry_run else finish(job, options, options.out, stages)


def verify(options: VerifyOptions) -> int:
    """Check a workspace against its log and index."""
    workspace = Workspace.open(options.workspace)
    found = verify_workspace(workspace, options.quick, options.repair, on_spark("verify", options))
    show(verification_page(found, not options.quick))
    return 1 if found.findings else 0


def repair(options: RepairOptions) -> int:
    """Make the state of a workspace anew from its files."""
    found = repair_workspace(Workspace.open(options.workspace), options.yes)
    if options.json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        show(repair_page(found))
    return 1 if found.is_needed and not found.done else 0


def vacuum(options: VacuumOptions) -> int:
    """Remove what no commit owns."""
    swept = vacuum_workspace(
        Workspace.open(options.workspace),
        older_than=options.older_than,
        max_share=options.max_share,
        force=options.force,
        dry_run=options.dry_run,
        spread=on_spark("vacuum", options),
    )
    limit = 1.0 if options.force else options.max_share
    show(vacuum_page(swept, limit if options.dry_run else None))
    return 0


def status(options: StatusOptions) -> int:
    """Print what a workspace holds."""
    found = status_of(Workspace.open(options.workspace))
    if options.json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        show(status_page(found))
    return 0
