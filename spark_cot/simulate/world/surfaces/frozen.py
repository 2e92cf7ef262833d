"""Ice on the sea, bare or with melt ponds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spark_cot.simulate.world.surfaces.spectra import (
    WAVELENGTH,
    Draws,
    Spectra,
    measured,
    refraction,
)
from spark_cot.simulate.world.surfaces.water import pond

if TYPE_CHECKING:
    from spark_cot.simulate.world.surfaces.spectra import Floats


def frozen_waters() -> tuple[Spectra, ...]:
    """Bare sea ice from thin to thick, and melt ponds."""
    return sea_ice(), melt_ponds()


def ice_reflectance(grain: Floats, impurity: Floats) -> Floats:
    """Reflectance of thick snow or granular ice: exp(-3.8 sqrt(gamma d)).

    Gamma is the absorption of ice and impurities (Kokhanovsky and Zege 2004, Appl. Opt. 43, 1589).

    Parameters
    ----------
    grain : ndarray
        Effective diameter d, mm.
    impurity : ndarray
        Absorption by impurities, mm-1.
    """
    absorption = 4 * np.pi * refraction()["k_ice"] / (WAVELENGTH * 1e-6)
    return np.asarray(np.exp(-3.8 * np.sqrt((absorption + impurity) * grain)))


def sea_ice() -> Spectra:
    """Ice whose surface is granular, from a thin sheet over dark water to thick floes."""
    draws = Draws("sea_ice", 80)
    floe = ice_reflectance(draws.log_uniform(0.5, 10), draws.log_uniform(1e-7, 1e-4))
    sheet = draws.uniform(0.25, 1.0)
    water = draws.members(measured().of("water"))
    return Spectra.modelled("sea_ice", sheet * floe + (1 - sheet) * water)


def melt_ponds() -> Spectra:
    """Ponds of 3 cm to 1 m on ice, with some of the bare ice around them."""
    draws = Draws("melt_pond", 60)
    ice = ice_reflectance(draws.log_uniform(1, 10), draws.log_uniform(1e-7, 1e-4))
    ponds = pond(draws.uniform(0.2, 0.8) * ice, draws.log_uniform(0.03, 1.0))
    share = draws.uniform(0.4, 1.0)
    return Spectra.modelled("melt_pond", share * ponds + (1 - share) * ice)
