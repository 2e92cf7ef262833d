"""Pixel grids: where a scene's rows and columns lie on the ground, and rectangles of them."""

from dataclasses import dataclass
from typing import Any, Final

from rasterio.transform import Affine
from rasterio.warp import transform_geom

#: A straight edge on the map is curved in longitude and latitude.
_POINTS_PER_EDGE: Final = 16


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
        steps = [step / _POINTS_PER_EDGE for step in range(_POINTS_PER_EDGE)]
        ring = [
            (x + step * (next_x - x), y + step * (next_y - y))
            for (x, y), (next_x, next_y) in zip(corners, corners[1:] + corners[:1], strict=True)
            for step in steps
        ]
        polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        outline: dict[str, Any] = transform_geom(self.crs, "EPSG:4326", polygon, precision=6)
        return {"type": outline["type"], "coordinates": _lists(outline["coordinates"])}


def _lists(coordinates: Any) -> Any:
    """Tuples to lists, as JSON has them."""
    if isinstance(coordinates, list | tuple):
        return [_lists(part) for part in coordinates]
    return coordinates


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
