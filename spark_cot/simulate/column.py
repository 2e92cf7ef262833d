"""From states to the reflectance of 13 bands: layers, their optics, 28 solutions per row.

Five homogeneous layers lie over the ground, top down: air above the clouds (with all ozone), ice
cloud, air between, water or mixed-phase cloud, air below with the aerosol. A layer that is not
there has no thickness. Eleven bands take one solution each, B09 seven and B10 ten (k-terms).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spark_cot.msi import BAND_IDS
from spark_cot.simulate import ice
from spark_cot.simulate.atmosphere import atmospheres
from spark_cot.simulate.bands import STANDARD_PRESSURE
from spark_cot.simulate.droplets import ANGLES_DEG, EFFECTIVE_RADII
from spark_cot.simulate.gas import K_BANDS, LEVELS, PATHS
from spark_cot.simulate.kdistribution import TERMS, term_weights
from spark_cot.simulate.kernel import solve_rows
from spark_cot.simulate.phase import henyey_greenstein, rayleigh, rayleigh_moments
from spark_cot.simulate.sampler import CLEAR, ICE, ICE_OVER_WATER, MIXED_PHASE, States
from spark_cot.simulate.solver import PRODUCTION, Accuracy, scattering_cosine
from spark_cot.simulate.surfaces import surface_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_cot.simulate.optics import Optics

LAYERS: Final = 5
ICE_LAYER, WATER_LAYER, AEROSOL_LAYER = 1, 3, 4

#: Band index of every solution of a row, and its weight in the band.
TERM_BAND: Final = np.concatenate(
    [np.full(TERMS.get(band, 1), b) for b, band in enumerate(BAND_IDS)]
)
TERM_WEIGHT: Final = np.concatenate(
    [term_weights(TERMS[band])[1] if band in TERMS else np.ones(1) for band in BAND_IDS]
)

_TOP_KM: Final = 100.0
_AEROSOL_KM: Final = 2.0
_CLEAR_KM: Final = 8.0
_ALBEDO_RANGE: Final = (0.0005, 0.99)
_AEROSOL_UM: Final = 0.55


class _Scatterer(NamedTuple):
    """One kind of particle in one layer: (rows, 13) optical depths and shapes."""

    layer: NDArray[np.intp]
    extinction: NDArray[np.float64]
    scattering: NDArray[np.float64]
    moments: NDArray[np.float64]
    phase: NDArray[np.float64]


def simulate(
    states: States, optics: Optics, accuracy: Accuracy = PRODUCTION
) -> NDArray[np.float64]:
    """Reflectance of every state in the 13 bands, (rows, 13).

    A partly covered pixel is the mean of its cloudy and its clear column, weighted with the cover.

    Raises
    ------
    SimulationError
        When a state has no physical meaning.
    """
    states.check()
    partial = (states.cloud_fraction > 0) & (states.cloud_fraction < 1)
    twins = states.take(partial).without_cloud()
    columns = States._make(np.concatenate(pair) for pair in zip(states, twins, strict=True))
    rho = _overcast(columns, optics, accuracy)
    cloudy, clear = rho[: partial.size], rho[partial.size :]
    cover = states.cloud_fraction[partial][:, None]
    cloudy[partial] = cover * cloudy[partial] + (1 - cover) * clear
    return cloudy


def ground_reflectance(states: States) -> NDArray[np.float64]:
    """Lambert reflectance of the ground, (rows, 13)."""
    library = surface_library().reflectance
    share = states.surface_share[:, None]
    mixed = share * library[states.surface] + (1 - share) * library[states.second_surface]
    return np.clip(mixed * states.surface_gain[:, None], *_ALBEDO_RANGE)


def boundaries(states: States) -> NDArray[np.float64]:
    """Heights of the layer boundaries, top down, km (rows, 6)."""
    ground = states.surface_height
    has_ice = np.isin(states.cloud_type, (ICE, ICE_OVER_WATER))
    has_water = ~np.isin(states.cloud_type, (CLEAR, ICE))
    clear_top = np.where(has_water, states.water_top, ground + _CLEAR_KM)
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
    scatterers = _scatterers(states, optics, cos_theta, accuracy.moments)
    extinction, scattering = air.copy(), air.copy()
    chi = air[..., None] * rayleigh_moments(accuracy.moments)
    phase = air * rayleigh(cos_theta)[:, None, None]
    rows = np.arange(mu0.size)
    for s in scatterers:
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


def gas_depths(states: States, optics: Optics, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absorption optical depth of gases for every solution and layer, (rows, 28, layers)."""
    airmass = 1 / np.cos(np.deg2rad(states.sun_zenith)) + 1 / np.cos(np.deg2rad(states.view_zenith))
    at = (states.platform[:, None], states.profile[:, None])
    level = np.interp(heights, LEVELS, np.arange(LEVELS.size))
    i = np.minimum(level.astype(np.intp), LEVELS.size - 2)
    f = (level - i)[..., None]

    def band_gas(table: NDArray[np.float64], path: NDArray[np.float64]) -> NDArray[np.float64]:
        index = np.interp(np.log(path), np.log(PATHS), np.arange(PATHS.size))
        j = np.minimum(index.astype(np.intp), PATHS.size - 2)[:, None]
        g = (index[:, None] - j)[..., None]
        upper = (1 - g) * table[*at, i, j] + g * table[*at, i, j + 1]
        lower = (1 - g) * table[*at, i + 1, j] + g * table[*at, i + 1, j + 1]
        return np.asarray(((1 - f) * upper + f * lower) / airmass[:, None, None])

    def k_gas(table: NDArray[np.float64]) -> NDArray[np.float64]:
        vertical = (1 - f) * table[*at, i] + f * table[*at, i + 1]
        return np.asarray(states.water_scale[:, None, None] * vertical)

    one_term = band_gas(optics.water_gas, airmass * states.water_scale)
    one_term += band_gas(optics.fixed_gas, airmass)
    cumulative = one_term[:, :, TERM_BAND]
    for band, table in zip(K_BANDS, (optics.k_b09, optics.k_b10), strict=True):
        cumulative[:, :, BAND_IDS.index(band) == TERM_BAND] += k_gas(table)
    cumulative[:, 0] = 0.0
    depths = np.maximum(np.diff(cumulative, axis=1), 0.0)
    ozone = optics.ozone[states.platform] * (states.ozone / 1000)[:, None]
    depths[:, 0] += ozone[:, TERM_BAND]
    return np.ascontiguousarray(np.swapaxes(depths, 1, 2))


