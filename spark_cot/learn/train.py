r"""The training loop: one function under python, torchrun and Spark's TorchDistributor.

    spark-cot train TABLE --out BUNDLE                                  one process
    spark-cot train TABLE --out BUNDLE --ranks 2                        two on this machine
    torchrun --nproc-per-node 8 jobs/train.py TABLE --out BUNDLE        8 GPUs of one node
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \
        jobs/train.py TABLE --out BUNDLE                                many nodes, the same on each
    spark-submit jobs/train.py TABLE --out BUNDLE --spark --ranks 8     executors of a cluster

Rows come through Petastorm or through pyarrow alone, the same batches (`learn.stream`); gradients
are averaged by DistributedDataParallel. Every random number follows from seed, step and rank, so a
run that is killed and resumed takes the steps that it would have taken. Training ends with weights:
thresholds and scores are not its concern.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from spark_cot.errors import TrainingError
from spark_cot.learn.checkpoint import TrainingState
from spark_cot.learn.data import Batch, rows_per_rank
from spark_cot.learn.history import write_history
from spark_cot.learn.learner import keep_if_best
from spark_cot.learn.network import Ensemble
from spark_cot.learn.rank import Rank, open_rank, resume, save_checkpoint, trained_bundle
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.world import World
from spark_cot.models.bundle import check_place, save_bundle
from spark_cot.progress import progress

_RISE: Final = 0.02
_REPORT_EVERY_SECONDS: Final = 5.0


def train(run: TrainingRun, world: World) -> None:
    """Be one rank of a training run; the first one writes the trained weights to `run.weights`.

    Raises
    ------
    TableError
        The table cannot be read, or does not fit; see `learn.stream`.
    TrainingError
        A batch has fewer rows than there are ranks, unlabelled pixels have no teacher, the
        checkpoint is of another configuration or cannot be written, or the loss is no number.
    ModelError
        The recipe does not fit the table, or the bundle cannot be written.
    """
    check_place(run.out)
    torch.set_num_threads(run.threads or world.threads)
    rank = open_rank(run, world)
    if run.resume:
        resume(rank)
    take_steps(rank)
    if world.is_first:
        write_history(run.folder, rank.learner.state.history, draw=True)
        save_bundle(trained_bundle(rank), run.weights)
    world.wait()


def take_steps(rank: Rank) -> None:
    """Take all steps that are left."""
    run, recipe, state = rank.run, rank.run.recipe, rank.learner.state
    network = distributed(rank.learner.ensemble, run, rank.world)
    clock = Clock(state.step)
    title, shown = f"Training {recipe.name}", rank.world.is_first
    with (
        closing(rank.data.batches(state.step)) as batches,
        progress(title, recipe.steps, "steps", shown=shown) as show,
    ):
        while state.step < recipe.steps and not has_settled(state, recipe):
            with clock.waiting():
                batch = next(batches)
            state.loss_sum += take_step(rank, network, batch)
            state.step += 1
            if state.step % rank.data.labelled.steps == 0 or state.step == recipe.steps:
                end_epoch(rank, clock)
            if state.step % run.checkpoint_every == 0:
                save_checkpoint(rank)
            show(state.step)
    save_checkpoint(rank)


def take_step(rank: Rank, network: nn.Module, batch: Batch) -> float:
    """One step of the optimiser; the loss per member."""
    recipe, step, optimizer = rank.run.recipe, rank.learner.state.step, rank.learner.optimizer
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * rate(step, recipe.steps)
    rank.loss.generator.manual_seed(noise_seed(recipe, step, rank.world))
    loss = rank.loss(network, *batch)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    value = loss.item() / recipe.members
    if not math.isfinite(value):
        raise diverged(step, recipe)
    return value


def end_epoch(rank: Rank, clock: Clock) -> None:
    """Validate, keep the weights if they are the best, and note how the epoch went."""
    run, world, state = rank.run, rank.world, rank.learner.state
    seconds = clock.seconds
    steps = (state.step - 1) % rank.data.labelled.steps + 1
    rows = (state.step - clock.first_step) * rows_per_rank(run.recipe, world.size) * world.size
    entry = {
        "step": state.step,
        "train_loss": state.loss_sum / steps,
        "validation_loss": validate(rank),
        "learning_rate": rank.learner.optimizer.param_groups[0]["lr"],
        "rows_per_s": rows / seconds,
        "wait_share": clock.waited / seconds,
    }
    state.history.append(entry)
    state.loss_sum = 0.0
    keep_if_best(rank.learner, entry["validation_loss"])
    if world.is_first:
        write_history(run.folder, state.history, draw=False)
    if state.step == run.recipe.steps or clock.is_due():
        world.say(
            f"epoch {len(state.history)}, step {state.step:,} of {run.recipe.steps:,}: "
            f"loss {entry['train_loss']:.4f}, validation {entry['validation_loss']:.4f}, "
            f"{entry['rows_per_s']:,.0f} rows/s, "
            f"waited for data {100 * entry['wait_share']:.0f} %"
        )


@torch.no_grad()
def validate(rank: Rank) -> float:
    """Loss per member on the validation rows, each rank its share, the same on all ranks."""
    recipe, world, validation = rank.run.recipe, rank.world, rank.data.validation
    parts = torch.split(validation[world.rank :: world.size], recipe.batch_rows)
    rank.loss.generator.manual_seed(recipe.seed)
    losses = [rank.loss(rank.learner.ensemble, part) * len(part) for part in parts]
    total = world.total(torch.stack(losses).sum())
    return float(total) / len(validation) / recipe.members


def distributed(ensemble: Ensemble, run: TrainingRun, world: World) -> nn.Module:
    """The network whose gradients are averaged over the ranks."""
    network: nn.Module = ensemble
    if run.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    if world.size == 1:
        return network
    return DistributedDataParallel(network, gradient_as_bucket_view=True)


def has_settled(state: TrainingState, recipe: Recipe) -> bool:
    """Whether the validation loss has not improved for the recipe's patience."""
    return len(state.history) - 1 - state.best_epoch >= recipe.patience


def noise_seed(recipe: Recipe, step: int, world: World) -> int:
    """Seed of the noise of a step on a rank; any two differ."""
    return (recipe.seed * recipe.steps + step) * world.size + world.rank


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short rise, then half a cosine down to zero."""
    done = step / steps
    rise = min(1.0, (step + 1) / (_RISE * steps))
    return rise * 0.5 * (1 + math.cos(math.pi * done))


def diverged(step: int, recipe: Recipe) -> TrainingError:
    """The error of a loss that is no number any more."""
    return TrainingError(
        f"loss is no number at step {step:,}",
        f"recipe {recipe.name}",
        "Lower the learning rate, or look for outliers in the table",
    )


@dataclass(slots=True)
class Clock:
    """Times since this process began to take steps.

    Attributes
    ----------
    first_step : int
        Steps that had been taken before.
    started, reported : float
        Start, and last report to people; seconds of the monotonic clock.
    waited : float
        Seconds spent waiting for data.
    """

    first_step: int
    started: float = field(default_factory=time.monotonic)
    reported: float = field(default_factory=time.monotonic)
    waited: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as spent waiting for data."""
        asked = time.monotonic()
        yield
        self.waited += time.monotonic() - asked

    def is_due(self) -> bool:
        """Whether it is time for a report; if so, the next one is due some seconds later."""
        due = time.monotonic() - self.reported > _REPORT_EVERY_SECONDS
        if due:
            self.reported = time.monotonic()
        return due
