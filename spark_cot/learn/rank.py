"""One rank of a training run: what it reads, what it minimises, what it changes, what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from spark_cot.learn import checkpoint
from spark_cot.learn.data import TrainingData, open_data
from spark_cot.learn.learner import Learner, new_learner, restore, take_best, tensors_of
from spark_cot.learn.loss import BatchLoss, batch_loss, network_stds
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.world import World
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.envelope import trained_envelope

#: The published ones stand in until a bundle's own are chosen.
PUBLISHED_THRESHOLDS: Final = Thresholds(0.75, 1.25)


@dataclass(frozen=True, slots=True)
class Rank:
    """One rank of a training run.

    Attributes
    ----------
    run : TrainingRun
    world : World
    data : TrainingData
    loss : BatchLoss
    learner : Learner
    """

    run: TrainingRun
    world: World
    data: TrainingData
    loss: BatchLoss
    learner: Learner

    @property
    def teacher(self) -> Bundle | None:
        """Bundle that gives the labels, if any."""
        return self.loss.teacher.bundle if self.loss.teacher else None

    @property
    def configuration(self) -> dict[str, Any]:
        """What decides the weights: a checkpoint of another configuration is refused."""
        return {
            **self.run.recipe.document(),
            "data": self.data.table.data_hash,
            "ranks": self.world.size,
            "teacher": self.teacher.hash if self.teacher else None,
            "unlabelled": self.run.unlabelled,
        }


def open_rank(run: TrainingRun, world: World) -> Rank:
    """A rank before its first step; it has read statistics and validation rows.

    Raises
    ------
    SparkCotError
        As `learn.data.open_data` and `learn.loss.batch_loss`.
    """
    data = open_data(run, world)
    loss = batch_loss(run, data.table, world)
    return Rank(run, world, data, loss, new_learner(run.recipe, world.device))


def save_checkpoint(rank: Rank) -> None:
    """Write the checkpoint, if this is the first rank; all ranks have the same weights."""
    if rank.world.is_first:
        learner = rank.learner
        tensors = tensors_of(learner)
        checkpoint.write(rank.run.checkpoint, rank.configuration, learner.state, tensors)


def resume(rank: Rank) -> None:
    """Go on from the checkpoint, if there is one."""
    if rank.run.checkpoint.exists():
        restore(rank.learner, *checkpoint.read(rank.run.checkpoint, rank.configuration))
        rank.world.say(f"resumed at step {rank.learner.state.step:,}")


def trained_bundle(rank: Rank) -> Bundle:
    """The best weights as a bundle, with the published thresholds and no scores."""
    run, table, learner = rank.run, rank.data.table, rank.learner
    take_best(learner)
    means, stds = tuple(table.means.tolist()), tuple(network_stds(table).tolist())
    training = {
        "recipe": run.recipe.document(),
        "data_hash": table.data_hash,
        "train_rows": rank.data.labelled.rows,
        "ranks": rank.world.size,
        "steps": learner.state.step,
        "best_epoch": learner.state.best_epoch + 1,
        "validation_loss": learner.state.best_loss,
        "teacher": rank.teacher.id if rank.teacher else None,
    }
    return Bundle(
        name=run.out.name,
        architecture=run.recipe.architecture,
        inputs=run.recipe.inputs,
        means=means,
        stds=stds,
        target=run.recipe.target,
        thresholds=PUBLISHED_THRESHOLDS,
        weights=learner.ensemble.tensors(),
        training=training,
        source="Trained on simulated reflectances by spark_cot",
        envelope=trained_envelope(table.sample.numpy(), means, stds),
    )
