"""Calibrated blocks of a scene on one grid: the pixels that become rows of the pixel table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_cot.grid import Grid, Window
from spark_cot.safe.angles import AngleGrids
from spark_cot.safe.images import BandImage, band_images
from spark_cot.safe.reflectance import NODATA, Int16s, stored_reflectance
from spark_cot.safe.scene import Scene


@dataclass(frozen=True, eq=False)
class BandPixels:
    """Stored reflectance of one band over a block, at most as fine as the block's grid.

    Attributes
    ----------
    reflectance : ndarray
        int16 (ny, nx), ``reflectance.NODATA`` where invalid.
    row, col : int
        Position of element (0, 0), in pixels of this band from the scene's corner.
    ratio : int
        Pixels of the grid along one pixel of the band.
    """

    reflectance: Int16s
    row: int
    col: int
    ratio: int

    def expanded(self, window: Window) -> Int16s:
        """Values on the grid pixels of ``window``, each that of the band pixel it lies in."""
        rows = np.arange(window.row, window.row + window.height) // self.ratio - self.row
        cols = np.arange(window.col, window.col + window.width) // self.ratio - self.col
        part = self.reflectance[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        if self.ratio > 1:
            part = part.take(rows - rows[0], axis=0).take(cols - cols[0], axis=1)
        return part


@dataclass(frozen=True, eq=False)
class BlockPixels:
    """A block of a scene in memory: 13 bands and the angles.

    Attributes
    ----------
    grid : Grid
    window : Window
        The block, in pixels of ``grid``.
    bands : tuple[BandPixels, ...]
        B01 .. B12.
    angles : AngleGrids
    """

    grid: Grid
    window: Window
    bands: tuple[BandPixels, ...]
    angles: AngleGrids

    def tile(self, window: Window) -> tuple[Int16s, NDArray[np.bool_], NDArray[np.float32]]:
        """Pixels of a window of the grid inside the block; ``self.window.tiles`` cuts it up.

        Returns
        -------
        reflectance : ndarray
            int16 (13, ny, nx) = rho x 10000, rounded half to even, saturating; lowest int16 where
            the band has no data. Bands coarser than the grid are replicated: every value is a
            measured one, and nodata does not spread.
        valid : ndarray
            bool (ny, nx), True where all 13 bands have data.
        angles : ndarray
            float32 (3, ny, nx): sun zenith, view zenith and relative azimuth, degrees.
        """
        if not _inside(window, self.window):
            raise ValueError(f"{window} is not inside the block {self.window}")
        reflectance = np.stack([band.expanded(window) for band in self.bands])
        valid = (reflectance != NODATA).all(axis=0)
        return reflectance, valid, self.angles.at(self.grid, window)


def read_block(scene: Scene, grid: Grid, window: Window) -> BlockPixels:
    """Read and calibrate the 13 bands over a window of a scene's grid.

    Bands finer than the grid are averaged down as soon as they are read, bands coarser stay as
    they are, so that a block of 5860 x 5860 px peaks at about 0.5 GB on the 10 m grid.

    Parameters
    ----------
    scene : Scene
    grid : Grid
        From ``scene_grid``.
    window : Window
        From ``blocks``, or any other rectangle of the grid.

    Raises
    ------
    ProductError
        If an image is missing, truncated or not an image; file and band are named.
    """
    bands = tuple(
        _read_band(image, offset, scene.quantification, grid, window)
        for image, offset in zip(band_images(scene), scene.offsets, strict=True)
    )
    return BlockPixels(grid, window, bands, scene.angles)


def _read_band(
    image: BandImage, offset: float, quantification: float, grid: Grid, window: Window
) -> BandPixels:
    factor = max(1, grid.resolution // image.pixel)
    ratio = max(1, image.pixel // grid.resolution)
    place = covering(window, ratio)
    dn = image.read(
        Window(place.row * factor, place.col * factor, place.height * factor, place.width * factor)
    )
    reflectance = stored_reflectance(dn, factor, offset, quantification)
    return BandPixels(reflectance, place.row, place.col, ratio)


def covering(window: Window, ratio: int) -> Window:
    """Smallest window of pixels ``ratio`` times as large that covers ``window``."""
    row, col = window.row // ratio, window.col // ratio
    bottom = -(-(window.row + window.height) // ratio)
    right = -(-(window.col + window.width) // ratio)
    return Window(row, col, bottom - row, right - col)


def _inside(inner: Window, outer: Window) -> bool:
    return (
        outer.row <= inner.row
        and outer.col <= inner.col
        and inner.row + inner.height <= outer.row + outer.height
        and inner.col + inner.width <= outer.col + outer.width
    )
