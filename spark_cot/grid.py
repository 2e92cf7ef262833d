"""Pixel grids: where a scene's rows and columns lie on the ground, and rectangles of them."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

#: Points (x, y).
Ring = Sequence[tuple[float, float]]

#: Of longitudes and latitudes: 0.1 m.
DECIMALS: Final = 6

#: A straight edge on the map is curved in longitude and latitude.
_POINTS_PER_EDGE: Final = 16

_EARTH: Final = shapely.box(-180, -90, 180, 90)


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up pixel grid in a projected reference system.

    Attributes
    ----------
    crs : str
        ``EPSG:32631`` and the like.
    left, top : float
        Outer corner of pixel (0, 0), metres.
    resolution : int
        Pixel size, metres.
    shape : tuple[int, int]
        ``(ny, nx)``.
    """

    crs: str
    left: float
    top: float
    resolution: int
    shape: tuple[int, int]

    @property
    def transform(self) -> Affine:
        """Affine from (col, row) of the outer pixel corner to (x, y)."""
        return Affine(self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(left, bottom, right, top)``, metres."""
        ny, nx = self.shape
        return (
            self.left,
            self.top - ny * self.resolution,
            self.left + nx * self.resolution,
            self.top,
        )

    def footprint(self) -> dict[str, Any]:
        """GeoJSON outline in longitude and latitude, with points along its curved edges.

        A grid across the antimeridian gives a MultiPolygon cut there (RFC 7946, section 3.1.9).
        """
        left, bottom, right, top = self.bounds
        corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
        return geojson(self.geographic([corners]))

    def geographic(self, rings: Iterable[Ring]) -> BaseGeometry:
        """Areas of the grid's map in longitude and latitude, cut at the antimeridian.

        Parameters
        ----------
        rings : Iterable[Ring]
            Corners (x, y) of each area in metres, the first one not repeated.

        Returns
        -------
        BaseGeometry
            Valid, with points along its curved edges; degrees of six decimals.
        """
        areas = shapely.MultiPolygon([shapely.Polygon(self._points_along(r)) for r in rings])
        shape = shapely.make_valid(shapely.transform(areas, self._degrees))
        if shape.bounds[2] <= 180:
            return shape
        sides = [translate(shape, shift) for shift in (0.0, -360.0)]
        return shapely.union_all(shapely.intersection(sides, _EARTH, grid_size=10**-DECIMALS))

    def _degrees(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitudes and latitudes, shape (n, 2); above 180 beyond the antimeridian."""
        degrees = transform(self.crs, "EPSG:4326", *points.T)
        longitudes, latitudes = ([round(x, DECIMALS) for x in each] for each in degrees)
        if max(longitudes) - min(longitudes) > 180:
            longitudes = [x + 360 if x < 0 else x for x in longitudes]
        return np.column_stack([longitudes, latitudes])

    def _points_along(self, ring: Ring) -> Ring:
        """The closed ring, with as many points on an edge as on a part of the grid's that long."""
        left, bottom, right, top = self.bounds
        points = []
        for (x, y), (next_x, next_y) in pairwise([*ring, ring[0]]):
            share = max(abs(next_x - x) / (right - left), abs(next_y - y) / (top - bottom))
            steps = math.ceil(_POINTS_PER_EDGE * share)
            points += [
                (x + step / steps * (next_x - x), y + step / steps * (next_y - y))
                for step in range(steps)
            ]
        return [*points, points[0]]


def geojson(shape: BaseGeometry) -> dict[str, Any]:
    """GeoJSON of a Polygon or MultiPolygon in longitude and latitude.

    Exteriors run counter-clockwise, as RFC 7946, section 3.1.6, has them; what has one part is a
    Polygon.
    """
    parts = [orient(part) for part in shapely.get_parts(shape)]
    whole = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    found: dict[str, Any] = json.loads(shapely.to_geojson(whole))
    return found


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a grid: rows ``row .. row + height``, columns ``col .. col + width``."""

    row: int
    col: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Number of pixels in the rectangle."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array of shape (ny, nx)."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def tiles(self, height: int, width: int) -> list["Window"]:
        """Rectangles of at most ``(height, width)`` that cover this one, row by row."""
        return [
            Window(
                row,
                col,
                min(height, self.row + self.height - row),
                min(width, self.col + self.width - col),
            )
            for row in range(self.row, self.row + self.height, height)
            for col in range(self.col, self.col + self.width, width)
        ]
