"""The command line: spark-cot NAME, and spark-submit jobs/NAME.py with the same options.

A command takes its options (`archive.options`), makes one library call of them, prints what came
of it and returns the exit code: 0 all done, 1 some scenes failed, were given up or not seen, 2 more
than ``--max-failure-ratio`` of ten or more attempted scenes failed, or the job did.
"""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from spark_cot import __version__
from spark_cot.archive import options
from spark_cot.cli.commands import Command, CommandGroup
from spark_cot.errors import SparkCotError, reason
from spark_cot.secrets import hidden


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the job's code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names in archives are any bytes
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        code = cli.main(arguments, prog_name="spark-cot", standalone_mode=False)
    except (SparkCotError, OSError) as error:
        _say("[bold red]error[/]", end=" ")
        _say(reason(error), markup=False, highlight=False, soft_wrap=True)
        code = 2
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted; run again to go on from here")
        code = 2
    except Exception:  # a fault of ours must not exit with 1, which means "some scenes failed"
        print(hidden(traceback.format_exc()), file=sys.stderr, end="")
        _say("unexpected error, please report it; what is finished is kept")
        code = 2
    raise SystemExit(code)


class _Formatter(logging.Formatter):
    """Hides secrets in log lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return hidden(super().format(record))


def _say(*words: str, **style: Any) -> None:
    """Print to standard error; what that takes is not loaded for a help page."""
    from spark_cot.cli.console import console

    console.print(*words, **style)


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """Cloud optical thickness of Sentinel-2 L1C archives on Apache Spark."""


COMMANDS = (
    Command("demo", options.DemoOptions, "spark_cot.cli.demo:demo"),
    Command("run", options.RunOptions, "spark_cot.cli.scenes:run"),
    Command("ingest", options.IngestOptions, "spark_cot.cli.scenes:ingest"),
    Command("apply", options.ApplyOptions, "spark_cot.cli.scenes:apply"),
    Command("products", options.ProductsOptions, "spark_cot.cli.scenes:products"),
    Command("reprocess", options.ReprocessOptions, "spark_cot.cli.operate:reprocess"),
    Command("verify", options.VerifyOptions, "spark_cot.cli.operate:verify"),
    Command("repair", options.RepairOptions, "spark_cot.cli.operate:repair"),
    Command("vacuum", options.VacuumOptions, "spark_cot.cli.operate:vacuum"),
    Command("status", options.StatusOptions, "spark_cot.cli.operate:status"),
    CommandGroup(
        "simulate",
        options.SimulateOptions,
        "spark_cot.cli.simulate:simulate",
        [Command("validate", options.ValidateOptions, "spark_cot.cli.simulate:validate")],
    ),
    Command("train", options.TrainOptions, "spark_cot.cli.train:train"),
    click.Group(
        "model",
        help="Import and show model bundles.",
        commands=[
            Command("import", options.ImportOptions, "spark_cot.cli.models:import_bundle"),
            Command("show", options.ShowOptions, "spark_cot.cli.models:show_bundle"),
            Command("card", options.CardOptions, "spark_cot.cli.models:model_card"),
        ],
    ),
    click.Group(
        "config",
        help="Configuration files of jobs.",
        commands=[Command("check", options.CheckOptions, "spark_cot.cli.config:check")],
    ),
)
for command in COMMANDS:
    cli.add_command(command)
