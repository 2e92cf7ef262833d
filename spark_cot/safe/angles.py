"""Sun and view directions: from the 5 km grids of MTD_TL.xml to angles at pixels.

Directions are unit vectors (east, north, up) that point from the ground to the sun or to the
satellite. Means and interpolation are taken of vectors, not of angles: they are then right across
azimuth 0/360 and at nadir, where an azimuth has no meaning.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from spark_cot.errors import ProductError
from spark_cot.grid import Grid, Window
from spark_cot.msi import BAND_IDS
from spark_cot.safe.xml import Metadata, band_of

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AngleGrids:
    """Directions at the nodes of the tile's angle grid.

    Attributes
    ----------
    left, top : float
        Position of node (0, 0), metres: the corner of the *tile*, which in cropped products is
        not that of the images.
    steps : tuple[float, float]
        Distance of the nodes ``(dy, dx)``, metres; 5000 in all products so far.
    sun, view : ndarray
        Directions, shape (3, ny, nx); ``view`` is the mean over detectors and bands. The sun may
        be below the horizon, or unknown, at nodes that no image reaches (`lowest_sun`).
    """

    left: float
    top: float
    steps: tuple[float, float]
    sun: Floats
    view: Floats

    def cover(self, grid: Grid) -> bool:
        """Whether every pixel of ``grid`` lies between nodes."""
        height, width = (
            (nodes - 1) * step for nodes, step in zip(self.sun.shape[1:], self.steps, strict=True)
        )
        left, bottom, right, top = grid.bounds
        return (
            self.left <= left
            and self.top >= top
            and self.left + width >= right
            and self.top - height <= bottom
        )

    def lowest_sun(self, grid: Grid) -> float:
        """Largest zenith angle of the sun at a pixel of ``grid``, degrees; NaN if one has none.

        Between nodes the sun is lowest where a cell, or the part of it that has pixels, ends.
        """
        y, x = self._positions(grid, Window(0, 0, *grid.shape))
        ends = (np.union1d(p[[0, -1]], np.arange(np.ceil(p[0]), p[-1])) for p in (y, x))
        return float(zenith(interpolate(self.sun, *ends)).max())

    def at(self, grid: Grid, window: Window) -> Float32s:
        """Angles at the pixel centres of a window of ``grid``, bilinear between the nodes.

        Returns
        -------
        ndarray
            Sun zenith, view zenith and relative azimuth, float32 (3, ny, nx), degrees, rounded to
            0.01: finer than what a view direction averaged over 13 bands is worth (at a node, the
            bands differ by 1 to 2 degrees), and the columns compress ten times better.
        """
        y, x = self._positions(grid, window)
        sun = interpolate(self.sun, y, x)
        view = interpolate(self.view, y, x)
        angles = np.stack([zenith(sun), zenith(view), relative_azimuth(sun, view)])
        return angles.round(2)

    def _positions(self, grid: Grid, window: Window) -> tuple[Floats, Floats]:
        """Rows and columns of pixel centres, counted in nodes."""
        rows = window.row + np.arange(window.height, dtype=np.float64) + 0.5
        cols = window.col + np.arange(window.width, dtype=np.float64) + 0.5
        y = (self.top - grid.top + rows * grid.resolution) / self.steps[0]
        x = (grid.left - self.left + cols * grid.resolution) / self.steps[1]
        return y, x


def read_angles(tile: Metadata) -> AngleGrids:
    """Angle grids of a granule from its metadata.

    View grids are given per band and detector. Per band, the detectors that see a node are
    averaged; then the bands are averaged; nodes that no band saw take the nearest direction.

    Raises
    ------
    ProductError
        If a grid is missing, stated twice, empty, not of the common shape, or holds no angles.
    """
    suns = tile.elements("Sun_Angles_Grid")
    if len(suns) != 1:
        raise ProductError(f"found {len(suns)} sun angle grids, expected one", tile.where)
    sun = _directions(suns[0], tile.where, lowest=180)
    view = _mean_direction(np.stack(list(read_view_grids(tile).values())))
    if sun.shape != view.shape:
        raise ProductError(
            f"sun angle grid has shape {sun.shape[1:]}, view angle grids {view.shape[1:]}",
            tile.where,
        )
    return AngleGrids(
        left=tile.number("Tile_Geocoding/Geoposition/ULX"),
        top=tile.number("Tile_Geocoding/Geoposition/ULY"),
        steps=(_step(tile, "ROW_STEP"), _step(tile, "COL_STEP")),
        sun=sun,
        view=_filled(view, tile.where),
    )


def read_view_grids(tile: Metadata) -> dict[str, Floats]:
    """View directions by band id, mean over the detectors; (3, ny, nx), NaN where not seen."""
    detectors: dict[str, dict[str | None, Floats]] = defaultdict(dict)
    for grid in tile.elements("Viewing_Incidence_Angles_Grids"):
        band, detector = _band_id(grid, tile.where), grid.get("detectorId")
        if detector in detectors[band]:
            raise ProductError(f"view angles of {band}, detector {detector}, twice", tile.where)
        detectors[band][detector] = _directions(grid, tile.where, lowest=90)
    if not detectors:
        raise tile.missing("Viewing_Incidence_Angles_Grids")
    shapes = {grid.shape for grids in detectors.values() for grid in grids.values()}
    if len(shapes) > 1:
        raise ProductError(f"view angle grids of shapes {sorted(shapes)}, expected one", tile.where)
    return {
        band: _mean_direction(np.stack(list(detectors[band].values())))
        for band in BAND_IDS
        if band in detectors
    }


def directions(zenith_deg: Floats, azimuth_deg: Floats) -> Floats:
    """Unit vectors (3, ny, nx) from zenith and azimuth (clockwise from north), degrees."""
    theta, phi = np.radians(zenith_deg), np.radians(azimuth_deg)
    return np.stack([np.sin(theta) * np.sin(phi), np.sin(theta) * np.cos(phi), np.cos(theta)])


def interpolate(nodes: Floats, y: Floats, x: Floats) -> Float32s:
    """Bilinear values of ``nodes`` (3, ny, nx) at node coordinates ``y``, ``x``; (3, y, x).

    Coordinates outside take the value at the edge.
    """
    i, v = _cell(y, nodes.shape[1])
    j, u = _cell(x, nodes.shape[2])
    rows = (nodes[:, i] * (1 - v)[:, None] + nodes[:, i + 1] * v[:, None]).astype(np.float32)
    share = u.astype(np.float32)
    return rows[:, :, j] * (1 - share) + rows[:, :, j + 1] * share


def zenith(vector: Float32s) -> Float32s:
    """Angle to the vertical, degrees, of vectors (3, ny, nx) of any length.

    By the arc tangent, which unlike the arc cosine is accurate near nadir.
    """
    angle: Float32s = np.degrees(np.arctan2(np.hypot(vector[0], vector[1]), vector[2]))
    return angle


def relative_azimuth(sun: Float32s, view: Float32s) -> Float32s:
    """Angle between the horizontal travel of incoming and outgoing light, degrees in [0, 180].

    ``|180 - (view azimuth - sun azimuth)|`` folded: 0 is forward, 180 backward scattering, so that
    the scattering angle is cos Theta = -mu0 mu + sin theta0 sin theta cos(relative azimuth).
    """
    cross = sun[0] * view[1] - sun[1] * view[0]
    along = sun[0] * view[0] + sun[1] * view[1]
    angle: Float32s = np.degrees(np.arctan2(np.abs(cross), -along))
    return angle


def _cell(position: Floats, nodes: int) -> tuple[NDArray[np.intp], Floats]:
    """Index of the node before each position and the fraction of the way to the next."""
    inside = np.clip(position, 0, nodes - 1)
    index = np.minimum(inside.astype(np.intp), nodes - 2)
    return index, inside - index


def _mean_direction(vectors: Floats) -> Floats:
    """Mean over axis 0 of unit vectors (n, 3, ny, nx), NaN ones left out; NaN if all are."""
    total = np.nansum(vectors, axis=0)
    length = np.sqrt((total**2).sum(axis=0))
    mean: Floats = np.divide(total, length, out=np.full_like(total, np.nan), where=length > 0)
    return mean


def _filled(vectors: Floats, where: str) -> Floats:
    """Vectors (3, ny, nx) with NaN nodes replaced by the nearest other."""
    empty = np.isnan(vectors).any(axis=0)
    if empty.all():
        raise ProductError(
            "the view angle grids hold no value", where, "Download the product again"
        )
    nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
    return vectors[:, nearest[0], nearest[1]]


def _step(tile: Metadata, name: str) -> float:
    path = f"Sun_Angles_Grid/Zenith/{name}"
    step = tile.number(path)
    if step <= 0:
        raise ProductError(f"<{path}> is {step:g}, expected more than 0", tile.where)
    return step


def _directions(grid: Element, where: str, lowest: int) -> Floats:
    """Unit vectors (3, ny, nx) of the ``Zenith``, at most ``lowest``, and ``Azimuth`` of a grid."""
    zenith, azimuth = (_matrix(grid, name, where) for name in ("Zenith", "Azimuth"))
    if zenith.shape != azimuth.shape:
        raise ProductError(
            f"zenith grid has shape {zenith.shape}, azimuth grid {azimuth.shape}", where
        )
    for name, angles, limit in (("zenith", zenith, lowest), ("azimuth", azimuth, 360)):
        outside = angles[(angles < 0) | (angles > limit)]
        if outside.size:
            raise ProductError(
                f"{name} angle of {outside[0]:g} degrees, expected 0 to {limit}",
                where,
                "Download the product again",
            )
    return directions(zenith, azimuth)


def _matrix(grid: Element, name: str, where: str) -> Floats:
    """Values of the ``Zenith`` or ``Azimuth`` of a grid, degrees, (ny, nx)."""
    rows = grid.findall(f"{{*}}{name}/{{*}}Values_List/{{*}}VALUES")
    try:
        matrix = np.array([_words(row) for row in rows], dtype=np.float64)
    except ValueError as error:
        raise ProductError(f"an angle grid is damaged ({error})", where) from error
    if matrix.ndim != 2 or min(matrix.shape) < 2:
        raise ProductError(
            f"an angle grid has shape {matrix.shape}, expected two dimensions of 2 or more",
            where,
            "Download the product again",
        )
    return matrix


def _words(row: Element) -> list[str]:
    """Numbers of a row; ValueError if Python would read some that are none."""
    text = row.text or ""
    if not text.isascii() or "_" in text:
        raise ValueError(f"no numbers: {text[:40]!r}")
    return text.split()


def _band_id(grid: Element, where: str) -> str:
    band = band_of(grid, "bandId")
    if band is None:
        raise ProductError(
            f"bandId is {grid.get('bandId', '')!r}, expected 0 to {len(BAND_IDS) - 1}", where
        )
    return band
