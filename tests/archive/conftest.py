"""A model to apply to small archives, and what the main job makes of them."""

from pathlib import Path

import numpy as np
import pytest

from spark_cot.cli import main
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle, save_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.target import Target
from spark_cot.msi import BAND_IDS


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """Three small members that read brightness as thickness, each a little differently."""
    architecture = MLP(3, (12, 4, 1))
    weights = {name: np.zeros(s, np.float32) for name, s in architecture.shapes.items()}
    for member in range(3):
        weights["layer1.weight"][member] = 0.02 * (1 + 0.1 * member)
        weights["layer2.weight"][member] = 0.25
    return Bundle(
        name="brightness",
        architecture=architecture,
        inputs=tuple(band for band in BAND_IDS if band != "B01"),
        means=(0.1,) * 12,
        stds=(1.0,) * 12,
        target=Target("linear", 50.0),
        thresholds=Thresholds(0.75, 1.25),
        weights=weights,
    )


@pytest.fixture(scope="session")
def model(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder."""
    return save_bundle(bundle, tmp_path_factory.mktemp("model") / "brightness")


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
