"""Published solutions of radiative transfer that the solver is held against."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spark_cot.simulate.numerics import gauss_legendre

#: Conservative scattering for solvers that divide by ``1 - omega``.
CONSERVATIVE: Final = 1 - 1e-12


class DisortCase(NamedTuple):
    """Isotropic scattering over a black surface, sun at mu0 = .1; reflectance at mu .1, .5, 1."""

    tau: float
    omega: float
    reflectance: tuple[float, float, float]


#: DISORT test problem 1, cases a, b, d, e, 16 streams (Stamnes et al. 1988).
DISORT_TEST_1: Final = (
    DisortCase(0.03125, 0.2, (1.17771e-1, 2.64170e-2, 1.34041e-2)),
    DisortCase(0.03125, CONSERVATIVE, (6.22884e-1, 1.39763e-1, 7.09192e-2)),
    DisortCase(32.0, 0.2, (2.62972e-1, 9.06967e-2, 5.02853e-2)),
    DisortCase(32.0, CONSERVATIVE, (1.93321, 1.02732, 7.97199e-1)),
)
DISORT_TEST_1_SUN: Final = 0.1
DISORT_TEST_1_VIEWS: Final = (0.1, 0.5, 1.0)

#: Conservative isotropic slab under diffuse light: optical depth and the share let through
#: (Heaslet & Warming 1965).
SLAB_TRANSMITTANCE: Final = {
    0.1: 0.91570,
    0.5: 0.70417,
    1.0: 0.55341,
    2.0: 0.39006,
    3.0: 0.30164,
    5.0: 0.20766,
    10.0: 0.11675,
}

_H_POINTS: Final = 200
_H_ITERATIONS: Final = 2000


def h_function(omega: float, mu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chandrasekhar's H-function of isotropic scattering (Chandrasekhar 1960, chapter V).

    Iterates ``1/H = sqrt(1 - omega) + omega/2 int mu' H(mu') / (mu + mu') dmu'``.
    """
    x, w = gauss_legendre(_H_POINTS)
    root, h = np.sqrt(1 - omega), _h_at_nodes(omega)
    return np.asarray(1 / (root + omega / 2 * (w * x * h / (mu[:, None] + x)).sum(axis=1)))


@cache
def _h_at_nodes(omega: float) -> NDArray[np.float64]:
    x, w = gauss_legendre(_H_POINTS)
    root, h = np.sqrt(1 - omega), np.ones(_H_POINTS)
    for _ in range(_H_ITERATIONS):
        h = 1 / (root + omega / 2 * (w * x * h / (x[:, None] + x)).sum(axis=1))
    return h


def semi_infinite_reflectance(omega: float, mu: float, mu0: float) -> float:
    """Reflectance of a semi-infinite isotropic layer, ``omega/4 H(mu) H(mu0) / (mu + mu0)``."""
    h, h0 = h_function(omega, np.array([mu, mu0]))
    return float(omega / 4 * h * h0 / (mu + mu0))
