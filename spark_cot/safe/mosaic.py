"""A scene of several datastrips: each pixel from the newest one that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import ProductError
from spark_cot.grid import Grid, Window
from spark_cot.safe.downsampling import Downsampling
from spark_cot.safe.layout import scene_grid
from spark_cot.safe.read import BlockPixels, read_block
from spark_cot.safe.reflectance import Int16s
from spark_cot.safe.scene import Scene


@dataclass(frozen=True, eq=False)
class Mosaic:
    """The same block of the strips of a scene, those first that go before."""

    strips: tuple[BlockPixels, ...]

    def tile(self, window: Window) -> tuple[Int16s, NDArray[np.bool_], NDArray[np.float32]]:
        """Pixels as of `BlockPixels.tile`: all values of one are from the same strip."""
        reflectance, valid, angles = self.strips[0].tile(window)
        for strip in self.strips[1:]:
            if valid.all():
                break
            others, has, their_angles = strip.tile(window)
            taken = has & ~valid
            reflectance[:, taken] = others[:, taken]
            angles[:, taken] = their_angles[:, taken]
            valid |= taken
        return reflectance, valid, angles


def read_mosaic(
    scenes: Sequence[Scene],
    grid: Grid,
    window: Window,
    downsampling: Downsampling = Downsampling.EXACT,
) -> Mosaic:
    """Read a block of all strips of a scene, the newest first; errors as in `read_block`.

    Strips behind those that fill the block are not read.
    """
    strips: list[BlockPixels] = []
    for scene in scenes:
        if not any(strip.is_whole for strip in strips):
            strips.append(read_block(scene, grid, window, downsampling))
    return Mosaic(tuple(strips))


def common_grid(scenes: Sequence[Scene], resolution: int) -> Grid:
    """The grid of the strips of a scene, see `scene_grid`.

    Raises
    ------
    ProductError
        They lie on different grids; or as in `scene_grid`.
    """
    first, *others = [scene_grid(scene, resolution) for scene in scenes]
    for scene, grid in zip(scenes[1:], others, strict=True):
        if grid != first:
            raise ProductError(
                f"has {grid.shape} pixels from {(grid.left, grid.top)} in {grid.crs}, the other "
                f"part of the scene {first.shape} from {(first.left, first.top)} in {first.crs}",
                scene.source,
                "Leave one of them out",
            )
    return first
