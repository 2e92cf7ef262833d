"""Plant canopies by the theory of recollision probability.

A photon that met a leaf meets another one with probability p, whatever the wavelength. A canopy
over black ground then scatters ``i0 (1 - p) w / (1 - p w)`` of the light, where ``i0`` is the share
of the light that meets a leaf at all and ``w`` the albedo of a leaf (Knyazikhin et al. 1998,
J. Geophys. Res. 103, 32257; Smolander and Stenberg 2005, Remote Sens. Environ. 94, 355; Stenberg et
al. 2016, Remote Sens. Environ. 184, 1). The theory holds at a wavelength and is applied to bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.simulate.world.surfaces.spectra import Draws, Spectra, measured

if TYPE_CHECKING:
    from spark_cot.simulate.world.surfaces.spectra import Floats

#: No leaf scatters all light.
_MOST_ALBEDO: Final = 0.995


@dataclass(frozen=True, slots=True)
class Plants:
    """Ranges that the canopies of a kind of plants are drawn from, uniformly.

    Attributes
    ----------
    recollision : tuple[float, float]
        p.
    upward : tuple[float, float]
        Share of the scattered light that leaves upwards.
    gaps : float
        Ground that is not covered, at most; little more often than much (the cube of a uniform
        number).
    """

    recollision: tuple[float, float]
    upward: tuple[float, float]
    gaps: float


_FOREST: Final = Plants((0.55, 0.88), (0.38, 0.52), 0.35)
_CROP: Final = Plants((0.30, 0.80), (0.46, 0.66), 0.60)
_SNOWY: Final = Plants((0.55, 0.88), (0.38, 0.52), 0.80)


def canopies() -> tuple[Spectra, ...]:
    """Forest, crops and grass over soil and litter, forest over snow."""
    spectra = measured()
    ground = np.concatenate([spectra.of("soil"), spectra.of("dry_vegetation")])
    return (
        _canopies("forest", 500, _FOREST, ground),
        _canopies("crop", 400, _CROP, ground),
        _canopies("snow_canopy", 150, _SNOWY, spectra.of("snow_ice")),
    )


def _canopies(surface_class: str, count: int, plants: Plants, ground: Floats) -> Spectra:
    draws = Draws(surface_class, count)
    p, upward = draws.uniform(*plants.recollision), draws.uniform(*plants.upward)
    cover = 1 - plants.gaps * draws.uniform() ** 3
    met = draws.uniform(0.75, 1.0)
    w = leaf_albedo(
        draws.members(measured().of("vegetation")),
        draws.uniform(0.015, 0.05),
        draws.uniform(0.7, 1.05),
    )
    seen = draws.uniform(0.2, 0.9) * draws.members(ground)
    crowns = upward * met * canopy_scattering(w, p)
    return Spectra.modelled(surface_class, cover * crowns + (1 - cover) * seen)


def leaf_albedo(reflectance: Floats, shine: Floats, transmission: Floats) -> Floats:
    """Albedo of leaves, reflected and transmitted light together.

    Parameters
    ----------
    reflectance : ndarray
        Of the upper side, (n, 13).
    shine : ndarray
        Part of it that the surface reflects without entering, (n, 1).
    transmission : ndarray
        Light transmitted per light reflected from within, (n, 1).
    """
    albedo = shine + np.maximum(reflectance - shine, 0) * (1 + transmission)
    return np.asarray(np.minimum(albedo, _MOST_ALBEDO))


def canopy_scattering(albedo: Floats, recollision: Floats) -> Floats:
    """Share of the light that met leaves and leaves the canopy again, by recollision theory.

    Parameters
    ----------
    albedo : ndarray
        Of a leaf.
    recollision : ndarray
        Probability that light which a leaf scattered meets another one.
    """
    return np.asarray((1 - recollision) * albedo / (1 - recollision * albedo))
