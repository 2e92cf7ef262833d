"""Correlated-k terms of water vapour in B09 and B10, from the band-model coefficients.

In these bands the height of a cloud decides how much light is absorbed above and inside it, which
one effective optical depth per band cannot say. The k-distribution of a Malkmus band is an inverse
Gaussian, so its cumulative distribution is known in closed form; intervals are mixed with the
band's weights and the mixture is inverted at quadrature points that crowd in the transparent part.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import log_ndtr, ndtr

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.bands import PLATFORMS, STANDARD_PRESSURE
from spark_cot.simulate.gas.atmosphere import PROFILES, Atmosphere, atmospheres
from spark_cot.simulate.gas.transmittance import LEVELS, band_model, interval_weights
from spark_cot.simulate.numerics import gauss_legendre

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: k-terms of each band.
TERMS: Final = {"B09": 7, "B10": 10}

#: Factor on the line width: the coefficients were fitted with Goody's law, not with Malkmus's.
_WIDTH_FACTOR: Final = {"B09": 1.15, "B10": 1.0}
_PRESSURES: Final = np.geomspace(2, 1060, 24)
_K_GRID: Final = np.geomspace(1e-6, 1e7, 3000)


def term_weights(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cumulative probabilities and weights: Gauss nodes squared, so that small k are resolved."""
    x, w = gauss_legendre(count)
    return x**2, 2 * x * w / (2 * x * w).sum()


def inverse_gaussian_cdf(
    k: NDArray[np.float64], mean: NDArray[np.float64], shape: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cumulative k-distribution of a Malkmus band with mean absorption and shape ``m b / 2``."""
    root = np.sqrt(shape / k)
    tail = np.exp(2 * shape / mean + log_ndtr(-root * (k / mean + 1)))
    return np.asarray(ndtr(root * (k / mean - 1)) + tail)


@cache
def absorption_coefficients(band: str) -> NDArray[np.float64]:
    """Absorption of every term in cm2 g-1 at 24 pressures, (platform, pressure, term)."""
    model = band_model("h2o")
    weights = interval_weights("h2o")[:, BAND_IDS.index(band)]
    used = weights.any(axis=0)
    weights = weights[:, used]
    standard = atmospheres()[PROFILES.index("us_standard")]
    log_p = np.log(standard.pressure[::-1])
    temperature = np.interp(np.log(_PRESSURES), log_p, standard.temperature[::-1])
    phi, psi = model.phi_psi(temperature)
    mean = (model.strength * phi)[:, used]
    pressure = _PRESSURES[:, None] / STANDARD_PRESSURE
    broad = _WIDTH_FACTOR[band] * (model.width * psi / phi)[:, used] * pressure
    at, _ = term_weights(TERMS[band])
    result = np.empty((len(PLATFORMS), _PRESSURES.size, at.size))
    for level in range(_PRESSURES.size):
        m, shape = mean[level][:, None], (mean[level] * broad[level] / 2)[:, None]
        cdf = weights @ inverse_gaussian_cdf(_K_GRID, m, shape)
        cdf += 1 - weights.sum(axis=1, keepdims=True)
        for platform in range(len(PLATFORMS)):
            log_k = np.interp(at, cdf[platform], np.log(_K_GRID))
            result[platform, level] = np.exp(log_k)
    return result


@cache
def k_table(band: str) -> NDArray[np.float64]:
    """Vertical optical depth of each term from space, (platform, profile, level, term)."""
    log_k = np.log(absorption_coefficients(band))
    table = []
    for atmosphere in atmospheres():
        log_p = np.log(atmosphere.layer_pressure)
        u = atmosphere.layer_amount("h2o")[:, None]
        table.append([_cumulative(atmosphere, log_p, u, terms) for terms in log_k])
    return np.asarray(np.swapaxes(np.array(table), 0, 1))


def _cumulative(
    atmosphere: Atmosphere,
    log_p: NDArray[np.float64],
    u: NDArray[np.float64],
    terms: NDArray[np.float64],
) -> NDArray[np.float64]:
    k = np.stack([np.interp(log_p, np.log(_PRESSURES), term) for term in terms.T], axis=-1)
    return atmosphere.above(np.exp(k) * u, LEVELS)
