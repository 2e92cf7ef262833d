"""The workspace that the main job makes of three small scenes with the model that ships."""

from pathlib import Path

import pytest

import spark_cot
from spark_cot.analysis.workspace import WorkspaceReader
from spark_cot.cli import main

#: Scene of tile 31TCJ on 2024-03-05.
FIRST = "S2A_T31TCJ_20240305T104819"


@pytest.fixture(scope="session")
def folder(spark, three_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace's folder; not to be changed."""
    out = tmp_path_factory.mktemp("analysis") / "workspace"
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(three_scenes), "--out", str(out), "--mask-above", "1.25"])
    return out


@pytest.fixture(scope="session")
def workspace(folder: Path) -> WorkspaceReader:
    """The same, opened."""
    return spark_cot.open_workspace(folder)
