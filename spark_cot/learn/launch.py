"""Start the ranks of a training run on this machine."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from spark_cot.errors import SparkCotError, TrainingError
from spark_cot.learn.bundle import Bundle, load
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.train import Plan, train
from spark_cot.learn.world import joined


def train_local(recipe: Recipe, table: str | Path, out: str | Path, ranks: int = 1) -> Bundle:
    """Train ``recipe`` on ``table`` into the bundle ``out``, with ``ranks`` processes."""
    return launch(Plan(recipe, str(table), Path(out)), ranks)


def launch(plan: Plan, ranks: int = 1) -> Bundle:
    """Train in this process, or in ``ranks`` processes of this machine.

    Under ``torchrun`` this process is one of the ranks already, whatever ``ranks`` says.

    Returns
    -------
    Bundle
        The trained model, also where another rank wrote it.

    Raises
    ------
    TrainingError
        A rank died or failed; the run goes on from its checkpoint when it is started again.
    SparkCotError
        As `learn.train.train`.
    """
    if ranks > 1 and "WORLD_SIZE" not in os.environ:
        _spawn(plan, ranks)
    else:
        train_here(plan)
    return load(plan.out)


def train_here(plan: Plan) -> None:
    """Be the rank that the environment names, and train."""
    with joined() as world:
        train(plan, world)


def _spawn(plan: Plan, ranks: int) -> None:
    try:
        spawn(_rank, (plan, ranks, _free_port()), nprocs=ranks)  # type: ignore[no-untyped-call]
    except (ProcessRaisedException, ProcessExitedException) as error:
        raise TrainingError(
            f"rank {error.error_index} ended: {_last_line(error)}",
            f"recipe {plan.recipe.name}",
            "Run again with --resume: it goes on from the last checkpoint",
        ) from error


def _rank(rank: int, plan: Plan, ranks: int, port: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
    }
    train_here(plan)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _last_line(error: Exception) -> str:
    """What ended a rank: the last line of its traceback, without the name of the exception."""
    line = str(error).strip().splitlines()[-1]
    for kind in SparkCotError.__subclasses__():
        line = line.removeprefix(f"{kind.__module__}.{kind.__name__}: ")
    return line
