from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from spark_cot.archive.train import train
from spark_cot.errors import TableError, TrainingError
from spark_cot.learn.run import TrainingRun
from spark_cot.models.bundle import Bundle


def test_ranks_on_spark_make_the_same_bundle(
    spark: SparkSession,
    two_ranks: Bundle,
    shared_run: TrainingRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(replace(shared_run, out=Path("model")), 2, spark) == two_ranks
    assert (tmp_path / "model").is_dir()


def test_an_error_of_the_ranks_comes_through(
    spark: SparkSession, shared_run: TrainingRun, tmp_path: Path
) -> None:
    run = replace(shared_run, table=str(tmp_path / "nowhere"), out=tmp_path / "model")
    with pytest.raises(TableError, match=r"nowhere/split=train: no Parquet file is there"):
        train(run, 2, spark)


def test_ranks_that_died_are_named_with_the_cure(
    spark: SparkSession,
    shared_run: TrainingRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("TorchDistributor failed during training. View stdout logs")

    monkeypatch.setattr(TorchDistributor, "run", fail)
    with pytest.raises(TrainingError, match=r"ranks on Spark ended: Torch.*again with --resume"):
        train(replace(shared_run, out=tmp_path / "model"), 2, spark)
