"""Pixel grids: where a scene's rows and columns lie on the ground, and rectangles of them."""

from dataclasses import dataclass
from itertools import pairwise

from rasterio.transform import Affine
from rasterio.warp import transform


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

    def footprint(self, points_per_edge: int = 4) -> list[tuple[float, float]]:
        """Closed ring around the grid, ``(longitude, latitude)`` in degrees, counterclockwise.

        Each edge is cut into ``points_per_edge`` pieces, because a straight line on the map is
        none in longitude and latitude.
        """
        left, bottom, right, top = self.bounds
        corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
        steps = [step / points_per_edge for step in range(points_per_edge)]
        ring = [
            (x0 + (x1 - x0) * step, y0 + (y1 - y0) * step)
            for (x0, y0), (x1, y1) in pairwise(corners)
            for step in steps
        ]
        xs, ys = zip(*ring, corners[-1], strict=True)
        longitudes, latitudes = transform(self.crs, "EPSG:4326", xs, ys)
        return list(zip(longitudes, latitudes, strict=True))


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
