"""What surfaces are modelled from: measured spectra, water and ice, and random numbers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.simulate.csvdata import numbers, read_columns, read_text_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Centres of the bands, nm (13,).
WAVELENGTH: Final = np.array([band.wavelength_nm for band in BANDS])

#: Absorption of pure water below 0.73 um, m-1 at the centres of B01 to B05 (Pope and Fry 1997,
#: Applied Optics 36, 8710, table 3); beyond it follows from the index of refraction.
_VISIBLE_WATER: Final = (0.0070, 0.0156, 0.0619, 0.429, 0.70)


@dataclass(frozen=True, slots=True)
class Spectra:
    """Lambert reflectances of surfaces in the 13 bands.

    Attributes
    ----------
    ids, classes : str (surfaces,)
    reflectance : float64 (surfaces, 13)
    """

    ids: NDArray[np.str_]
    classes: NDArray[np.str_]
    reflectance: Floats

    @classmethod
    def modelled(cls, surface_class: str, reflectance: Floats) -> Spectra:
        """Surfaces of one class, named after it and numbered."""
        rows = range(len(reflectance))
        ids = np.array([f"{surface_class}{row:04d}" for row in rows])
        return cls(ids, np.array([surface_class] * len(rows)), np.clip(reflectance, 0.0, 1.0))

    def of(self, *classes: str) -> Floats:
        """Reflectance of the surfaces of some classes, (n, 13)."""
        return np.asarray(self.reflectance[np.isin(self.classes, classes)])


class Draws:
    """Random numbers of the surfaces of one class, the same on every machine.

    Parameters
    ----------
    surface_class : str
    count : int
        Surfaces.
    """

    def __init__(self, surface_class: str, count: int) -> None:
        self.count = count
        self._random = np.random.Generator(np.random.Philox(zlib.crc32(surface_class.encode())))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Floats:
        """Uniform in [low, high), a column (count, 1)."""
        return low + (high - low) * self._random.random((self.count, 1))

    def log_uniform(self, low: float, high: float) -> Floats:
        """Uniform in the logarithm, (count, 1)."""
        return np.asarray(low * (high / low) ** self.uniform())

    def members(self, spectra: Floats) -> Floats:
        """One of the spectra (n, 13) for each surface, (count, 13)."""
        chosen = (self.uniform()[:, 0] * len(spectra)).astype(np.intp)
        return np.asarray(spectra[chosen])

    def mixture(self, *materials: Floats) -> Floats:
        """A member of each of the materials (n, 13), mixed with random shares, (count, 13).

        Shares follow a flat Dirichlet law.
        """
        weights = np.stack([-np.log1p(-self.uniform()) for _ in materials])
        parts = np.stack([self.members(material) for material in materials])
        return np.asarray((weights * parts).sum(axis=0) / weights.sum(axis=0))


@cache
def measured() -> Spectra:
    """The spectra of the package's data table, and mixtures of them.

    Water is taken without the light that its surface mirrors, the same in all bands and all that is
    left in the last one: it depends on sun, view and wind.
    """
    table = read_text_columns("surfaces", ("id", "class", "source", *BAND_IDS))
    columns = [numbers(table[band], f"surfaces.csv, {band}") for band in BAND_IDS]
    classes, reflectance = np.array(table["class"]), np.stack(columns, axis=-1)
    water = classes == "water"
    reflectance[water] = np.maximum(reflectance[water] - reflectance[water, -1:], 0)
    return Spectra(np.array(table["id"]), classes, reflectance)


@cache
def refraction() -> dict[str, Floats]:
    """``n_water``, ``k_water``, ``n_ice`` and ``k_ice`` at the centres of the bands, (13,)."""
    columns = ("n_water", "k_water", "n_ice", "k_ice")
    table = read_columns("refractive_index", ("wavelength_nm", *columns))
    return {name: np.interp(WAVELENGTH, table["wavelength_nm"], table[name]) for name in columns}


@cache
def water_absorption() -> Floats:
    """Absorption of pure water, m-1 (13,)."""
    absorption = 4 * np.pi * refraction()["k_water"] / (WAVELENGTH * 1e-9)
    absorption[: len(_VISIBLE_WATER)] = _VISIBLE_WATER
    return np.asarray(absorption)


def fresnel_normal() -> Floats:
    """Reflectance of a smooth water surface at normal incidence, (13,)."""
    n, k = refraction()["n_water"], refraction()["k_water"]
    return np.asarray(((n - 1) ** 2 + k**2) / ((n + 1) ** 2 + k**2))
