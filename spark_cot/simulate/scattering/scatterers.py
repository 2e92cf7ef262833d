"""What scatters besides air: droplets, ice and aerosol at the states of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.numerics import locate
from spark_cot.simulate.scattering import ice
from spark_cot.simulate.scattering.droplets import ANGLES_DEG, EFFECTIVE_RADII
from spark_cot.simulate.scattering.phase import henyey_greenstein
from spark_cot.simulate.world.states import MIXED_PHASE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_cot.simulate.optics import Optics
    from spark_cot.simulate.world.states import States

#: Layers, top down, of what is not air.
ICE_LAYER: Final = 1
PLUME_LAYER: Final = 2
WATER_LAYER: Final = 3
AEROSOL_LAYER: Final = 4

_AEROSOL_UM: Final = 0.55


class Scatterer(NamedTuple):
    """One kind of particle.

    Attributes
    ----------
    layer : int (rows,)
        The layer it is in.
    extinction, scattering : float64 (rows, 13)
        Optical depths.
    moments : float64 (rows, 13, moments)
        Legendre moments of its phase function.
    phase : float64 (rows, 13)
        The phase function at the scattering angle.
    """

    layer: NDArray[np.intp]
    extinction: NDArray[np.float64]
    scattering: NDArray[np.float64]
    moments: NDArray[np.float64]
    phase: NDArray[np.float64]


def scatterers(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> tuple[Scatterer, ...]:
    """Every kind of particle of every row; absent ones have no optical depth.

    Parameters
    ----------
    states : States
    optics : Optics
    cos_theta : float64 (rows,)
        Cosine of the scattering angle.
    moments : int
        Legendre moments to give.
    """
    kinds = (droplet_scattering, ice_scattering, aerosol_scattering, plume_scattering)
    return tuple(kind(states, optics, cos_theta, moments) for kind in kinds)


def droplet_scattering(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> Scatterer:
    """Water droplets, linear in effective radius and angle between the tables' points."""
    i, f = locate(states.effective_radius[:, None], EFFECTIVE_RADII)
    a, g = locate(np.rad2deg(np.arccos(cos_theta))[:, None], ANGLES_DEG)
    at = (states.platform[:, None], np.arange(len(BAND_IDS)))

    def along_radius(table: NDArray[np.float64]) -> NDArray[np.float64]:
        share = f.reshape(f.shape + (1,) * (table.ndim - 3))
        return np.asarray((1 - share) * table[*at, i] + share * table[*at, i + 1])

    def phase_at(radius: NDArray[np.intp]) -> NDArray[np.float64]:
        table = optics.drop_phase
        return np.asarray((1 - g) * table[*at, radius, a] + g * table[*at, radius, a + 1])

    extinction = states.water_cot[:, None] * along_radius(optics.drop_extinction)
    return Scatterer(
        np.full(cos_theta.size, WATER_LAYER),
        extinction,
        extinction * along_radius(optics.drop_albedo),
        along_radius(optics.drop_moments[..., :moments]),
        (1 - f) * phase_at(i) + f * phase_at(i + 1),
    )


def ice_scattering(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> Scatterer:
    """Ice particles: grey extinction, in a layer of their own or with the droplets."""
    absorption = optics.ice_absorption[states.platform]
    absorbed = ice.co_albedo(absorption, states.ice_diameter[:, None])
    asymmetry = states.ice_asymmetry[:, None] + 0.5 * absorbed
    extinction = np.broadcast_to(states.ice_cot[:, None], absorbed.shape)
    return Scatterer(
        np.where(states.cloud_type == MIXED_PHASE, WATER_LAYER, ICE_LAYER),
        extinction,
        extinction * (1 - absorbed),
        ice.moments(asymmetry, moments),
        ice.phase_function(asymmetry, cos_theta[:, None]),
    )


def aerosol_scattering(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> Scatterer:
    """Aerosol near the ground."""
    aerosol = _Aerosol(
        AEROSOL_LAYER,
        states.aerosol_depth,
        states.angstrom,
        states.aerosol_albedo,
        states.aerosol_asymmetry,
    )
    return aerosol.scattering(optics.wavelength[states.platform], cos_theta, moments)


def plume_scattering(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> Scatterer:
    """Smoke or dust aloft."""
    plume = _Aerosol(
        PLUME_LAYER,
        states.plume_depth,
        states.plume_angstrom,
        states.plume_albedo,
        states.plume_asymmetry,
    )
    return plume.scattering(optics.wavelength[states.platform], cos_theta, moments)


class _Aerosol(NamedTuple):
    """A power law in wavelength, Henyey-Greenstein, the same albedo in all bands; (rows,) each."""

    layer: int
    depth: NDArray[np.float64]
    angstrom: NDArray[np.float64]
    albedo: NDArray[np.float64]
    asymmetry: NDArray[np.float64]

    def scattering(
        self, wavelength: NDArray[np.float64], cos_theta: NDArray[np.float64], moments: int
    ) -> Scatterer:
        relative = wavelength / _AEROSOL_UM
        extinction = self.depth[:, None] * relative ** -self.angstrom[:, None]
        g = self.asymmetry[:, None]
        return Scatterer(
            np.full(cos_theta.size, self.layer),
            extinction,
            extinction * self.albedo[:, None],
            np.broadcast_to(g[..., None] ** np.arange(moments), (*extinction.shape, moments)),
            np.broadcast_to(henyey_greenstein(g, cos_theta[:, None]), extinction.shape),
        )
