"""A model to apply to small archives, and what the main job makes of them."""

from pathlib import Path

import pytest

from spark_cot.cli import main
from spark_cot.models.bundle import Bundle


@pytest.fixture(scope="session")
def finished(
    spark, three_scenes: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Archive of three scenes and the workspace the main job made of it; not to be changed."""
    archive, out = three_scenes, tmp_path_factory.mktemp("finished") / "workspace"
    options = ["--model", str(model), "--mask-above", "1.0", "--resolution", "20"]
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(archive), "--out", str(out), *options])
    return archive, out


@pytest.fixture(scope="session")
def bundle(brightness_bundle: Bundle) -> Bundle:
    """The model that the archive's scenes are mapped with."""
    return brightness_bundle
