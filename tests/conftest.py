"""Fixtures shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_cot.session import spark_session


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scenes and reference weights beside the project; see its own README."""
    folder = Path(os.environ.get("SPARK_COT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        message = f"{folder} with the real test scenes is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One small real Spark for all tests of a run."""
    folder = tmp_path_factory.mktemp("spark")
    session = spark_session(
        "tests",
        "local[2,2]",
        {
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.local.dir": str(folder),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.log.level": "ERROR",
        },
    )
    yield session
    session.stop()