def _scatterers(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> tuple[_Scatterer, ...]:
    return (
        _droplets(states, optics, cos_theta, moments),
        _ice(states, optics, cos_theta, moments),
        _aerosol(states, optics, cos_theta, moments),
    )


def _droplets(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> _Scatterer:
    index = np.interp(states.effective_radius, EFFECTIVE_RADII, np.arange(EFFECTIVE_RADII.size))
    i = np.minimum(index.astype(np.intp), EFFECTIVE_RADII.size - 2)[:, None]
    f = index[:, None] - i
    angle = np.rad2deg(np.arccos(cos_theta)) / (ANGLES_DEG[1] - ANGLES_DEG[0])
    a = np.minimum(angle.astype(np.intp), ANGLES_DEG.size - 2)[:, None]
    g = angle[:, None] - a
    at = (states.platform[:, None], np.arange(len(BAND_IDS)))

    def along_radius(table: NDArray[np.float64]) -> NDArray[np.float64]:
        share = f.reshape(f.shape + (1,) * (table.ndim - 3))
        return np.asarray((1 - share) * table[*at, i] + share * table[*at, i + 1])

    def phase_at(radius: NDArray[np.intp]) -> NDArray[np.float64]:
        table = optics.drop_phase
        return np.asarray((1 - g) * table[*at, radius, a] + g * table[*at, radius, a + 1])

    extinction = states.water_cot[:, None] * along_radius(optics.drop_extinction)
    return _Scatterer(
        np.full(cos_theta.size, WATER_LAYER),
        extinction,
        extinction * along_radius(optics.drop_albedo),
        along_radius(optics.drop_moments[..., :moments]),
        (1 - f) * phase_at(i) + f * phase_at(i + 1),
    )


def _ice(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> _Scatterer:
    absorption = optics.ice_absorption[states.platform]
    absorbed = ice.co_albedo(absorption, states.ice_diameter[:, None])
    asymmetry = states.ice_asymmetry[:, None] + 0.5 * absorbed
    extinction = np.broadcast_to(states.ice_cot[:, None], absorbed.shape)
    return _Scatterer(
        np.where(states.cloud_type == MIXED_PHASE, WATER_LAYER, ICE_LAYER),
        extinction,
        extinction * (1 - absorbed),
        ice.moments(asymmetry, moments),
        ice.phase_function(asymmetry, cos_theta[:, None]),
    )


def _aerosol(
    states: States, optics: Optics, cos_theta: NDArray[np.float64], moments: int
) -> _Scatterer:
    relative = optics.wavelength[states.platform] / _AEROSOL_UM
    extinction = states.aerosol_depth[:, None] * relative ** -states.angstrom[:, None]
    g = states.aerosol_asymmetry[:, None]
    return _Scatterer(
        np.full(cos_theta.size, AEROSOL_LAYER),
        extinction,
        extinction * states.aerosol_albedo[:, None],
        np.broadcast_to(g[..., None] ** np.arange(moments), (*extinction.shape, moments)),
        np.broadcast_to(henyey_greenstein(g, cos_theta[:, None]), extinction.shape),
    )
