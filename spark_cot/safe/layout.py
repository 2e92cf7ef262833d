"""How a scene is cut: its grid at a resolution, and blocks along the tiles of its images."""

from collections.abc import Sequence
from itertools import pairwise
from math import gcd, isnan
from typing import Final

from spark_cot.errors import ProductError
from spark_cot.grid import Grid, Window
from spark_cot.msi import RESOLUTIONS_M
from spark_cot.safe.images import BandImage, band_images
from spark_cot.safe.scene import Scene

#: Largest common multiple of tile sides worth cutting at. Blocks reach 1.5 times this where the
#: last one takes up a remainder; 6144 px of 10 m then hold about 0.7 GB.
MAX_STEP_M: Final = 61_440


def scene_grid(scene: Scene, resolution: int) -> Grid:
    """Grid of a scene at 10, 20 or 60 m: as many whole pixels as every band covers.

    Corner and size come from the image headers: MTD_TL.xml describes the full tile, also for
    products whose images were cropped.

    Raises
    ------
    ProductError
        If images cannot be opened, do not share corner and extent, have pixels that do not nest
        with those of the grid, or lie where the metadata do not, or where the sun has not risen.
    """
    grid = grid_of(band_images(scene), resolution, scene.source)
    if grid.crs != scene.crs:
        raise ProductError(
            f"images are in {grid.crs}, the tile metadata in {scene.crs}", scene.source
        )
    if not scene.angles.cover(grid):
        raise ProductError(
            f"images lie at {grid.bounds}, the angle grids begin at "
            f"{(scene.angles.left, scene.angles.top)} and do not reach that far",
            scene.source,
            "Take images and metadata of the same tile",
        )
    lowest = scene.angles.lowest_sun(grid)
    if isnan(lowest):
        raise ProductError(
            "the sun angle grid lacks a node beside a pixel",
            scene.source,
            "Download the product again",
        )
    if lowest >= 90:
        raise ProductError(
            f"the sun is {lowest:.2f} degrees from the zenith at a pixel, expected less than 90",
            scene.source,
            "Leave it out: it was sensed at night, or its angles are damaged",
        )
    return grid


def blocks(scene: Scene, grid: Grid) -> list[Window]:
    """Windows of ``grid``, row by row, such that (almost) no JPEG 2000 tile is needed twice.

    Real products have tiles of 1024 px at 10 m, 640 px at 20 m and 192 px at 60 m. Their sides of
    10240 m and 12800 m meet every 51200 m: a full scene has 2 x 2 blocks. The small 60 m images
    do not count, and on the 60 m grid the edge moves to the nearest pixel.
    """
    return blocks_of(band_images(scene), grid)


def grid_of(images: Sequence[BandImage], resolution: int, where: str) -> Grid:
    """Grid at ``resolution`` that every image covers; see ``scene_grid``."""
    if resolution not in RESOLUTIONS_M:
        raise ProductError(f"resolution is {resolution} m, expected one of {RESOLUTIONS_M}", where)
    for image in images:
        if max(image.pixel, resolution) % min(image.pixel, resolution):
            raise ProductError(
                f"{image.band} has pixels of {image.pixel} m, which do not nest in {resolution} m",
                image.path,
                "Resample the product to 10, 20 or 60 m first",
            )
    coarsest = max(image.pixel for image in images)
    extents = [tuple(n * image.pixel for n in image.shape) for image in images]
    height, width = (min(extent[axis] for extent in extents) for axis in (0, 1))
    for image, extent in zip(images, extents, strict=True):
        if max(extent[0] - height, extent[1] - width) > coarsest:
            raise ProductError(
                f"{image.band} covers {extent[0]} x {extent[1]} m, other bands only "
                f"{height} x {width} m",
                where,
                "Download the product again",
            )
    for pixel in {image.pixel for image in images}:
        _check_equal_shapes([image for image in images if image.pixel == pixel], where)
    shape = (height // resolution, width // resolution)
    if min(shape) == 0:
        raise ProductError(f"{height} x {width} m hold no pixel of {resolution} m", where)
    return Grid(images[0].crs, images[0].left, images[0].top, resolution, shape)


def _check_equal_shapes(images: Sequence[BandImage], where: str) -> None:
    """Images of one pixel size are cut alike, whatever the crop."""
    first = images[0]
    for image in images:
        if image.shape != first.shape:
            raise ProductError(
                f"{image.band} has {image.shape} pixels, {first.band} has {first.shape}",
                where,
                "Download the product again",
            )


def blocks_of(images: Sequence[BandImage], grid: Grid) -> list[Window]:
    """Blocks of ``grid`` along the tiles of ``images``; see ``blocks``."""
    rows, cols = (_edges(images, grid, axis) for axis in (0, 1))
    return [
        Window(top, left, bottom - top, right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(cols)
    ]


def _edges(images: Sequence[BandImage], grid: Grid, axis: int) -> list[int]:
    """Rows (axis 0) or columns (axis 1) of the grid where blocks begin, and its end."""
    extent = grid.shape[axis] * grid.resolution
    step = common_step([i.tile[axis] * i.pixel for i in images if i.tile[axis] < i.shape[axis]])
    count = max(1, round(extent / step))
    return [round(k * step / grid.resolution) for k in range(count)] + [grid.shape[axis]]


def common_step(tile_sides: Sequence[int]) -> int:
    """Distance of block edges, metres, from the sides of the images' tiles.

    The common multiple of as many sides as possible, smallest (finest images) first, or a
    multiple of it close to ``MAX_STEP_M``.
    """
    step = 1
    for side in sorted(set(tile_sides)):
        multiple = step * side // gcd(step, side)
        if multiple <= MAX_STEP_M:
            step = multiple
    return step * (MAX_STEP_M // step)
