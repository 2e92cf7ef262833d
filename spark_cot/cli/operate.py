"""Operating an archive: reprocess, verify, repair, vacuum, status."""

from __future__ import annotations

import json

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
from spark_cot.archive.settings import in_effect
from spark_cot.archive.status import status as status_of
from spark_cot.cli.pages import (
    repair_page,
    show,
    status_page,
    vacuum_page,
    verification_page,
)
from spark_cot.cli.running import finish, job_of, on_spark, planning, start_spark
from spark_cot.commit.vacuum import vacuum as vacuum_workspace
from spark_cot.commit.verify import verify as verify_workspace
from spark_cot.tables.workspace import Workspace


def reprocess(options: ReprocessOptions) -> int:
    """Process what is new, changed, outdated or unfinished."""
    options, changed = in_effect(options)
    job = job_of("reprocess", options, options.bundle)
    announce = planning(job, options, changed, shown=True)
    stages = reprocess_archive(start_spark("reprocess", options), options, announce)
    return finish(job, options, options.out, stages)


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
