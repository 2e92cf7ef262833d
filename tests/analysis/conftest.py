"""The workspace that the main job makes of three small scenes with the model that ships."""

from pathlib import Path

import pytest

import spark_cot
from spark_cot.analysis.workspace import WorkspaceReader
from spark_cot.archive.options import RunOptions
from spark_cot.archive.run import run


@pytest.fixture(scope="session")
def folder(spark, three_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace's folder; not to be changed."""
    out = tmp_path_factory.mktemp("analysis") / "workspace"
    run(spark, RunOptions(archive=str(three_scenes), out=out, mask_above=1.25))
    return out


@pytest.fixture(scope="session")
def workspace(folder: Path) -> WorkspaceReader:
    """The same, opened."""
    return spark_cot.open_workspace(folder)
