"""Spark properties: each is one that this Spark knows, given once."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(CONF.glob("spark-defaults.*.conf"))
#: Families of properties that Spark does not list one by one.
FAMILIES = (
    "spark.executorEnv.",
    "spark.kubernetes.driver.volumes.",
    "spark.kubernetes.executor.volumes.",
    "spark.kubernetes.driver.annotation.",
    "spark.kubernetes.authenticate.",
    "spark.hadoop.",
)


def properties(path: Path) -> list[tuple[str, str]]:
    """Pairs of a file, with those that are there as comments."""
    lines = [line.removeprefix("# ") for line in path.read_text().splitlines()]
    pairs = [line.split(None, 1) for line in lines if line.startswith("spark.")]
    return [(key, value) for key, value in pairs if not value.endswith((".", ",", ")"))]


@pytest.fixture(scope="module")
def known(spark: SparkSession):
    """Whether Spark has an entry of a name in its registry."""
    jvm = spark.sparkContext._jvm
    for module in ("internal.config.package$", "deploy.k8s.Config$"):
        jvm.java.lang.Class.forName(f"org.apache.spark.{module}")
    return lambda key: jvm.org.apache.spark.internal.config.ConfigEntry.findEntry(key) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_spark_knows_every_property(path: Path, known) -> None:
    keys = [key for key, _ in properties(path)]
    assert len(keys) == len(set(keys)) > 4
    assert not known("spark.executor.memry")
    free = (*FAMILIES, "spark.master", "spark.jars.packages")
    assert [key for key in keys if not key.startswith(free) and not known(key)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_python_workers_have_one_thread_everywhere(path: Path) -> None:
    found = dict(properties(path))
    assert found["spark.executorEnv.OMP_NUM_THREADS"] == "1"
    assert found["spark.python.worker.reuse"] == "true"


def test_python_workers_have_the_memory_of_a_full_scene() -> None:
    """1.2 GB used and 0.7 GB reserved at 20 m, see README."""
    for cluster in ("standalone", "k8s"):
        found = dict(properties(CONF / f"spark-defaults.{cluster}.conf"))
        share = int(found["spark.executor.pyspark.memory"].removesuffix("g"))
        assert share / int(found["spark.executor.cores"]) >= 1.9
