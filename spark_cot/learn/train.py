r"""The training loop: one function under python, torchrun and Spark's TorchDistributor.

    spark-cot train TABLE --out BUNDLE                                  one process
    spark-cot train TABLE --out BUNDLE --ranks 2                        two on this machine
    torchrun --nproc-per-node 8 jobs/train.py TABLE --out BUNDLE        8 GPUs of one node
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \
        jobs/train.py TABLE --out BUNDLE                                many nodes, the same on each
    spark-submit jobs/train.py TABLE --out BUNDLE --spark --ranks 8     executors of a cluster

Rows come through Petastorm or through pyarrow alone, the same batches (`learn.stream`); gradients
are averaged by DistributedDataParallel. Every random number follows from seed, step and rank, so a
run that is killed and resumed takes the steps that it would have taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from spark_cot.errors import TrainingError
from spark_cot.learn import checkpoint
from spark_cot.learn.finish import finished_bundle
from spark_cot.learn.history import write_history
from spark_cot.learn.network import Ensemble
from spark_cot.learn.objective import Labels, Objective
from spark_cot.learn.plan import Plan
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.statistics import statistics
from spark_cot.learn.stream import Shard, Stream
from spark_cot.learn.stream import load as load_table
from spark_cot.learn.teacher import Teacher
from spark_cot.learn.world import World
from spark_cot.models.bundle import Bundle, check_place, load_bundle, save_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.progress import progress

#: Rows the validation loss is taken over; enough for three figures.
VALIDATION_ROWS: Final = 20_000
#: Stand in until those of the bundle are chosen.
PUBLISHED_THRESHOLDS: Final = Thresholds(0.75, 1.25)
_RISE: Final = 0.02
_SAY_EVERY_SECONDS: Final = 5.0


def train(plan: Plan, world: World) -> Bundle | None:
    """Train a model; rank 0 writes the bundle and gives it, the others give None.

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
    check_place(plan.out)
    return Trainer(plan, world).run()


