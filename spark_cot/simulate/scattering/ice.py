"""Optical properties of ice clouds: absorption from particle size, a smooth phase function."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.bands import PLATFORMS, responses
from spark_cot.simulate.scattering.droplets import refractive_index
from spark_cot.simulate.scattering.phase import henyey_greenstein

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Share and asymmetry of the backward lobe of the phase function.
BACK_SHARE: Final = 0.025
BACK_ASYMMETRY: Final = -0.4

_STRONG: Final = 0.47
_WEAK: Final = 0.417


@cache
def absorption_per_um() -> NDArray[np.float64]:
    """Absorption coefficient of ice ``4 pi k / lambda``, um-1, band means (platform, band)."""

    def mean(platform: str, band: str) -> float:
        response = responses()[platform, band]
        k = -refractive_index(response.wavelength, "ice").imag
        return 4 * np.pi * response.mean(k) / (response.centre / 1000)

    return np.array([[mean(p, b) for b in BAND_IDS] for p in PLATFORMS])


def co_albedo(
    absorption: NDArray[np.float64], diameter: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``1 - omega`` of ice particles; weak absorption ``.417 x``, strong absorption ``.47``.

    Parameters
    ----------
    absorption : float64
        :func:`absorption_per_um` of the band.
    diameter : float64
        Effective diameter 3 V / (2 A), um. Arguments broadcast.

    Notes
    -----
    Within 15 to 20 % of the parametrisation of Fu (1996) at 1.6 and 2.2 um.
    """
    x = absorption * diameter
    return np.asarray(-_STRONG * np.expm1(-_WEAK / _STRONG * x))


def forward_asymmetry(asymmetry: NDArray[np.float64]) -> NDArray[np.float64]:
    """Asymmetry of the forward lobe that gives the whole phase function ``asymmetry``."""
    return np.asarray((asymmetry - BACK_SHARE * BACK_ASYMMETRY) / (1 - BACK_SHARE))


def moments(asymmetry: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Legendre moments of the phase function, (..., count)."""
    order = np.arange(count)
    front = forward_asymmetry(asymmetry)[..., None] ** order
    return np.asarray((1 - BACK_SHARE) * front + BACK_SHARE * BACK_ASYMMETRY**order)


def phase_function(
    asymmetry: NDArray[np.float64], cos_theta: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Phase function: two Henyey-Greenstein lobes, as of roughened crystals without halos."""
    front = henyey_greenstein(forward_asymmetry(asymmetry), cos_theta)
    back = henyey_greenstein(np.array(BACK_ASYMMETRY), cos_theta)
    return np.asarray((1 - BACK_SHARE) * front + BACK_SHARE * back)
