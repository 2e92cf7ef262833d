from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from spark_cot.demo.scenes import EXTENT_M, SCENES, cell_means, write_demo_scene
from spark_cot.grid import Window
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.safe import ProductPath, open_scene, read_block, scene_grid, scenes_of
from spark_cot.simulate.sky import THICKEST
from spark_cot.simulate.world.sampler import SIDES_GAIN

EXTENT = 960
BROKEN = SCENES[1]
THIN, TOWERS = SCENES[6:]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert write_demo_scene(BROKEN, folder, folder / "true.tif", 3, 20, EXTENT)
    return folder


@pytest.fixture(scope="module")
def scene(written: Path):
    [granule] = scenes_of(ProductPath(str(written / f"{BROKEN.spec.name}.SAFE")))
    return open_scene(granule)


def true_thickness(path: Path) -> np.ndarray:
    with rasterio.open(path) as image:
        return image.read(1)


def test_the_archive_has_what_it_is_there_to_show():
    assert len({scene.scene_id for scene in SCENES}) == len(SCENES) == 8
    assert len({scene.spec.tile for scene in SCENES}) == 2
    assert {scene.spec.baseline >= "04.00" for scene in SCENES} == {True, False}
    assert {scene.spec.satellite for scene in SCENES} == {"S2A", "S2B", "S2C"}
    assert sum(scene.zipped for scene in SCENES) == 1
    assert sum(scene.snow > 0 for scene in SCENES) == 1
    covers = [scene.cloud.cover for scene in SCENES]
    assert min(covers) < 0.05
    assert max(covers) == 1
    assert EXTENT_M % 60 == 0
    assert [scene for scene in SCENES if scene.cloud.rise] == [TOWERS]


def test_no_cloud_is_thicker_than_a_sky_can_be():
    shape = (EXTENT_M // 10,) * 2
    for scene in SCENES:
        assert scene.cloud.thickness(shape, np.random.default_rng(1)).max() < THICKEST


def test_thin_low_cloud_lets_the_ground_shine_through_nearly_everywhere():
    cot = THIN.cloud.thickness((96, 96), np.random.default_rng(1))
    assert (cot > 0).mean() > 0.9
    assert ((cot > 0.5) & (cot < 3)).mean() > 0.8
    assert THIN.atmosphere.water_top[0] <= 2


def test_sides_of_towers_are_brighter_in_the_sun_and_darker_in_the_shade(tmp_path: Path):
    reflectance = {}
    for rise in (0.0, TOWERS.cloud.rise):
        scene = replace(TOWERS, cloud=replace(TOWERS.cloud, rise=rise))
        folder = tmp_path / f"{rise:g}"
        write_demo_scene(scene, folder, folder / "true.tif", 3, 20, EXTENT)
        [granule] = scenes_of(ProductPath(str(folder / f"{scene.spec.name}.SAFE")))
        opened = open_scene(granule)
        grid = scene_grid(opened, 20)
        window = Window(0, 0, *grid.shape)
        rho = read_block(opened, grid, window).tile(window)[0]
        reflectance[rise] = rho[BAND_IDS.index("B04")] / REFLECTANCE_SCALE
    flat, lit = reflectance.values()
    thick = true_thickness(folder / "true.tif") > 10
    ratio = (lit / flat)[thick]
    low, high = SIDES_GAIN
    assert ratio.min() == pytest.approx(low, abs=0.002)
    assert 1.4 < ratio.max() < high
    assert flat.max() < 1 < lit.max()
    clear = true_thickness(folder / "true.tif") == 0
    np.testing.assert_array_equal(lit[clear], flat[clear])


def test_the_truth_has_the_scenes_grid_and_the_clouds_mean(written: Path, scene):
    path = written / "true.tif"
    grid = scene_grid(scene, 20)
    with rasterio.open(path) as image:
        assert image.shape == grid.shape == (48, 48)
        assert image.transform == grid.transform
        assert str(image.crs) == grid.crs
    true = true_thickness(path)
    cloud = BROKEN.cloud
    assert true.mean() == pytest.approx(cloud.mean * round(cloud.cover * 96**2) / 96**2, rel=1e-5)
    assert scene.scene_id == BROKEN.scene_id


def test_thicker_is_brighter_and_the_geometry_is_the_products(written: Path, scene):
    grid = scene_grid(scene, 20)
    window = Window(0, 0, *grid.shape)
    reflectance, valid, angles = read_block(scene, grid, window).tile(window)
    assert valid.all()
    true = true_thickness(written / "true.tif")
    blue = reflectance[1]
    assert blue[true > 10].min() > blue[true == 0].mean()
    state = BROKEN.atmosphere
    expected = [state.sun_zenith[0], state.view_zenith[0], state.relative_azimuth[0]]
    np.testing.assert_allclose(angles[:, 24, 24], expected, atol=0.02)


def test_a_product_that_is_there_is_kept(written: Path):
    assert not write_demo_scene(BROKEN, written, written / "true.tif", 3, 20, EXTENT)


def test_one_seed_gives_one_scene_and_one_ground_per_tile(written: Path, tmp_path: Path):
    other = replace(BROKEN, spec=replace(BROKEN.spec, satellite="S2A"))
    for name, scene, seed in (("same", BROKEN, 3), ("seed", BROKEN, 4), ("pass", other, 3)):
        write_demo_scene(scene, tmp_path / name, tmp_path / f"{name}.tif", seed, 20, EXTENT)
    first = true_thickness(written / "true.tif")
    np.testing.assert_array_equal(true_thickness(tmp_path / "same.tif"), first)
    for name in ("seed", "pass"):
        assert not np.array_equal(true_thickness(tmp_path / f"{name}.tif"), first)


def test_cell_means():
    image = np.arange(24.0).reshape(4, 6)
    expected = [[image[i : i + 2, j : j + 2].mean() for j in (0, 2, 4)] for i in (0, 2)]
    np.testing.assert_allclose(cell_means(image, 2), expected)
