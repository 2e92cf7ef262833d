"""The train command: ranks that train, then one process that judges what they trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spark_cot.evaluate.judge import FIT_ROWS, judged
from spark_cot.evaluate.sample import Sample, read_sample
from spark_cot.learn.launch import launch
from spark_cot.learn.noise import noisy_features
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.world import is_first_rank
from spark_cot.models.bundle import Bundle, check_place, load_bundle, save_bundle

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train(run: TrainingRun, ranks: int = 1, spark: SparkSession | None = None) -> Bundle | None:
    """Train a model, judge it, and save it as `run.out`.

    A run that is killed goes on with ``resume``: with the steps that are left, and if none is, with
    the judgement.

    Parameters
    ----------
    run : TrainingRun
    ranks : int, optional
        Processes that train together. Under ``torchrun`` this process is one of them already.
    spark : SparkSession, optional
        Start the ranks on the executors of this session; otherwise on this machine.

    Returns
    -------
    Bundle or None
        The model; None on all ranks of ``torchrun`` but the first, which alone judges.

    Raises
    ------
    TrainingError
        A rank died; the run goes on from its checkpoint when it is started again.
    SparkCotError
        As `learn.train.train` and `judged_weights`.
    """
    check_place(run.out)
    if spark:
        from spark_cot.engine.ranks import train_on_spark  # ranks of torchrun need no Spark

        train_on_spark(spark, run, ranks)
    else:
        launch(run, ranks)
    if not is_first_rank():
        return None
    bundle = judged_weights(run)
    save_bundle(bundle, run.out)
    return bundle


def judged_weights(run: TrainingRun) -> Bundle:
    """What a run has trained, with calibrated probabilities, thresholds and scores.

    Raises
    ------
    TableError
        Validation or test rows cannot be read.
    ModelError
        The trained weights cannot be read, or there are no clear, thin or thick rows to choose
        thresholds by.
    """
    trained = load_bundle(run.weights)
    means = trained.means[: len(trained.bands)]

    def under_noise(sample: Sample) -> Sample:
        noise = run.recipe.noise
        return replace(
            sample, features=noisy_features(noise, sample.features, trained.bands, means)
        )

    validation = read_sample(run.split("val"), trained.inputs, FIT_ROWS)
    test = read_sample(run.split("test"), trained.inputs)
    return judged(trained, under_noise(validation), test, under_noise(test))
