"""The ranks of a training run as tasks of a Spark cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.ml.torch.distributor import TorchDistributor

from spark_cot.engine.tasks import java_message
from spark_cot.errors import SparkCotError, TrainingError
from spark_cot.learn.launch import train_here
from spark_cot.learn.run import TrainingRun

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train_on_spark(spark: SparkSession, run: TrainingRun, ranks: int) -> None:
    """Train with one rank per Spark task, all started together as a barrier stage.

    GPUs are used where the cluster offers them (``spark.task.resource.gpu.amount``). Driver
    and executors see table and output under the same path or URL. The weights are in
    `run.weights` when all ranks are through.

    Parameters
    ----------
    spark : SparkSession
    run : TrainingRun
    ranks : int

    Raises
    ------
    TrainingError
        A rank died; the run goes on from its checkpoint when it is started again.
    SparkCotError
        As `learn.train.train`.
    """
    configuration = spark.sparkContext.getConf()
    gpus = float(configuration.get("spark.task.resource.gpu.amount", "0") or 0) > 0
    local = str(spark.sparkContext.master).startswith("local")
    distributor = TorchDistributor(ranks, local_mode=local, use_gpu=gpus)
    try:
        failure = distributor.run(_rank, run.absolute())
    except (RuntimeError, Py4JError, PySparkException) as error:
        raise TrainingError(
            f"the ranks on Spark ended: {java_message(error)}",
            f"recipe {run.recipe.name}",
            "What they printed says why; run again with --resume",
        ) from error
    if failure is not None:
        raise failure


def _rank(run: TrainingRun) -> SparkCotError | None:
    """Train; an error of ours is the result, since Spark would say only that a rank failed."""
    try:
        train_here(run)
    except SparkCotError as error:
        return error
    return None
