"""The outline of a scene's valid pixels, by a coarse raster that tells where some are."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from spark_cot.errors import TableError
from spark_cot.grid import DECIMALS, Grid, geojson

#: At most so many cells along a side: 110 m of a full scene at 10 m, 120 m at 20 m.
_CELLS: Final = 1024

#: Patches and holes of fewer cells, as a share of the valid ones, are specks.
_SPECK: Final = 0.001

#: In cells. The corners of the steps along a straight edge lie in a strip as wide as a diagonal.
_TOLERANCE: Final = math.sqrt(2)


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Which cells of a grid, squares of ``size`` x ``size`` pixels, hold a valid pixel.

    Attributes
    ----------
    grid : Grid
    cells : NDArray[np.bool_]
        Shape ``(ceil(ny / size), ceil(nx / size))``.
    """

    grid: Grid
    cells: NDArray[np.bool_]

    @classmethod
    def of(cls, grid: Grid) -> Self:
        """Without a valid pixel."""
        return cls(grid, np.zeros(_shape(grid), np.bool_))

    @property
    def size(self) -> int:
        """Pixels along a cell's side."""
        return _size(self.grid)

    def add(self, rows: NDArray[np.integer[Any]], cols: NDArray[np.integer[Any]]) -> None:
        """Note valid pixels, in place.

        Parameters
        ----------
        rows, cols : NDArray[np.integer]
            Where they are in the grid, shape (n,).
        """
        self.cells[rows // self.size, cols // self.size] = True

    def __or__(self, other: Coverage) -> Coverage:
        """What either holds, on the same grid."""
        if self.grid != other.grid:
            raise ValueError(f"coverages of {self.grid} and {other.grid}, expected one grid")
        return Coverage(self.grid, self.cells | other.cells)

    def to_text(self) -> str:
        """In some hundred characters."""
        return base64.b64encode(zlib.compress(np.packbits(self.cells), 9)).decode()

    @classmethod
    def from_text(cls, grid: Grid, text: str) -> Self:
        """The coverage of `to_text`.

        Raises
        ------
        TableError
            If the text is damaged, or of another grid.
        """
        ny, nx = _shape(grid)
        length = math.ceil(ny * nx / 8)
        try:
            packed = zlib.decompressobj().decompress(base64.b64decode(text), length + 1)
        except (ValueError, zlib.error) as error:
            raise TableError(f"the text of a coverage is damaged: {error}") from error
        if len(packed) != length:
            raise TableError(f"a coverage holds {len(packed)} bytes, expected {length} of {grid}")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=ny * nx)
        return cls(grid, bits.reshape(ny, nx).astype(np.bool_))

    def outline(self) -> dict[str, Any]:
        """GeoJSON Polygon or MultiPolygon around the valid pixels, in longitude and latitude.

        Specks and holes are left out, steps of cells are straightened. Rings run
        counter-clockwise and are cut at the antimeridian (RFC 7946, 3.1.6 and 3.1.9); where all is
        valid it is the grid's footprint.

        Raises
        ------
        ValueError
            If no pixel is valid.
        """
        if not self.cells.any():
            raise ValueError(f"no valid pixel on {self.grid}")
        edge = shapely.box(*self.grid.bounds)
        areas = _united(area.simplify(_TOLERANCE * self._side) for area in self._areas(edge))
        if areas.equals(edge):
            return self.grid.footprint()
        rings = [list(part.exterior.coords)[:-1] for part in _polygons(areas)]
        return geojson(_united(_polygons(self.grid.geographic(rings)), 10**-DECIMALS))

    @property
    def _side(self) -> int:
        """Side of a cell, metres."""
        return self.size * self.grid.resolution

    def _areas(self, edge: BaseGeometry) -> list[shapely.Polygon]:
        """Polygons on the grid's map around the valid cells, without specks."""
        cells = _without_specks(self.cells)
        coarse = replace(self.grid, resolution=self._side)
        found = rasterio.features.shapes(cells.view(np.uint8), cells, transform=coarse.transform)
        squares = _united(shapely.geometry.shape(area) for area, _ in found)
        return list(_polygons(squares.intersection(edge)))


def _size(grid: Grid) -> int:
    return math.ceil(max(grid.shape) / _CELLS)


def _shape(grid: Grid) -> tuple[int, int]:
    ny, nx = (math.ceil(length / _size(grid)) for length in grid.shape)
    return ny, nx


def _without_specks(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells in patches that are large enough, or a box around all; without notches as small."""
    least = _SPECK * np.count_nonzero(cells)
    patches = _patches(cells, least)
    if not patches.any():
        rows, cols = np.nonzero(cells)
        patches[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] = True
    return ~_patches(~patches, least)


def _patches(cells: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """Cells that hang together, by their sides, with at least so many others."""
    labels, _ = ndimage.label(cells)
    large = np.bincount(labels.ravel()) >= least
    large[0] = False
    kept: NDArray[np.bool_] = large[labels]
    return kept


def _united(polygons: Iterable[shapely.Polygon], spacing: float | None = None) -> BaseGeometry:
    """The polygons as one area without holes; with ``spacing`` its points lie on a net so wide."""
    whole = shapely.unary_union(list(polygons), grid_size=spacing)
    return shapely.unary_union([shapely.Polygon(part.exterior) for part in _polygons(whole)])


def _polygons(shape: BaseGeometry) -> Iterator[shapely.Polygon]:
    """The polygons of a geometry, without the points and lines that two of them may share."""
    for part in shapely.get_parts(shapely.get_parts(shape)):
        if isinstance(part, shapely.Polygon):
            yield part
