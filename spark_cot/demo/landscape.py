"""Landscapes of the surface library: lakes, forest, towns and parcels of farmland, and snow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import KDTree

from spark_cot.demo.fractal import fractal_field
from spark_cot.simulate.world.surfaces import surface_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Relief has a fractal dimension D of 2.2 to 2.3 (Mandelbrot 1982, The Fractal Geometry of Nature,
#: chapter 28); its power along a line falls with exponent 7 - 2 D.
TERRAIN_SLOPE: Final = 2.5

#: Shares of the landscape: the lowest ground is water, the highest forest; towns lie anywhere else.
WATER_SHARE: Final = 0.08
FOREST_SHARE: Final = 0.24
TOWN_SHARE: Final = 0.06

#: Surfaces of parcels and of town blocks, and how far apart these are, pixels.
_FOREST: Final = {"forest": 1.0}
_CROPS: Final = {
    "crop": 0.45,
    "vegetation_mixed": 0.15,
    "dry_vegetation": 0.15,
    "soil": 0.15,
    "pale_soil": 0.1,
}
_TOWN: Final = {"urban": 0.75, "roof": 0.25}
_PARCEL, _BLOCK = 26, 5

#: Standard deviation of the logarithm of brightness within a surface.
_TEXTURE: Final = 0.12

#: Part of the range of heights over which snow grows from nothing to everything.
_SNOW_RAMP: Final = 0.1


def landscape(
    shape: tuple[int, int], rng: np.random.Generator, snow: float = 0.0
) -> NDArray[np.float32]:
    """Lambert reflectance of a textured landscape in 13 bands, pixels of some 10 m.

    Parameters
    ----------
    shape : tuple[int, int]
        ``(ny, nx)``.
    rng : numpy.random.Generator
        Equal states give the same landscape, with and without snow.
    snow : float
        Share of the pixels, the highest ones, under more than half snow.

    Returns
    -------
    ndarray
        float32 ``(13, ny, nx)``.
    """
    terrain = _ranks(fractal_field(shape, rng, TERRAIN_SLOPE))
    surfaces = _patchwork(shape, rng, _CROPS, _PARCEL)
    for where, shares, distance in (
        (_ranks(fractal_field(shape, rng)) < TOWN_SHARE, _TOWN, _BLOCK),
        (terrain >= 1 - FOREST_SHARE, _FOREST, _PARCEL),
        (terrain < WATER_SHARE, {"water": 1.0}, max(shape)),
    ):
        surfaces[where] = _patchwork(shape, rng, shares, distance)[where]
    spectra = surface_library().reflectance
    texture = np.exp(_TEXTURE * fractal_field(shape, rng, 1.0))
    ground = np.moveaxis(spectra[surfaces], -1, 0) * texture
    white = spectra[rng.choice(_typical("snow_ice"))][:, None, None]
    share = np.clip((terrain - (1 - snow)) / _SNOW_RAMP + 0.5, 0, 1) * (snow > 0)
    return np.asarray((1 - share) * ground + share * white, np.float32)


def _patchwork(
    shape: tuple[int, int], rng: np.random.Generator, shares: dict[str, float], distance: int
) -> NDArray[np.intp]:
    """Rows of the library by pixel: patches about ``distance`` pixels wide, each one surface."""
    members = {name: _typical(name) for name in shares}
    count = max(1, round(shape[0] * shape[1] / distance**2))
    centres = rng.uniform(size=(count, 2)) * shape
    classes = rng.choice(list(shares), size=count, p=list(shares.values()))
    surfaces = np.array([rng.choice(members[name]) for name in classes])
    pixels = np.moveaxis(np.indices(shape), 0, -1)
    return np.asarray(surfaces[KDTree(centres).query(pixels)[1]])


def _typical(surface_class: str) -> NDArray[np.intp]:
    """Rows of the half of a class that lies nearest to its median spectrum."""
    library = surface_library()
    rows = library.members(surface_class)
    spectra = library.reflectance[rows]
    distance = np.abs(spectra - np.median(spectra, axis=0)).sum(axis=1)
    return np.asarray(rows[distance <= np.median(distance)])


def _ranks(field: Floats) -> Floats:
    """Share of the pixels that lie lower, [0, 1)."""
    order = np.argsort(field, axis=None, kind="stable")
    ranks = np.empty(field.size)
    ranks[order] = np.arange(field.size) / field.size
    return ranks.reshape(field.shape)
