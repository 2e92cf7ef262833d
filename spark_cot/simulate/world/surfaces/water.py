"""Water that differs from the open sea: turbid, green, rough with waves, and ponds on ice.

Reflectance of the water body follows absorption a and backscattering b of what is in it (Gordon et
al. 1988, J. Geophys. Res. 93, 10909; Lee et al. 2002, Appl. Opt. 41, 5755).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.simulate.world.surfaces.canopy import canopy_scattering
from spark_cot.simulate.world.surfaces.spectra import (
    WAVELENGTH,
    Draws,
    Spectra,
    fresnel_normal,
    measured,
    refraction,
    water_absorption,
)

if TYPE_CHECKING:
    from spark_cot.simulate.world.surfaces.spectra import Floats

#: Absorption by chlorophyll at the bands as a share of that at 440 nm: the peaks of blue and red,
#: the gap in the green, and nothing in the infrared (shape of Bricaud et al. 1995, J. Geophys. Res.
#: 100, 13321, figure 2).
_CHLOROPHYLL: Final = np.array([1.0, 0.7, 0.18, 0.45, 0.05, *[0.0] * 8])

#: Reflectance of foam.
_FOAM: Final = 0.22 * np.clip(1.25 - WAVELENGTH / 2500, 0, 1)

#: Reflectance of water's surface from above and, for diffuse light, from below.
_SURFACE, _UNDERSIDE = 0.021, 0.48


def waters() -> tuple[Spectra, ...]:
    """Turbid and green water."""
    return turbid(), green()


def body_reflectance(absorption: Floats, backscattering: Floats) -> Floats:
    """Irradiance reflectance just above water, pi times the remote-sensing reflectance.

    Parameters
    ----------
    absorption, backscattering : ndarray
        m-1.
    """
    x = backscattering / (absorption + backscattering)
    below = (0.0949 + 0.0794 * x) * x
    return np.asarray(np.pi * 0.52 * below / (1 - 1.7 * below))


def turbid() -> Spectra:
    """Water with 5 to 1500 g m-3 of mineral particles and some dissolved matter.

    Absorption by particles as Babin et al. (2003, J. Geophys. Res. 108, 3211): 0.041 m2 g-1 at 443
    nm, falling with 0.0123 nm-1. They scatter back some 0.01 m2 g-1.
    """
    draws = Draws("turbid_water", 120)
    particles = draws.log_uniform(5, 1500)
    absorption = water_absorption() + _dissolved(draws.log_uniform(0.05, 3))
    absorption = absorption + particles * 0.041 * np.exp(-0.0123 * (WAVELENGTH - 443))
    slope = (WAVELENGTH / 550) ** -draws.uniform(0.0, 0.8)
    scattering = _pure_backscattering() + particles * draws.uniform(0.006, 0.013) * slope
    return Spectra.modelled("turbid_water", body_reflectance(absorption, scattering) + _sky(draws))


def green() -> Spectra:
    """Water with 5 to 300 mg m-3 of chlorophyll, and algae that float on it.

    Absorption at 440 nm is 0.0403 C^0.668 m-1 (Bricaud et al. 1995); particles scatter
    0.3 C^0.62 m-1 at 550 nm (Morel 1988, J. Geophys. Res. 93, 10749), 1 % of it back. Floating
    algae are leaves of a thin canopy.
    """
    draws = Draws("green_water", 80)
    chlorophyll = draws.log_uniform(5, 300)
    absorption = water_absorption() + _dissolved(draws.log_uniform(0.05, 2))
    absorption = absorption + 0.0403 * chlorophyll**0.668 * _CHLOROPHYLL
    scattered = 0.01 * 0.3 * chlorophyll**0.62 * (550 / WAVELENGTH)
    water = body_reflectance(absorption, _pure_backscattering() + scattered) + _sky(draws)
    leaves = draws.members(measured().of("vegetation"))
    algae = 0.5 * canopy_scattering(leaves, draws.uniform(0.0, 0.4))
    cover = np.where(draws.uniform() < 0.5, 0.0, draws.uniform(0.0, 0.6) ** 2)
    return Spectra.modelled("green_water", (1 - cover) * water + cover * algae)


def waves(
    sun_zenith: Floats, view_zenith: Floats, relative_azimuth: Floats, wind_speed: Floats
) -> Floats:
    """Reflectance that sun glint and foam add to water, (rows, 13).

    Slopes of the waves are normally distributed with a variance of 0.003 + 0.00512 W (Cox and Munk
    1954, J. Opt. Soc. Am. 44, 838). Foam covers 2.95e-6 W^3.52 of the surface (Monahan and
    O'Muircheartaigh 1980, J. Phys. Oceanogr. 10, 2094) with a reflectance of 0.22 (Koepke 1984,
    Appl. Opt. 23, 1816), less in the short-wave infrared.

    Parameters
    ----------
    sun_zenith, view_zenith, relative_azimuth : ndarray
        Degrees (rows,); azimuth as in the synthetic table, 0 is forward scattering.
    wind_speed : ndarray
        m s-1 at 10 m, W (rows,).
    """
    sun, view, azimuth = (np.deg2rad(a) for a in (sun_zenith, view_zenith, relative_azimuth))
    mu0, muv = np.cos(sun), np.cos(view)
    doubled = mu0 * muv - np.sin(sun) * np.sin(view) * np.cos(azimuth)
    incidence = np.sqrt((1 + doubled) / 2)  # cosine, on the facet that mirrors
    tilt = (mu0 + muv) / (2 * incidence)
    variance = 0.003 + 0.00512 * wind_speed
    slopes = np.exp(-(tilt**-2 - 1) / variance) / (np.pi * variance)
    mirrored = np.pi * slopes / (4 * mu0 * muv * tilt**4)
    foam = np.minimum(2.95e-6 * wind_speed**3.52, 1.0)
    return np.asarray(mirrored[:, None] * fresnel_normal() + foam[:, None] * _FOAM)


def pond(bottom: Floats, depth: Floats) -> Floats:
    """Reflectance of a pond on ice, light going to and fro between its surface and the ice.

    Parameters
    ----------
    bottom : ndarray
        Reflectance of the ice, (n, 13).
    depth : ndarray
        m, (n, 1). Diffuse light goes 1.2 times as far (compare Malinka et al. 2018, The Cryosphere
        12, 1921).
    """
    back = bottom * np.exp(-2 * 1.2 * depth * water_absorption())
    return np.asarray(_SURFACE + (1 - _SURFACE) * (1 - _UNDERSIDE) * back / (1 - _UNDERSIDE * back))


def _dissolved(at_440: Floats) -> Floats:
    """Absorption by dissolved organic matter, m-1."""
    return np.asarray(at_440 * np.exp(-0.015 * (WAVELENGTH - 440)))


def _pure_backscattering() -> Floats:
    """Of sea water, m-1 (Morel 1974)."""
    return np.asarray(0.00144 * (WAVELENGTH / 500) ** -4.32)


def _sky(draws: Draws) -> Floats:
    """Light of sky and sun that waves mirror."""
    n = refraction()["n_water"]
    return np.asarray(draws.log_uniform(5e-4, 0.02) * ((n - 1) / (n[2] - 1)) ** 2)
