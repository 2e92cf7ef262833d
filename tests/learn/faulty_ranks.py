"""Ranks for `launch` to start in place of its own; they are imported by the new processes."""

import json
import os
import signal
from typing import Any

from spark_cot.learn import checkpoint, launch, train
from spark_cot.learn.plan import Plan
from spark_cot.learn.train import Trainer

KILLED_AT = 25


def killed(rank: int, plan: Plan, *others: Any) -> None:
    """Rank 1 is killed before its 26th step, in the middle of an epoch."""
    step = Trainer._step

    def dying(self: Trainer, *batch: Any) -> float:
        if rank == 1 and self.progress.step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *batch)

    Trainer._step = dying
    launch._rank(rank, plan, *others)


def recorded(rank: int, plan: Plan, *others: Any) -> None:
    """Each rank says in ``rank<n>.json`` which steps it took and what it wrote."""
    step, taken, wrote = Trainer._step, [], []

    def counting(self: Trainer, *batch: Any) -> float:
        taken.append(self.progress.step)
        return step(self, *batch)

    def telling(module: Any, name: str) -> None:
        write = getattr(module, name)
        setattr(module, name, lambda *a, **k: (wrote.append(name), write(*a, **k))[1])

    Trainer._step = counting
    telling(checkpoint, "write")
    telling(train, "write_history")
    telling(train, "save")
    launch._rank(rank, plan, *others)
    said = {"steps": taken, "wrote": sorted(set(wrote))}
    plan.out.with_name(f"rank{rank}.json").write_text(json.dumps(said))
