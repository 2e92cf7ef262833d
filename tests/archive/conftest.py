"""Small archives with everything a real one has, and a model to apply."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from spark_cot.cli import main
from spark_cot.learn import MLP, Bundle, Target, Thresholds, save
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product

EXTENT = 1920
"""Side of a scene, metres: 96 px at 20 m."""


def cloudy(band_id: str, seed: int, extent: int = EXTENT) -> np.ndarray:
    """TOA reflectance with a bright blob on textured ground and a nodata corner."""
    ny, nx = native_shape(band_id, extent)
    y, x = np.mgrid[:ny, :nx] / ny
    rng = np.random.default_rng(seed)
    cloud = np.exp(-((y - 0.3) ** 2 + (x - 0.2 * (seed % 5)) ** 2) / 0.05)
    image = 0.1 + 0.05 * np.sin(9 * x + seed) + 0.6 * cloud + 0.01 * rng.standard_normal((ny, nx))
    image[: ny // 8, : nx // 8] = np.nan
    return image


def spec(number: int) -> ProductSpec:
    """Facts of the scene with this number: satellite, tile and date differ."""
    start = datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC) + timedelta(days=5 * number)
    return ProductSpec(
        satellite=f"S2{'ABC'[number % 3]}",
        tile=("31TCJ", "31TDJ")[number % 2],
        sensing_time=start,
        generation_time=start + timedelta(hours=2),
        baseline=("05.10", "02.08")[number % 2],
    )


def add_scene(archive: Path, number: int, *, zipped: bool = False, **changes: object) -> Path:
    """Write scene ``number`` into the archive; ``changes`` replace fields of its spec."""
    bands = {band.id: cloudy(band.id, number) for band in BANDS}
    return write_product(archive, bands, replace(spec(number), **changes), zipped=zipped)


@pytest.fixture(scope="session")
def add() -> Callable[..., Path]:
    """`add_scene`, for tests that change an archive."""
    return add_scene


@pytest.fixture
def archive(tmp_path: Path, finished: tuple[Path, Path]) -> Path:
    """Three scenes, one of them zipped; a test may change them."""
    return Path(shutil.copytree(finished[0], tmp_path / "archive", copy_function=shutil.copy2))


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
    return save(bundle, tmp_path_factory.mktemp("model") / "brightness")


@pytest.fixture(scope="session")
def finished(spark, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Archive of three scenes and the workspace the main job made of it; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    archive, out = folder / "archive", folder / "workspace"
    for number in range(3):
        add_scene(archive, number, zipped=number == 1)
    options = ["--model", str(model), "--mask-above", "1.0", "--resolution", "20"]
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(archive), "--out", str(out), *options])
    return archive, out


@pytest.fixture
def cot_command(spark, capfd) -> Callable[..., tuple[int, str]]:
    """Run ``spark-cot`` in this process; its exit code and what it printed."""

    def command(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return int(exit_.value.code), captured.out + captured.err

    return command
