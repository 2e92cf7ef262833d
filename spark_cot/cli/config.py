"""Configuration files: check them before a schedule needs them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from spark_cot.cli.configfile import check_job
from spark_cot.cli.options import PATH
from spark_cot.cli.running import console
from spark_cot.errors import SetupError


@click.group()
def config() -> None:
    """Configuration files of jobs."""


@config.command()
@click.argument("files", metavar="FILE...", type=PATH, nargs=-1, required=True)
def check(files: tuple[Path, ...]) -> int:
    """Say of each FILE whether it describes a whole job; the exit code is 2 if one does not.

    A file names its command, ``job: run``, and gives its options as on the command line.
    """
    group = cast(click.Group, click.get_current_context().find_root().command)
    jobs = {name: job for name, job in group.commands.items() if _takes_config(job)}
    wrong = 0
    for path in files:
        try:
            console.print(f"[green]good[/]  {path}: {check_job(path, jobs)}", highlight=False)
        except SetupError as error:
            wrong += 1
            console.print("[bold red]wrong[/]", end=" ")
            console.print(str(error), markup=False, highlight=False, soft_wrap=True)
    return 2 if wrong else 0


def _takes_config(command: click.Command) -> bool:
    return any(parameter.name == "config" for parameter in command.params)
