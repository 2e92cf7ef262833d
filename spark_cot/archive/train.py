"""Training on the executors of a Spark cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.ml.torch.distributor import TorchDistributor

from spark_cot.errors import SparkCotError, TrainingError
from spark_cot.learn.bundle import Bundle, load
from spark_cot.learn.launch import train_here
from spark_cot.learn.train import Plan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train_on_spark(spark: SparkSession, plan: Plan, ranks: int) -> Bundle:
    """Train with one rank per Spark task, all started together as a barrier stage.

    GPUs are used where the cluster offers them (``spark.task.resource.gpu.amount``). Every
    executor sees table and output under the same path or URL.

    Parameters
    ----------
    spark : SparkSession
    plan : Plan
    ranks : int

    Returns
    -------
    Bundle
        The trained model.

    Raises
    ------
    TrainingError
        Spark gave up; the run goes on from its checkpoint when it is started again.
    """
    configuration = spark.sparkContext.getConf()
    gpus = float(configuration.get("spark.task.resource.gpu.amount", "0") or 0) > 0
    local = str(spark.sparkContext.master).startswith("local")
    plan = plan.absolute()
    distributor = TorchDistributor(ranks, local_mode=local, use_gpu=gpus)
    try:
        distributor.run(train_here, plan)
    except (RuntimeError, PySparkException, Py4JError) as error:
        raise TrainingError(
            f"the ranks on Spark ended: {_cause(str(error))}",
            f"recipe {plan.recipe.name}",
            "Read the executors' logs, and run again with --resume",
        ) from error
    return load(plan.out)


def _cause(output: str) -> str:
    """What a rank said of an error of this package, else the last line that the ranks printed."""
    said = re.findall(rf"{SparkCotError.__module__}\.\w+: (.*)", output)
    return str(said[0]) if said else output.strip().splitlines()[-1]
