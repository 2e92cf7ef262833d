"""Ranks for `launch` to start in place of its own; the new processes import them."""

import json
import os
import signal
from typing import Any

from spark_cot.learn import checkpoint, launch, train
from spark_cot.learn.rank import Rank
from spark_cot.learn.run import TrainingRun

KILLED_AT = 25


def killed(number: int, run: TrainingRun, *others: Any) -> None:
    """Rank 1 is killed before its 26th step, in the middle of an epoch."""
    take_step = train.take_step

    def dying(rank: Rank, *batch: Any) -> float:
        if number == 1 and rank.learner.state.step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return take_step(rank, *batch)

    train.take_step = dying
    launch._rank(number, run, *others)


def recorded(number: int, run: TrainingRun, *others: Any) -> None:
    """Each rank records in ``rank<n>.json`` which steps it took and what it wrote."""
    take_step, steps, wrote = train.take_step, [], []

    def counting(rank: Rank, *batch: Any) -> float:
        steps.append(rank.learner.state.step)
        return take_step(rank, *batch)

    def recording(module: Any, name: str) -> None:
        write = getattr(module, name)
        setattr(module, name, lambda *a, **k: (wrote.append(name), write(*a, **k))[1])

    train.take_step = counting
    recording(checkpoint, "write")
    recording(train, "write_history")
    recording(train, "save_bundle")
    launch._rank(number, run, *others)
    record = {"steps": steps, "wrote": sorted(set(wrote))}
    run.out.with_name(f"rank{number}.json").write_text(json.dumps(record))
