from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from spark_cot.errors import ProductError
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.safe import (
    ProductSpec,
    Scene,
    blocks,
    discover,
    flat_bands,
    native_shape,
    read_block,
    scene_grid,
    write_product,
)
from spark_cot.safe.write import digital_numbers

Open = Callable[[Path], Scene]


def test_product_is_found_under_its_compact_name(product: Path) -> None:
    assert product.name == "S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347.SAFE"
    assert [p.path for p in discover(product.parent).products] == [str(product)]
    assert [path.name for path in product.parent.iterdir()] == [product.name]


def test_gdal_opens_it_as_sentinel_2(product: Path, numbers: dict[str, np.ndarray]) -> None:
    metadata = product / "MTD_MSIL1C.xml"
    for resolution, order in (
        (10, ("B04", "B03", "B02", "B08")),
        (20, ("B05", "B06", "B07", "B8A", "B11", "B12")),
        (60, ("B01", "B09", "B10")),
    ):
        name = f"SENTINEL2_L1C:{metadata}:{resolution}m:EPSG_32631"
        with rasterio.open(name, driver="SENTINEL2") as image:
            assert image.transform == rasterio.Affine(
                resolution, 0, 300_000, 0, -resolution, 4_900_020
            )
            for index, band in enumerate(order, start=1):
                np.testing.assert_array_equal(image.read(index), numbers[band])


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("baseline", ["02.04", "05.10"])
def test_reflectance_comes_back(tmp_path: Path, opened: Open, zipped: bool, baseline: str) -> None:
    levels = {band: 0.05 * (i + 1) for i, band in enumerate(BAND_IDS)}
    spec = ProductSpec(baseline=baseline)
    path = write_product(tmp_path, flat_bands(levels), spec, zipped=zipped)
    assert path.suffix == (".zip" if zipped else ".SAFE")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    scene = opened(path)
    grid = scene_grid(scene, 20)
    [window] = blocks(scene, grid)
    reflectance, valid, angles = read_block(scene, grid, window).tile(window)
    assert valid.all()
    np.testing.assert_array_equal(reflectance[:, 0, 0], [500 * (i + 1) for i in range(13)])
    np.testing.assert_allclose(angles[:, 5, 5], [52, 3, 138], atol=0.011)


def test_images_are_tiled_like_real_ones(tmp_path: Path) -> None:
    path = write_product(tmp_path, flat_bands(0.2, extent=13_200))
    for band in BANDS:
        with rasterio.open(next(path.rglob(f"*_{band.id}.jp2"))) as image:
            assert image.block_shapes == [
                {10: (1024,) * 2, 20: (640,) * 2, 60: (192,) * 2}[image.res[0]]
            ]
            assert image.res == (band.resolution_m,) * 2
            assert image.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"


def test_existing_product_is_kept(product: Path) -> None:
    with pytest.raises(ProductError, match="exists already"):
        write_product(product.parent, flat_bands(0.1))


def test_missing_band_leaves_nothing_behind(tmp_path: Path) -> None:
    bands = flat_bands(0.1)
    del bands["B11"]
    with pytest.raises(ProductError, match="no image of B11, only of B01"):
        write_product(tmp_path, bands)
    assert list(tmp_path.iterdir()) == []


def test_bands_of_different_extent(tmp_path: Path) -> None:
    bands = flat_bands(0.1) | {"B05": np.zeros(native_shape("B05", 1200))}
    with pytest.raises(ProductError, match="bands cover different extents"):
        write_product(tmp_path, bands)


def test_digital_numbers_keep_zero_for_nodata() -> None:
    image = np.array([[np.nan, -0.5, 0.0, 0.2, 9.0]], np.float32)
    np.testing.assert_array_equal(
        digital_numbers(image, -1000, 10_000), [[0, 1, 1000, 3000, 65_535]]
    )
    np.testing.assert_array_equal(digital_numbers(image, 0, 10_000), [[0, 1, 1, 2000, 65_535]])
    whole = np.array([[0, 65_535]], np.int64)
    np.testing.assert_array_equal(digital_numbers(whole, -1000, 10_000), whole)


@pytest.mark.parametrize("number", [-1, 65_536])
def test_digital_numbers_outside_16_bits_are_an_error(number: int) -> None:
    with pytest.raises(ProductError, match=rf"digital numbers .*{number}"):
        digital_numbers(np.array([[5, number]]), 0, 10_000)
