"""Gas absorption of every solution and layer: tables looked up at the states of the rows.

Eleven bands take one solution each, B09 seven and B10 ten: the k-terms of water vapour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.gas.kdistribution import TERMS, term_weights
from spark_cot.simulate.gas.transmittance import K_BANDS, LEVELS, PATHS
from spark_cot.simulate.numerics import locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_cot.simulate.optics import Optics
    from spark_cot.simulate.world.states import States

#: Band index of every solution of a row, and its weight in the band.
TERM_BAND: Final = np.concatenate(
    [np.full(TERMS.get(band, 1), b) for b, band in enumerate(BAND_IDS)]
)
TERM_WEIGHT: Final = np.concatenate(
    [term_weights(TERMS[band])[1] if band in TERMS else np.ones(1) for band in BAND_IDS]
)


def slant_factor(states: States) -> NDArray[np.float64]:
    """Length of the way down and up per vertical length, (rows,)."""
    sun, view = np.deg2rad(states.sun_zenith), np.deg2rad(states.view_zenith)
    return np.asarray(1 / np.cos(sun) + 1 / np.cos(view))


def gas_depths(states: States, optics: Optics, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absorption optical depth of gases for every solution and layer, (rows, 28, layers).

    Parameters
    ----------
    states : States
    optics : Optics
    heights : float64 (rows, layers + 1)
        Boundaries of the layers, top down, km. All ozone lies in the first layer.
    """
    slant = slant_factor(states)
    cumulative = _band_gas(states, optics.water_gas, heights, slant * states.water_scale)
    cumulative += _band_gas(states, optics.fixed_gas, heights, slant)
    cumulative = (cumulative / slant[:, None, None])[:, :, TERM_BAND]
    for band, table in zip(K_BANDS, (optics.k_b09, optics.k_b10), strict=True):
        terms = BAND_IDS.index(band) == TERM_BAND
        cumulative[:, :, terms] += _k_gas(states, table, heights)
    cumulative[:, 0] = 0.0
    depths = np.maximum(np.diff(cumulative, axis=1), 0.0)
    ozone = optics.ozone[states.platform] * (states.ozone / 1000)[:, None]
    depths[:, 0] += ozone[:, TERM_BAND]
    return np.ascontiguousarray(np.swapaxes(depths, 1, 2))


def _band_gas(
    states: States,
    table: NDArray[np.float64],
    heights: NDArray[np.float64],
    path: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Absorbance on ``path`` above each height, linear in height and log path (rows, z, 13)."""
    i, f = locate(heights, LEVELS)
    j, g = locate(np.log(path)[:, None], np.log(PATHS))
    at, f, g = (states.platform[:, None], states.profile[:, None]), f[..., None], g[..., None]
    upper = (1 - g) * table[*at, i, j] + g * table[*at, i, j + 1]
    lower = (1 - g) * table[*at, i + 1, j] + g * table[*at, i + 1, j + 1]
    return np.asarray((1 - f) * upper + f * lower)


def _k_gas(
    states: States, table: NDArray[np.float64], heights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Optical depth of every k-term above each height, (rows, z, terms)."""
    i, f = locate(heights, LEVELS)
    at, f = (states.platform[:, None], states.profile[:, None]), f[..., None]
    vertical = (1 - f) * table[*at, i] + f * table[*at, i + 1]
    return np.asarray(states.water_scale[:, None, None] * vertical)
