"""Optical properties of clouds of water droplets: Mie theory over gamma size distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import eval_legendre

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.bands import PLATFORMS, responses
from spark_cot.simulate.csvdata import read_columns
from spark_cot.simulate.numerics import gauss_legendre
from spark_cot.simulate.scattering.mie import efficiencies, gamma_weights, intensity

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Effective radii of the tables, um; properties are linear in between.
EFFECTIVE_RADII: Final = np.array([4.0, 5, 6, 7, 8, 10, 12, 14, 17, 20, 23, 26])

#: Effective variance of the droplet sizes (Hansen & Travis 1974).
VARIANCE: Final = 0.10

#: Scattering angles of the tabulated phase functions, degrees.
ANGLES_DEG: Final = np.arange(0, 180.5, 0.5)

#: Legendre moments kept: enough for 20-node reference runs.
MOMENTS: Final = 48

#: Wavelength that optical thickness refers to, nm.
REFERENCE_NM: Final = 550.0

_RADII: Final = np.geomspace(0.4, 90, 500)
#: Weakly absorbing spheres have resonances so narrow that only a fine grid averages them.
_FINE_RADII: Final = np.geomspace(0.4, 90, 6000)
_GAUSS_POINTS: Final = 1000
_INDEX_HEADER: Final = ("wavelength_nm", "n_water", "k_water", "n_ice", "k_ice")


class Droplets(NamedTuple):
    """Scattering by droplets at one wavelength, for each effective radius asked for.

    Attributes
    ----------
    extinction, scattering : float64 (radii,)
        Efficiencies.
    moments : float64 (radii, moments)
        Legendre moments chi_l of the phase function, chi_0 = 1.
    phase : float64 (radii, angles)
        Phase function at :data:`ANGLES_DEG`, mean 1 over the sphere.
    """

    extinction: NDArray[np.float64]
    scattering: NDArray[np.float64]
    moments: NDArray[np.float64]
    phase: NDArray[np.float64]

    @property
    def albedo(self) -> NDArray[np.float64]:
        """Single-scattering albedo (radii,)."""
        return np.asarray(self.scattering / self.extinction)


@dataclass(frozen=True, slots=True)
class DropletTable:
    """Band means for every platform, band and effective radius.

    Attributes
    ----------
    extinction : float64 (platform, band, radius)
        Optical depth per unit optical thickness at 550 nm.
    albedo : float64 (platform, band, radius)
        Single-scattering albedo.
    moments : float64 (platform, band, radius, moment)
    phase : float64 (platform, band, radius, angle)
    """

    extinction: NDArray[np.float64]
    albedo: NDArray[np.float64]
    moments: NDArray[np.float64]
    phase: NDArray[np.float64]


def refractive_index(wavelength_nm: NDArray[np.float64], phase: str) -> NDArray[np.complex128]:
    """``n - i k`` of ``water`` (Segelstein 1981) or ``ice`` (Warren & Brandt 2008)."""
    table = read_columns("refractive_index", _INDEX_HEADER)
    n = np.interp(wavelength_nm, table["wavelength_nm"], table[f"n_{phase}"])
    log_k = np.interp(wavelength_nm, table["wavelength_nm"], np.log(table[f"k_{phase}"]))
    return np.asarray(n - 1j * np.exp(log_k))


def droplets(
    wavelength_nm: float,
    effective_radii: NDArray[np.float64] = EFFECTIVE_RADII,
    moments: int = MOMENTS,
) -> Droplets:
    """Mie scattering by water droplets at one wavelength.

    Moments come from 1000 Gauss points in the cosine of the scattering angle. An absorption
    ``1 - albedo`` below 1e-5 is good to some 10 % only.
    """
    nodes, w = gauss_legendre(_GAUSS_POINTS)
    x = 2 * nodes - 1
    half = _GAUSS_POINTS // 2
    table_mu = np.cos(np.deg2rad(ANGLES_DEG[: ANGLES_DEG.size // 2 + 1]))
    index = complex(refractive_index(np.array([wavelength_nm]), "water")[0])
    mu = np.concatenate([x[half:], table_mu])
    per_um = 2 * np.pi * 1000 / wavelength_nm
    extinction, scattering = efficiencies(_FINE_RADII * per_um, index)
    area = _size_weights(_FINE_RADII, effective_radii) * _FINE_RADII**2
    area /= area.sum(axis=1, keepdims=True)
    forward, backward = intensity(_RADII * per_um, index, mu)
    number = _size_weights(_RADII, effective_radii)
    front, back = number @ forward, number @ backward
    at_gauss = np.concatenate([back[:, :half][:, ::-1], front[:, :half]], axis=1)
    in_table = np.concatenate([front[:, half:], back[:, half:-1][:, ::-1]], axis=1)
    norm = (at_gauss @ w)[:, None]
    legendre = eval_legendre(np.arange(moments), x[:, None]) * w[:, None]
    return Droplets(
        area @ extinction, area @ scattering, at_gauss / norm @ legendre, in_table / norm
    )


def _size_weights(
    radius: NDArray[np.float64], effective_radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.array([gamma_weights(radius, re, VARIANCE) for re in effective_radii])


def band_nodes(band: str) -> NDArray[np.float64]:
    """Wavelengths (nm) a band's optics are computed at: the whole width, all platforms.

    Absorption changes by a factor of 2 to 3 inside B10, B11 and B12, which take five.
    """
    edges = [responses()[p, band].wavelength[[0, -1]] for p in PLATFORMS]
    count = 5 if band in ("B10", "B11", "B12") else 3
    return np.asarray(np.linspace(np.min(edges), np.max(edges), count))


def build_droplet_table() -> DropletTable:
    """Band means weighted with response, sunlight and scattering; takes a few seconds."""
    reference = droplets(REFERENCE_NM).extinction
    shape = (len(PLATFORMS), len(BAND_IDS), EFFECTIVE_RADII.size)
    table = DropletTable(
        np.empty(shape),
        np.empty(shape),
        np.empty((*shape, MOMENTS)),
        np.empty((*shape, ANGLES_DEG.size)),
    )
    for b, band in enumerate(BAND_IDS):
        nodes = band_nodes(band)
        at_nodes = [droplets(wavelength) for wavelength in nodes]
        for p, platform in enumerate(PLATFORMS):
            weight = responses()[platform, band].node_weights(nodes)
            extinction = sum(w * d.extinction for w, d in zip(weight, at_nodes, strict=True))
            share = [w * d.scattering for w, d in zip(weight, at_nodes, strict=True)]
            scattering = sum(share)
            share = [s[:, None] / scattering[:, None] for s in share]
            table.extinction[p, b] = extinction / reference
            table.albedo[p, b] = scattering / extinction
            table.moments[p, b] = sum(s * d.moments for s, d in zip(share, at_nodes, strict=True))
            table.phase[p, b] = sum(s * d.phase for s, d in zip(share, at_nodes, strict=True))
    return table
