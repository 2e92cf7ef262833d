from dataclasses import replace

import pytest

from spark_cot.errors import ProductError
from spark_cot.grid import Grid, Window
from spark_cot.msi import BANDS
from spark_cot.safe.images import BandImage
from spark_cot.safe.layout import blocks_of, common_step, grid_of
from spark_cot.safe.write import TILE_SIDES


def full_scene(extent: int = 109_800, tiled: bool = True) -> tuple[BandImage, ...]:
    images = []
    for band in BANDS:
        side = extent // band.resolution_m
        tile = TILE_SIDES[band.resolution_m] if tiled else side
        images.append(
            BandImage(
                band.id,
                f"{band.id}.jp2",
                "EPSG:32631",
                300_000.0,
                4_900_020.0,
                band.resolution_m,
                (side, side),
                (min(tile, side),) * 2,
                4,
            )
        )
    return tuple(images)


@pytest.mark.parametrize(("resolution", "side"), [(10, 10_980), (20, 5490), (60, 1830)])
def test_grid_of_a_full_scene(resolution: int, side: int) -> None:
    grid = grid_of(full_scene(), resolution, "product")
    assert grid == Grid("EPSG:32631", 300_000.0, 4_900_020.0, resolution, (side, side))


@pytest.mark.parametrize(
    ("resolution", "edges"),
    [(10, (0, 5120, 10_980)), (20, (0, 2560, 5490)), (60, (0, 853, 1830))],
)
def test_full_scene_is_cut_where_tiles_meet(resolution: int, edges: tuple[int, int, int]) -> None:
    start, middle, end = edges
    images = full_scene()
    assert blocks_of(images, grid_of(images, resolution, "product")) == [
        Window(start, start, middle, middle),
        Window(start, middle, middle, end - middle),
        Window(middle, start, end - middle, middle),
        Window(middle, middle, end - middle, end - middle),
    ]


@pytest.mark.parametrize("extent", [300, 960, 5100, 8100, 40_000])
def test_small_scenes_are_one_block(extent: int) -> None:
    images = full_scene(extent // 60 * 60)
    grid = grid_of(images, 20, "product")
    assert blocks_of(images, grid) == [Window(0, 0, *grid.shape)]


def test_large_untiled_scene_is_cut_all_the_same() -> None:
    images = full_scene(tiled=False)
    assert len(blocks_of(images, grid_of(images, 10, "product"))) == 4


@pytest.mark.parametrize(
    ("sides", "step"),
    [
        ([10_240, 12_800, 11_520], 51_200),
        ([10_240, 20_480, 61_440], 61_440),
        ([10_240], 61_440),
        ([], 61_440),
    ],
)
def test_common_step(sides: list[int], step: int) -> None:
    assert common_step(sides) == step


def test_grid_keeps_only_pixels_that_every_band_covers() -> None:
    images = [
        replace(image, shape=(84, 85)) if image.pixel == 60 else image for image in full_scene(5100)
    ]
    assert grid_of(images, 10, "product").shape == (504, 510)
    assert grid_of(images, 60, "product").shape == (84, 85)


def test_crop_with_10_m_pixels_in_all_bands() -> None:
    images = [replace(image, pixel=10, shape=(30, 30)) for image in full_scene(300)]
    assert [grid_of(images, r, "product").shape for r in (10, 20, 60)] == [
        (30, 30),
        (15, 15),
        (5, 5),
    ]


@pytest.mark.parametrize(
    ("change", "resolution", "message"),
    [
        ({"shape": (80, 85)}, 20, "B01 covers 4800|other bands only 4800"),
        ({"shape": (84, 85)}, 20, r"B09 has \(85, 85\) pixels, B01 has \(84, 85\)"),
        ({"pixel": 25}, 20, "pixels of 25 m, which do not nest in 20 m"),
        ({}, 30, r"resolution is 30 m, expected one of \(10, 20, 60\)"),
    ],
)
def test_unfit_images(change: dict[str, object], resolution: int, message: str) -> None:
    images = list(full_scene(5100))
    images[0] = replace(images[0], **change)
    with pytest.raises(ProductError, match=message):
        grid_of(images, resolution, "product")


def test_scene_smaller_than_a_pixel() -> None:
    images = [replace(image, pixel=10, shape=(5, 5)) for image in full_scene(300)]
    with pytest.raises(ProductError, match="hold no pixel of 60 m"):
        grid_of(images, 60, "product")
