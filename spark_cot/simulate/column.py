"""From states to the reflectance of 13 bands: layers over the ground, 28 solutions per row.

Five homogeneous layers, top down: air above the clouds (with all ozone), ice cloud, air between
with smoke or dust aloft, water or mixed-phase cloud, air below with the aerosol. A layer that is
not there has no thickness; fog lies on the ground and has the aerosol beneath it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.msi import BANDS
from spark_cot.simulate.bands import STANDARD_PRESSURE
from spark_cot.simulate.gas.absorption import TERM_BAND, TERM_WEIGHT, gas_depths
from spark_cot.simulate.gas.atmosphere import atmospheres
from spark_cot.simulate.scattering.phase import rayleigh, rayleigh_moments
from spark_cot.simulate.scattering.scatterers import scatterers
from spark_cot.simulate.transfer.kernel import solve_rows
from spark_cot.simulate.transfer.solver import PRODUCTION, Accuracy, scattering_cosine
from spark_cot.simulate.world.states import CLEAR, ICE, ICE_OVER_WATER, States
from spark_cot.simulate.world.surfaces import WATER, surface_library
from spark_cot.simulate.world.surfaces.water import waves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_cot.simulate.optics import Optics

_TOP_KM: Final = 100.0
_AEROSOL_KM: Final = 2.0
_CLEAR_KM: Final = 8.0
_ALBEDO_RANGE: Final = (0.0005, 0.99)

#: COT over which a cloud comes to have sides: `States.cloud_gain` acts in full on thicker cloud
#: and not at all on none.
_SIDES_COT: Final = 4.0


def simulate(
    states: States, optics: Optics, accuracy: Accuracy = PRODUCTION
) -> NDArray[np.float64]:
    """Reflectance of every state in the 13 bands, (rows, 13).

    A partly covered pixel is the mean of its cloudy and its clear column, weighted with the cover.
    A cloud with sides in sun or shade departs from the flat cloud that the column holds by a factor
    common to all bands, `States.cloud_gain`, the more the thicker it is: an allowance for what
    independent pixels leave out (Varnai and Marshak 2002, J. Atmos. Sci. 59, 1607), no transfer in
    three dimensions.

    Raises
    ------
    SimulationError
        When a state has no physical meaning.
    """
    states.check()
    partial = (states.cloud_fraction < 1) & (states.cot_in_cloud > 0)
    twins = states.take(partial).without_cloud()
    columns = States._make(np.concatenate(pair) for pair in zip(states, twins, strict=True))
    rho = _overcast(columns, optics, accuracy)
    cloudy, clear = rho[: partial.size], rho[partial.size :]
    cloudy *= side_factor(states.cloud_gain, states.cot_in_cloud)[:, None]
    cover = states.cloud_fraction[partial][:, None]
    cloudy[partial] = cover * cloudy[partial] + (1 - cover) * clear
    return cloudy


def ground_reflectance(states: States) -> NDArray[np.float64]:
    """Lambert reflectance of the ground, (rows, 13).

    Cells of 10, 20 and 60 m may see two surfaces in different shares. Glint and foam of water count
    as part of its Lambert reflectance.
    """
    library = surface_library()
    share = _shares(states)
    first, second = library.reflectance[states.surface], library.reflectance[states.second_surface]
    mixed = (share * first + (1 - share) * second) * states.surface_gain[:, None]
    wet = np.isin(library.classes, WATER).astype(np.float64)
    water = share * wet[states.surface, None] + (1 - share) * wet[states.second_surface, None]
    angles = states.sun_zenith, states.view_zenith, states.relative_azimuth
    return np.clip(mixed + water * waves(*angles, states.wind_speed), *_ALBEDO_RANGE)


def _shares(states: States) -> NDArray[np.float64]:
    """Share of the first surface in the cell of every band, (rows, 13)."""
    by_size = {
        10: states.surface_share,
        20: states.surface_share_20m,
        60: states.surface_share_60m,
    }
    return np.stack([by_size[band.resolution_m] for band in BANDS], axis=-1)


def side_factor(gain: NDArray[np.float64], cot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor on a cloud's reflectance that a gain comes to in cloud of some thickness.

    Parameters
    ----------
    gain : ndarray
        `States.cloud_gain`, any shape.
    cot : ndarray
        Optical thickness where there is cloud, same shape.
    """
    factor: NDArray[np.float64] = gain ** -np.expm1(-cot / _SIDES_COT)
    return factor


def boundaries(states: States) -> NDArray[np.float64]:
    """Heights of the layer boundaries, top down, km (rows, 6)."""
    ground = states.surface_height
    has_ice = np.isin(states.cloud_type, (ICE, ICE_OVER_WATER))
    has_water = ~np.isin(states.cloud_type, (CLEAR, ICE))
    clear_top = np.where(has_water, states.water_top, ground + _CLEAR_KM)
    plume_top = np.maximum(states.plume_top, np.where(has_water, states.water_top, ground))
    clear_top = np.where(states.plume_depth > 0, plume_top, clear_top)
    ice_top = np.where(has_ice, states.ice_top, clear_top)
    ice_base = np.where(has_ice, states.ice_base, clear_top)
    aerosol_top = np.minimum(ice_base, ground + _AEROSOL_KM)
    water_top = np.where(has_water, states.water_top, aerosol_top)
    water_base = np.where(has_water, states.water_base, aerosol_top)
    top = np.full(ground.size, _TOP_KM)
    return np.stack([top, ice_top, ice_base, water_top, water_base, ground], axis=-1)


def _overcast(states: States, optics: Optics, accuracy: Accuracy) -> NDArray[np.float64]:
    heights = boundaries(states)
    mu0, muv = np.cos(np.deg2rad(states.sun_zenith)), np.cos(np.deg2rad(states.view_zenith))
    azimuth = np.deg2rad(states.relative_azimuth)
    cos_theta = scattering_cosine(mu0, muv, azimuth)
    air = _air(states, optics, heights)
    extinction, scattering = air.copy(), air.copy()
    chi = air[..., None] * rayleigh_moments(accuracy.moments)
    phase = air * rayleigh(cos_theta)[:, None, None]
    rows = np.arange(mu0.size)
    for s in scatterers(states, optics, cos_theta, accuracy.moments):
        extinction[rows, :, s.layer] += s.extinction
        scattering[rows, :, s.layer] += s.scattering
        chi[rows, :, s.layer] += s.scattering[..., None] * s.moments
        phase[rows, :, s.layer] += s.scattering * s.phase
    safe = np.where(scattering > 0, scattering, 1.0)
    return np.asarray(
        solve_rows(
            extinction,
            scattering,
            gas_depths(states, optics, heights),
            chi / safe[..., None],
            phase / safe,
            ground_reflectance(states),
            mu0,
            muv,
            azimuth,
            TERM_BAND,
            TERM_WEIGHT,
            *accuracy.arguments,
        )
    )


def _air(states: States, optics: Optics, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rayleigh optical depth of every layer, (rows, 13, layers)."""
    pressure = np.empty_like(heights)
    for index, atmosphere in enumerate(atmospheres()):
        mine = states.profile == index
        pressure[mine] = atmosphere.pressure_at(heights[mine])
    pressure[:, 0] = 0.0
    share = np.diff(pressure, axis=1) / STANDARD_PRESSURE
    return optics.rayleigh[states.platform][:, :, None] * share[:, None, :]
