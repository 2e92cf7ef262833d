"""Genuine products and metadata of the shared folder."""

from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from spark_cot.grid import Grid, Window
from spark_cot.msi import BAND_IDS
from spark_cot.safe import (
    Scene,
    blocks,
    discover,
    open_scene,
    read_block,
    scene_grid,
    scenes_of,
    view_angles,
)
from spark_cot.safe.angles import read_angles, read_view_grids, zenith
from spark_cot.safe.xml import Metadata

MEAN_ANGLE = ("ZENITH_ANGLE", "AZIMUTH_ANGLE")

Open = Callable[[Path], Scene]


@pytest.fixture(scope="module")
def scenes(shared: Path) -> dict[str, Scene]:
    products = discover(shared / "data" / "safe").products
    opened = [open_scene(granule) for product in products for granule in scenes_of(product)]
    return {scene.scene_id: scene for scene in opened}


def test_all_five_scenes_are_found(scenes: dict[str, Scene]) -> None:
    assert {name: (scene.baseline, scene.offsets[0]) for name, scene in scenes.items()} == {
        "S2A_T33TVM_20150820T100728": ("02.04", 0.0),
        "S2A_T33TVM_20150909T100017": ("02.04", 0.0),
        "S2A_T30SXH_20190918T105031": ("02.08", 0.0),
        "S2A_T31TCJ_20240120T105341": ("05.10", -1000.0),
        "S2B_T31TCJ_20240305T104819": ("05.10", -1000.0),
    }
    assert scenes["S2B_T31TCJ_20240305T104819"].cloud_cover == pytest.approx(63.96, abs=0.01)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("S2A_T33TVM_20150820T100728", [(96, 96), (48, 48), (16, 16)]),
        ("S2A_T30SXH_20190918T105031", [(510, 510), (255, 255), (85, 85)]),
        ("S2B_T31TCJ_20240305T104819", [(30, 30), (15, 15), (5, 5)]),
    ],
)
def test_grids_come_from_the_images(
    scenes: dict[str, Scene], name: str, shapes: list[tuple[int, int]]
) -> None:
    assert [scene_grid(scenes[name], r).shape for r in (10, 20, 60)] == shapes


def test_thick_cloud_is_bright_and_clear_ground_is_not(scenes: dict[str, Scene]) -> None:
    medians = {}
    for name, scene in scenes.items():
        grid = scene_grid(scene, 10)
        [window] = blocks(scene, grid)
        reflectance, valid, _ = read_block(scene, grid, window).tile(window)
        assert valid.all()
        medians[name] = np.median(reflectance, axis=(1, 2)) / 10_000
    b02, b10 = BAND_IDS.index("B02"), BAND_IDS.index("B10")
    cloudy, clear = medians["S2B_T31TCJ_20240305T104819"], medians["S2A_T31TCJ_20240120T105341"]
    assert cloudy[b02] == pytest.approx(0.48, abs=0.01)
    assert cloudy[b10] == pytest.approx(0.06, abs=0.002)
    assert clear[b02] == pytest.approx(0.11, abs=0.01)
    assert clear[b10] < 0.005


def metadata_files(shared: Path) -> list[Path]:
    return sorted((shared / "data").glob("*/*/GRANULE/*/MTD_TL.xml"))


def mean_angle(element: Element) -> tuple[float, float]:
    zenith_deg, azimuth_deg = (float(element.find(name).text) for name in MEAN_ANGLE)
    return zenith_deg, azimuth_deg


def test_interpolated_sun_has_the_stated_mean(shared: Path) -> None:
    files = metadata_files(shared)
    assert len(files) == 7
    for file in files:
        tile = Metadata(file.read_bytes(), str(file))
        grids = read_angles(tile)
        full = Grid("EPSG:32631", grids.left, grids.top, 600, (183, 183))
        angles = grids.at(full, Window(0, 0, 183, 183))
        [stated] = tile.elements("Mean_Sun_Angle")
        # Scenes wrapped for tests state the sun in the middle of a smaller extent.
        assert angles[0].mean() == pytest.approx(mean_angle(stated)[0], abs=0.05)


def test_merged_view_grids_have_the_stated_means(shared: Path) -> None:
    for file in metadata_files(shared):
        tile = Metadata(file.read_bytes(), str(file))
        grids = read_view_grids(tile)
        assert tuple(grids) == BAND_IDS
        for element in tile.elements("Mean_Viewing_Incidence_Angle"):
            grid = grids[BAND_IDS[int(element.get("bandId"))]]
            stated_zenith, stated_azimuth = mean_angle(element)
            assert np.nanmean(zenith(grid)) == pytest.approx(stated_zenith, abs=0.1)
            if "metadata" in file.parts:
                # Elsewhere nadir crosses the tile, and a mean of azimuths says nothing.
                east, north, _ = np.nanmean(grid, axis=(1, 2))
                azimuth = np.degrees(np.arctan2(east, north)) % 360
                assert azimuth == pytest.approx(stated_azimuth, abs=1)


def test_view_angles_of_one_band(scenes: dict[str, Scene]) -> None:
    scene = scenes["S2B_T31TCJ_20240305T104819"]
    b01, b02 = view_angles(scene, "B01"), view_angles(scene, "B02")
    assert b01.shape == scene.angles.view.shape
    assert np.nanmean(zenith(b01)) == pytest.approx(3.19, abs=0.1)
    assert np.nanmean(zenith(b02)) == pytest.approx(2.55, abs=0.1)


@pytest.mark.parametrize(
    ("name", "satellite", "baseline", "offset", "orbit"),
    [("S2A_MSIL1C_2021", "S2A", "03.01", 0.0, 133), ("S2C_MSIL1C_2025", "S2C", "05.11", -1e3, 118)],
)
def test_genuine_metadata(
    shared: Path,
    tmp_path: Path,
    opened: Open,
    name: str,
    satellite: str,
    baseline: str,
    offset: float,
    orbit: int,
) -> None:
    [source] = (shared / "data" / "metadata").glob(f"{name}*")
    for file in source.rglob("MTD_*.xml"):
        target = tmp_path / source.name / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    images = next(tmp_path.rglob("MTD_TL.xml")).parent / "IMG_DATA"
    images.mkdir()
    for band in BAND_IDS:
        (images / f"T31TCJ_20210908T042701_{band}.jp2").touch()
    scene = opened(tmp_path / source.name)
    assert (scene.satellite, scene.baseline, scene.orbit) == (satellite, baseline, orbit)
    assert scene.offsets == (offset,) * 13
