"""Configuration files: check them before a schedule needs them."""

from __future__ import annotations

from spark_cot.archive.declare import Options
from spark_cot.archive.options import CheckOptions, SparkOptions
from spark_cot.cli.commands import Command
from spark_cot.cli.configfile import check_job
from spark_cot.cli.console import console
from spark_cot.errors import SetupError


def check(options: CheckOptions) -> int:
    """Say of each file whether it describes a whole job."""
    wrong = 0
    for path in options.file:
        try:
            good = f"{path}: {check_job(path, jobs())}"
            console.print("[green]good[/]", end="  ")
            console.print(good, markup=False, highlight=False)
        except SetupError as error:
            wrong += 1
            console.print("[bold red]wrong[/]", end=" ")
            console.print(str(error), markup=False, highlight=False, soft_wrap=True)
    return 2 if wrong else 0


def jobs() -> dict[str, type[Options]]:
    """Options of the commands that take a configuration file, by the command's name."""
    from spark_cot.cli import COMMANDS

    return {
        str(command.name): command.options
        for command in COMMANDS
        if isinstance(command, Command) and issubclass(command.options, SparkOptions)
    }
