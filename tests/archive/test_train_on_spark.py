from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from spark_cot.archive.train import train_on_spark
from spark_cot.errors import TrainingError
from spark_cot.learn import Bundle
from spark_cot.learn.train import Plan


def test_ranks_on_spark_make_the_same_bundle(
    spark: SparkSession,
    two_ranks: Bundle,
    shared_plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train_on_spark(spark, replace(shared_plan, out=Path("model")), 2) == two_ranks
    assert (tmp_path / "model").is_dir()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "Command [...] failed. The last 100 lines of the task output are included below:\n"
            "[rank1]: Traceback (most recent call last):\n"
            "[rank1]: spark_cot.errors.TableError: t/split=train: 1 row groups. Use fewer ranks\n"
            "[rank0]: RuntimeError: Connection closed by peer\n"
            "E1122 torch/distributed/elastic: failed\n",
            "t/split=train: 1 row groups. Use fewer ranks",
        ),
        ("something\nwent wrong", "went wrong"),
    ],
)
def test_the_cause_is_found_among_what_the_ranks_print(
    spark: SparkSession,
    shared_plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    said: str,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(output)

    monkeypatch.setattr(TorchDistributor, "run", fail)
    with pytest.raises(TrainingError) as caught:
        train_on_spark(spark, shared_plan, 2)
    assert caught.value.what == f"the ranks on Spark ended: {said}"
    assert "--resume" in str(caught.value)
