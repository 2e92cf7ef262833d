"""A small product, written once, and changed copies of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.safe import ProductPath, Scene, native_shape, open_scene, scenes_of, write_product


@pytest.fixture(scope="session")
def numbers() -> dict[str, np.ndarray]:
    """Digital numbers of a 960 m scene with a nodata corner, by band id."""
    rng = np.random.default_rng(1)
    bands = {}
    for band in BANDS:
        dn = rng.integers(1, 20_000, native_shape(band.id, 960), dtype=np.uint16)
        corner = 240 // band.resolution_m
        dn[:corner, :corner] = 0
        bands[band.id] = dn
    assert tuple(bands) == BAND_IDS
    return bands


@pytest.fixture(scope="session")
def product(numbers: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product of ``numbers``; not to be changed."""
    return write_product(tmp_path_factory.mktemp("product"), numbers)


@pytest.fixture
def copy(product: Path, tmp_path: Path) -> Path:
    """A copy of ``product`` that a test may damage."""
    return Path(shutil.copytree(product, tmp_path / product.name))


@pytest.fixture
def opened() -> Callable[[Path], Scene]:
    """Function that opens the only scene of a product."""

    def open_only(path: Path) -> Scene:
        [granule] = scenes_of(ProductPath(str(path)))
        return open_scene(granule)

    return open_only
