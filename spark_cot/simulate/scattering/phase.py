"""Phase functions: Legendre moments and values, mean 1 over the sphere.

``P(Theta) = sum_l (2l + 1) chi_l P_l(cos Theta)`` with ``chi_0 = 1``; chi_1 is the asymmetry g.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]

#: Second moment of Rayleigh scattering by air, depolarisation .0279: ``.1 (1 - d)/(1 + d/2)``.
RAYLEIGH_CHI2: Final = 0.0959


def henyey_greenstein(g: _Floats, cos_theta: _Floats) -> _Floats:
    """Henyey-Greenstein phase function (moments ``g**l``); arguments broadcast."""
    return np.asarray((1 - g**2) / (1 + g**2 - 2 * g * cos_theta) ** 1.5)


def rayleigh(cos_theta: _Floats) -> _Floats:
    """Rayleigh phase function of air with molecular depolarisation."""
    return np.asarray(1 + 5 * RAYLEIGH_CHI2 * (1.5 * cos_theta**2 - 0.5))


def rayleigh_moments(count: int) -> _Floats:
    """Moments of :func:`rayleigh`, (count,)."""
    chi = np.zeros(count)
    chi[0], chi[2] = 1, RAYLEIGH_CHI2
    return chi


@dataclass(frozen=True, slots=True)
class PhaseFunction:
    """A phase function for :func:`~spark_cot.simulate.transfer.solver.reflectance`.

    Attributes
    ----------
    moments : callable
        ``moments(count)`` gives chi_l for l = 0 .. count - 1.
    value : callable
        ``value(cos_theta)`` gives P, arrays in and out; the same function as the moments.
    """

    moments: Callable[[int], _Floats]
    value: Callable[[_Floats], _Floats]

    @classmethod
    def isotropic(cls) -> PhaseFunction:
        """Equal scattering in all directions."""
        return cls.henyey_greenstein(0.0)

    @classmethod
    def rayleigh(cls) -> PhaseFunction:
        """Scattering by air."""
        return cls(rayleigh_moments, rayleigh)

    @classmethod
    def henyey_greenstein(cls, *g: float, shares: tuple[float, ...] = (1.0,)) -> PhaseFunction:
        """Weighted sum of Henyey-Greenstein functions; ``shares`` add up to 1."""

        def moments(count: int) -> _Floats:
            return np.asarray(
                sum(s * x ** np.arange(count) for s, x in zip(shares, g, strict=True))
            )

        def value(cos_theta: _Floats) -> _Floats:
            terms = zip(shares, g, strict=True)
            return np.asarray(sum(s * henyey_greenstein(np.array(x), cos_theta) for s, x in terms))

        return cls(moments, value)

    @classmethod
    def tabulated(cls, chi: _Floats, degrees: _Floats, values: _Floats) -> PhaseFunction:
        """Phase function with known moments and a table of values, linear in the angle."""

        def moments(count: int) -> _Floats:
            return np.pad(chi, (0, max(0, count - chi.size)))[:count]

        def value(cos_theta: _Floats) -> _Floats:
            return np.interp(np.rad2deg(np.arccos(np.clip(cos_theta, -1, 1))), degrees, values)

        return cls(moments, value)
