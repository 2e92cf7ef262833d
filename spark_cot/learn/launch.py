"""Start the ranks of a training run on this machine."""

from __future__ import annotations

import logging
import os
import socket
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Final

from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from spark_cot.errors import SparkCotError, TrainingError
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.train import train
from spark_cot.learn.world import joined

#: When one rank has ended, time for the others to notice and to report what they know of it.
_GRACE_SECONDS: Final = 5.0


def launch(run: TrainingRun, ranks: int = 1) -> None:
    """Train in this process, or in ``ranks`` processes of this machine.

    Under ``torchrun`` this process is one of the ranks already, whatever ``ranks`` says. The
    weights are in `run.weights` when all ranks are through.

    Raises
    ------
    TrainingError
        A rank died; the run goes on from its checkpoint when it is started again.
    SparkCotError
        As `learn.train.train`, from whichever rank.
    """
    if ranks > 1 and "WORLD_SIZE" not in os.environ:
        _spawn(run, ranks)
    else:
        train_here(run)


def train_here(run: TrainingRun) -> None:
    """Be the rank that the environment names, and train."""
    with joined() as world:
        train(run, world)


def _spawn(run: TrainingRun, ranks: int) -> None:
    errors: SimpleQueue[SparkCotError] = get_context("spawn").SimpleQueue()
    arguments = (run, ranks, _free_port(), errors)
    processes = spawn(_rank, arguments, nprocs=ranks, join=False)  # type: ignore[no-untyped-call]
    try:
        while not processes.join(grace_period=_GRACE_SECONDS):
            pass
    except (ProcessRaisedException, ProcessExitedException) as error:
        if not errors.empty():
            raise errors.get() from error
        raise TrainingError(
            f"rank {error.error_index} ended: {str(error).splitlines()[-1]}",
            f"recipe {run.recipe.name}",
            "Run again with --resume: it goes on from the last checkpoint",
        ) from error


def _rank(
    rank: int, run: TrainingRun, ranks: int, port: int, errors: SimpleQueue[SparkCotError]
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
    }
    try:
        train_here(run)
    except SparkCotError as error:
        errors.put(error)
        raise


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