class Trainer:
    """One rank of a training run.

    Parameters
    ----------
    plan : Plan
    world : World
    """

    def __init__(self, plan: Plan, world: World) -> None:
        self.plan, self.world, self.recipe = plan, world, plan.recipe
        torch.set_num_threads(plan.threads or world.threads)
        columns = (*self.recipe.inputs, "cot")
        shard, rows = Shard(world.rank, world.size), rows_per_rank(self.recipe, world.size)
        self.stream = Stream(
            plan.split("train"),
            columns,
            rows,
            seed=self.recipe.seed,
            shard=shard,
            through=plan.stream,
        )
        self.table = statistics(plan.split("train"), self.recipe.inputs)
        self.objective = Objective(self.recipe, self.table.class_rows)
        self.validation = load_table(plan.split("val"), columns, VALIDATION_ROWS)
        self.teacher = (
            Teacher(load_bundle(plan.teacher), self.recipe, world) if plan.teacher else None
        )
        self.unlabelled = self._unlabelled(shard, rows)
        self.ensemble = Ensemble(self.recipe.architecture, self.recipe.seed).to(world.device)
        self.model = self._distributed()
        self.optimizer = torch.optim.Adam(self.ensemble.parameters(), fused=True)
        self.progress = checkpoint.Progress()
        self.said = time.monotonic()
        self.best = self._weights()
        self.generator = torch.Generator(world.device)
        self.shift = self.table.means.to(world.device)
        self.width = self.table.stds.clamp(min=1e-6).to(world.device)

    def run(self) -> Bundle | None:
        """All steps that are left, then the bundle."""
        if self.plan.resume:
            self._restore()
        recipe, taken = self.recipe, self.progress
        begun, waited, started = taken.step, 0.0, time.monotonic()
        title = f"Training {recipe.name}"
        with (
            closing(self._batches()) as batches,
            progress(title, recipe.steps, "steps", shown=self.world.is_first) as show,
        ):
            while taken.step < recipe.steps and not self._has_settled():
                asked = time.monotonic()
                batch = next(batches)
                waited += time.monotonic() - asked
                taken.loss_sum += self._step(*batch)
                taken.step += 1
                if self._ends_epoch():
                    seconds = time.monotonic() - started
                    self._end_epoch(seconds, waited / seconds, taken.step - begun)
                if taken.step % self.plan.checkpoint_every == 0:
                    self._save()
                show(taken.step)
        self._save()
        return self._finish()

    def _step(self, batch: torch.Tensor, pixels: torch.Tensor | None) -> float:
        """One step of the optimiser; the loss per member."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * rate(self.progress.step, self.recipe.steps)
        self.generator.manual_seed(self._seed())
        loss = self._loss(self.model, batch, pixels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        value = loss.item() / self.recipe.members
        if not math.isfinite(value):
            raise diverged(self.progress.step, self.recipe)
        return value

    def _loss(
        self, model: nn.Module, batch: torch.Tensor, pixels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Loss of rows ``(rows, inputs + 1)`` whose last column is the COT, and unlabelled ones."""
        batch = batch.to(self.world.device, non_blocking=True)
        x, cot = batch[:, :-1], batch[:, -1]
        if pixels is not None:
            x = torch.cat([x, pixels.to(self.world.device)])
        x = self._noisy(x)
        with self.world.autocast(self.plan.precision):
            outputs = model((x - self.shift) / self.width).float()
        labels = self.teacher(x) if self.teacher else Labels(cot)
        return self.objective(outputs, labels)

    def _noisy(self, x: torch.Tensor) -> torch.Tensor:
        """Rows for every member with noise of its own, ``(members, rows, inputs)``."""
        bands = self.recipe.bands
        x = x.expand(self.recipe.members, *x.shape)
        rho = x[..., : len(bands)]
        noisy = self.recipe.noise.apply(rho, bands, self.shift[: len(bands)], self.generator)
        return torch.cat([noisy, x[..., len(bands) :]], dim=-1)

    def _batches(self) -> Generator[tuple[torch.Tensor, torch.Tensor | None], None, None]:
        """Labelled rows, and unlabelled ones where there are any, from the next step on."""
        labelled = endless(self.stream, self.progress.step)
        if self.unlabelled is None:
            yield from ((batch, None) for batch in labelled)
        else:
            yield from zip(labelled, endless(self.unlabelled, self.progress.step), strict=False)

    def _unlabelled(self, shard: Shard, rows: int) -> Stream | None:
        if self.plan.unlabelled is None:
            return None
        if self.teacher is None:
            raise TrainingError("unlabelled pixels need a teacher", cure="Give --teacher BUNDLE")
        return Stream(
            self.plan.unlabelled,
            self.recipe.inputs,
            rows,
            seed=self.recipe.seed + 1,
            shard=shard,
            through=self.plan.stream,
        )

    def _distributed(self) -> nn.Module:
        model: nn.Module = self.ensemble
        if self.plan.compile:
            model = torch.compile(model)  # type: ignore[assignment]
        if self.world.size == 1:
            return model
        return DistributedDataParallel(model, gradient_as_bucket_view=True)

    def _seed(self) -> int:
        """Of this step's noise on this rank; any two differ."""
        recipe, step = self.recipe, self.progress.step
        return (recipe.seed * recipe.steps + step) * self.world.size + self.world.rank

    def _ends_epoch(self) -> bool:
        step = self.progress.step
        return step % self.stream.steps == 0 or step == self.recipe.steps

    def _has_settled(self) -> bool:
        """Whether the validation loss has not improved for the recipe's patience."""
        return len(self.progress.history) - 1 - self.progress.best_epoch >= self.recipe.patience

    def _end_epoch(self, seconds: float, wait_share: float, steps: int) -> None:
        progress = self.progress
        epoch_steps = (progress.step - 1) % self.stream.steps + 1
        loss = self._validate()
        rows = steps * rows_per_rank(self.recipe, self.world.size) * self.world.size
        entry = {
            "step": progress.step,
            "train_loss": progress.loss_sum / epoch_steps,
            "validation_loss": loss,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "rows_per_s": rows / seconds,
            "wait_share": wait_share,
        }
        progress.history.append(entry)
        progress.loss_sum = 0.0
        if loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = loss, len(progress.history) - 1
            self.best = self._weights()
        if self.world.is_first:
            write_history(self.plan.folder, progress.history, draw=False)
        if progress.step == self.recipe.steps or time.monotonic() - self.said > _SAY_EVERY_SECONDS:
            self.said = time.monotonic()
            self.world.say(
                f"epoch {len(progress.history)}, step {progress.step:,} of {self.recipe.steps:,}: "
                f"loss {entry['train_loss']:.4f}, validation {loss:.4f}, "
                f"{entry['rows_per_s']:,.0f} rows/s, waited for data {100 * wait_share:.0f} %"
            )

    @torch.no_grad()
    def _validate(self) -> float:
        """Loss per member on the validation rows, each rank its share, the same on all ranks."""
        mine = self.validation[self.world.rank :: self.world.size]
        self.generator.manual_seed(self.recipe.seed)
        parts = torch.split(mine, self.recipe.batch_rows)
        losses = [self._loss(self.ensemble, part) * len(part) for part in parts]
        total = self.world.total(torch.stack(losses).sum())
        return float(total) / len(self.validation) / self.recipe.members

    @property
    def _making(self) -> dict[str, Any]:
        """What decides the run: a checkpoint of another is refused."""
        return {
            **self.recipe.document(),
            "data": self.table.data_hash,
            "ranks": self.world.size,
            "teacher": self.teacher.bundle.hash if self.teacher else None,
            "unlabelled": self.plan.unlabelled,
        }

    @property
    def _checkpoint(self) -> Path:
        return self.plan.folder / "checkpoint.safetensors"

    def _weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights, by parameter."""
        return {name: tensor.detach().clone() for name, tensor in self._parameters().items()}

    def _parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.ensemble.named_parameters())

    def _save(self) -> None:
        if not self.world.is_first:
            return
        tensors = {f"best.{name}": tensor for name, tensor in self.best.items()}
        for name, parameter in self._parameters().items():
            tensors[f"weight.{name}"] = parameter.detach()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        checkpoint.write(self._checkpoint, self._making, self.progress, tensors)

    def _restore(self) -> None:
        """Take up the checkpoint, if there is one."""
        if not self._checkpoint.exists():
            return
        self.progress, tensors = checkpoint.read(self._checkpoint, self._making)
        parameters = self._parameters()
        self.best = {name: tensors[f"best.{name}"].to(self.world.device) for name in parameters}
        for name, parameter in parameters.items():
            parameter.data.copy_(tensors[f"weight.{name}"])
            self.optimizer.state[parameter] = {
                key: tensors[f"{key}.{name}"].to(parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
        self.world.say(f"resumed at step {self.progress.step:,}")

    def _finish(self) -> Bundle | None:
        """The bundle of the best weights, written by rank 0 while the others wait."""
        bundle = None
        if self.world.is_first:
            for name, parameter in self._parameters().items():
                parameter.data.copy_(self.best[name])
            bundle = self._bundle()
            write_history(self.plan.folder, self.progress.history, draw=True)
            save_bundle(bundle, self.plan.out)
        self.world.wait()
        return bundle

    def _bundle(self) -> Bundle:
        recipe, progress = self.recipe, self.progress
        training = {
            "recipe": recipe.document(),
            "data_hash": self.table.data_hash,
            "train_rows": self.stream.rows,
            "ranks": self.world.size,
            "steps": progress.step,
            "best_epoch": progress.best_epoch + 1,
            "validation_loss": progress.best_loss,
            "teacher": self.teacher.bundle.id if self.teacher else None,
        }
        raw = Bundle(
            name=self.plan.out.name,
            architecture=recipe.architecture,
            inputs=recipe.inputs,
            means=tuple(self.table.means.tolist()),
            stds=tuple(self.width.tolist()),
            target=recipe.target,
            thresholds=PUBLISHED_THRESHOLDS,
            weights=self.ensemble.tensors(),
            training=training,
            source="Trained on simulated reflectances by spark_cot",
        )
        return finished_bundle(raw, recipe.noise, self.plan.split("val"), self.plan.split("test"))


def endless(stream: Stream, step: int) -> Iterator[torch.Tensor]:
    """Batches of epoch after epoch, from the one of ``step`` on."""
    while True:
        epoch, skip = divmod(step, stream.steps)
        for batch in stream.epoch(epoch, skip):
            yield batch
            step += 1


def rows_per_rank(recipe: Recipe, ranks: int) -> int:
    """Rows of a batch on each rank; what does not divide is left out."""
    if recipe.batch_rows < ranks:
        raise TrainingError(
            f"batches of {recipe.batch_rows} rows cannot be shared by {ranks} ranks",
            f"recipe {recipe.name}",
            "Use larger batches, or fewer ranks",
        )
    return recipe.batch_rows // ranks


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
