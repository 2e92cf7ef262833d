"""Compiled loops, quadrature and interpolation, as all of the simulator uses them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

#: Fused multiply-add is the only relaxation of IEEE arithmetic.
_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "fastmath": {"contract"}}


class _MendedCache(FunctionCache):
    """numba's cache of a function; one that cannot be read or written costs a compilation."""

    def load_overload(self, *signature: Any) -> Any:
        """The compiled function, None where there is none."""
        try:
            return super().load_overload(*signature)  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever unpickling a damaged file raises
            _log.warning("compiled code in %s is damaged and made anew: %r", self.cache_path, error)
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, *overload: Any) -> None:
        """Keep a compiled function."""
        try:
            super().save_overload(*overload)  # type: ignore[no-untyped-call]
        except OSError as error:
            _log.warning("compiled code cannot be kept in %s: %s", self.cache_path, error)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call and keep the result beside the source or in the user's cache.

    Where neither folder can be written, every process compiles for itself, and what is damaged
    there is compiled anew; ``NUMBA_CACHE_DIR`` names another folder. The cache watches the file of
    the outermost function only: after a change of a function that others call, touch the files of
    its callers.
    """
    try:
        compiled = njit(cache=True, **_OPTIONS)(function)
        compiled._cache = _MendedCache(function)  # type: ignore[no-untyped-call]
    except RuntimeError:
        compiled = njit(**_OPTIONS)(function)
    return compiled  # type: ignore[no-any-return]


def gauss_legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes in ascending order and weights, sum 1: exact for polynomials to degree 2 count - 1."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


def locate(
    values: NDArray[np.float64], grid: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the grid point below each value and the share of the step above it.

    Values outside the (ascending) grid count as its nearest end, so that ``(1 - share) *
    table[index] + share * table[index + 1]`` is always an interpolation.
    """
    position = np.interp(values, grid, np.arange(grid.size))
    index = np.minimum(position.astype(np.intp), grid.size - 2)
    return index, position - index
