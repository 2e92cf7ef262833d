"""The command line: spark-cot NAME, and spark-submit jobs/NAME.py with the same options.

A command turns its options into one library call, prints what came of it and returns the exit
code: 0 all done, 1 some scenes failed within ``--max-failure-ratio``, 2 the job failed.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence

import click

from spark_cot import __version__
from spark_cot.cli.config import config
from spark_cot.cli.demo import demo
from spark_cot.cli.models import model
from spark_cot.cli.operate import reprocess, status, vacuum, verify
from spark_cot.cli.running import console
from spark_cot.cli.scenes import apply, ingest, products, run
from spark_cot.cli.simulate import simulate
from spark_cot.cli.train import train
from spark_cot.errors import SparkCotError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the job's code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        code = cli.main(arguments, prog_name="spark-cot", standalone_mode=False)
    except SparkCotError as error:
        console.print("[bold red]error[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        code = 2
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        console.print("interrupted; run again to go on from here")
        code = 2
    except Exception:  # a fault of ours must not exit with 1, which means "some scenes failed"
        traceback.print_exc()
        console.print("unexpected error, please report it; what is finished is kept")
        code = 2
    raise SystemExit(code)


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """Cloud optical thickness of Sentinel-2 L1C archives on Apache Spark."""


for command in (demo, run, ingest, apply, products, reprocess, verify, vacuum, status):
    cli.add_command(command)
for command in (simulate, train, model, config):
    cli.add_command(command)
