"""Strips of a scene together, against the same mosaic of plain arrays."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_cot.errors import ProductError
from spark_cot.grid import Window
from spark_cot.msi import BANDS
from spark_cot.safe import (
    ProductPath,
    ProductSpec,
    Scene,
    common_grid,
    native_shape,
    open_scene,
    read_block,
    read_mosaic,
    scenes_of,
    write_product,
)
from spark_cot.safe.reflectance import NODATA

EXTENT = 960


def strip(folder: Path, number: int, rows: tuple[float, float], **changes: object) -> Scene:
    """A product whose bands have data in a share of the rows, brighter and nearer than the last."""
    bands = {}
    for band in BANDS:
        ny, nx = native_shape(band.id, EXTENT)
        image = np.full((ny, nx), np.nan, np.float32)
        image[round(rows[0] * ny) : round(rows[1] * ny)] = 0.1 * (number + 1)
        bands[band.id] = image
    spec = replace(ProductSpec(view=(2.0 + number, 100.0)), **changes)
    spec = replace(spec, generation_time=spec.generation_time - timedelta(hours=number))
    product = write_product(folder, bands, spec)
    (granule,) = scenes_of(ProductPath(str(product)))
    return open_scene(granule)


def expected(scenes: Sequence[Scene], window: Window) -> tuple[np.ndarray, ...]:
    """Pixel by pixel: the first scene that is valid there."""
    grid = common_grid(scenes, 20)
    tiles = [read_block(scene, grid, window).tile(window) for scene in scenes]
    valid = np.stack([has for _, has, _ in tiles])
    first = valid.argmax(axis=0)
    y, x = np.indices(first.shape)
    reflectance = np.stack([tile for tile, _, _ in tiles])[first, :, y, x]
    angles = np.stack([angle for _, _, angle in tiles])[first, :, y, x]
    return np.moveaxis(reflectance, -1, 0), valid.any(axis=0), np.moveaxis(angles, -1, 0)


edges = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: tuple(sorted(pair)))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shares=st.lists(edges, min_size=1, max_size=3))
def test_each_pixel_is_of_the_first_strip_that_has_it(
    shares: list[tuple[float, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("strips")
    scenes = [strip(folder, number, rows) for number, rows in enumerate(shares)]
    window = Window(0, 0, *common_grid(scenes, 20).shape)
    found = read_mosaic(scenes, common_grid(scenes, 20), window).tile(window)
    wanted = expected(scenes, window)
    np.testing.assert_array_equal(found[1], wanted[1])
    for got, want in zip((found[0], found[2]), (wanted[0], wanted[2]), strict=True):
        np.testing.assert_array_equal(got[:, wanted[1]], want[:, wanted[1]])
    assert (found[0][:, ~wanted[1]] == NODATA).any(axis=0).all()


def test_strips_behind_a_whole_one_are_not_read(tmp_path: Path) -> None:
    scenes = [strip(tmp_path, 0, (0, 1)), strip(tmp_path, 1, (0, 1))]
    grid = common_grid(scenes, 20)
    whole = Window(0, 0, *grid.shape)
    assert len(read_mosaic(scenes, grid, whole).strips) == 1
    half = [strip(tmp_path / "half", 0, (0, 0.5)), scenes[1]]
    assert len(read_mosaic(half, grid, whole).strips) == 2
    assert len(read_mosaic(half, grid, Window(0, 0, 16, 48)).strips) == 1


def test_strips_of_other_grids_are_refused(tmp_path: Path) -> None:
    scenes = [strip(tmp_path, 0, (0, 0.5)), strip(tmp_path, 1, (0.5, 1), left=300_060.0)]
    with pytest.raises(ProductError, match=r"48, 48.* from \(300060.0, .*other part of the scene"):
        common_grid(scenes, 20)
