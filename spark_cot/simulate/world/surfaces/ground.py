"""Bare and built ground: pale and wet soil, burnt land, crusts, and roofs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.simulate.world.surfaces.spectra import (
    WAVELENGTH,
    Draws,
    Spectra,
    measured,
    water_absorption,
)

if TYPE_CHECKING:
    from spark_cot.simulate.world.surfaces.spectra import Floats

#: Reflectance of a water film seen from the air, and of its underside for diffuse light, that is
#: 1 - (1 - r) / n^2 with r = 0.066 for diffuse light from the air and n = 1.33.
_FILM, _UNDERSIDE = 0.021, 0.47

#: Char rises evenly over the bands, from and to (compare Roy and Landmann 2005, Int. J. Remote
#: Sensing 26, 4469).
_CHAR: Final = (0.025, 0.11)


def grounds() -> tuple[Spectra, ...]:
    """Pale and wet soil, burnt land, crusts of salt and desert, and roofs."""
    return pale_soils(), wet_soils(), burnt_land(), crusts(), roofs()


def pale_soils() -> Spectra:
    """Fields on chalk, loess and sand, some with stubble: soil with bright rock ground into it."""
    draws = Draws("pale_soil", 400)
    spectra = measured()
    share, stubble = draws.uniform(0.2, 0.8), 0.6 * draws.uniform() ** 2
    bright = draws.uniform(0.5, 1.0) * draws.members(spectra.of("sand_rock_bright", "rock_urban"))
    soil = (1 - share) * draws.members(spectra.of("soil")) + share * bright
    straw = draws.members(spectra.of("dry_vegetation", "vegetation_mixed"))
    return Spectra.modelled("pale_soil", (1 - stubble) * soil + stubble * straw)


def wet_soils() -> Spectra:
    """Soil under a film of water.

    Light that the soil reflects is held back by the film's underside, so that it is absorbed more
    often (Lekner and Dorf 1988, Appl. Opt. 27, 1278), and by water on its way through the film
    (Bach and Mauser 1994, Proc. IGARSS, 2374).
    """
    draws = Draws("wet_soil", 200)
    dry = draws.members(np.concatenate([measured().of("soil"), measured().of("dark_rock_asphalt")]))
    film = draws.log_uniform(2e-5, 2e-3)  # m
    through = np.exp(-2 * film * water_absorption())
    wet = _FILM + (1 - _FILM) * (1 - _UNDERSIDE) * dry * through / (1 - _UNDERSIDE * dry * through)
    share = draws.uniform(0.3, 1.0)
    return Spectra.modelled("wet_soil", share * wet + (1 - share) * dry)


def burnt_land() -> Spectra:
    """Char over soil with what is left of the plants."""
    draws = Draws("burnt", 60)
    rise = (WAVELENGTH - WAVELENGTH[0]) / (WAVELENGTH[-1] - WAVELENGTH[0])
    char = draws.uniform(0.6, 1.4) * (_CHAR[0] + (_CHAR[1] - _CHAR[0]) * rise)
    rest = draws.mixture(measured().of("soil"), measured().of("dry_vegetation"))
    share = draws.uniform(0.4, 1.0)
    return Spectra.modelled("burnt", share * char + (1 - share) * rest)


def crusts() -> Spectra:
    """Crusts of salt and of the desert: the brightest sand and rock, dulled by soil, dry or moist.

    Gypsum and salt hold water, which darkens them in the short-wave infrared.
    """
    draws = Draws("crust", 120)
    bright = measured().of("sand_rock_bright")
    bright = draws.members(bright[bright[:, 1] > np.median(bright[:, 1])])
    moisture = np.exp(-draws.log_uniform(1e-5, 1e-3) * water_absorption())
    share = draws.uniform(0.4, 1.0)
    soil = draws.members(measured().of("soil"))
    return Spectra.modelled("crust", share * bright * moisture + (1 - share) * soil)


def roofs() -> Spectra:
    """Painted, metal and gravel roofs, and greenhouses, with what stands around them.

    A greenhouse is a layer that reflects r of the light and passes 1 - r both ways over plants and
    soil of reflectance a: ``r + (1 - r)^2 a / (1 - r a)``, the sum over all reflections between.
    """
    draws = Draws("roof", 400)
    spectra = measured()
    below = draws.mixture(spectra.of("vegetation"), spectra.of("soil"), spectra.of("rock_urban"))
    film = draws.uniform(0.05, 0.45)
    greenhouse = film + (1 - film) ** 2 * below / (1 - film * below)
    white = draws.uniform(0.35, 0.8) * (1 - draws.uniform(0.0, 0.25) * _blue())
    stone = draws.members(spectra.of("sand_rock_bright", "rock_urban"))
    kind = draws.uniform()
    roof = np.select([kind < 0.35, kind < 0.7], [greenhouse, white], stone)
    around = draws.mixture(
        spectra.of("rock_urban"), spectra.of("dark_rock_asphalt"), spectra.of("vegetation_mixed")
    )
    share = draws.uniform(0.3, 1.0)
    return Spectra.modelled("roof", share * roof + (1 - share) * around)


def towns(trees: Floats) -> Spectra:
    """Houses, streets, gardens and trees in one pixel, and the shade they cast.

    Parameters
    ----------
    trees : ndarray
        Canopies (n, 13).
    """
    draws = Draws("town", 400)
    built = np.concatenate([measured().of("urban"), roofs().reflectance])
    mixed = draws.mixture(built, trees)
    return Spectra.modelled("town", draws.uniform(0.5, 1.0) * mixed)


def _blue() -> Floats:
    """How far towards the ultraviolet, where white paint absorbs, a band is: B01 1, from B04 0."""
    towards = (WAVELENGTH[3] - WAVELENGTH) / (WAVELENGTH[3] - WAVELENGTH[0])
    return np.asarray(np.clip(towards, 0, 1))
