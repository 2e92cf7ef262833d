"""Compiled loops, quadrature and interpolation, as all of the simulator uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Fused multiply-add is the only relaxation of IEEE arithmetic.
_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "fastmath": {"contract"}}


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call and keep the result beside the source or in the user's cache.

    Where neither folder can be written, every process compiles for itself; ``NUMBA_CACHE_DIR``
    names another folder. The cache watches the file of the outermost function only: after a
    change of a function that others call, touch the files of its callers.
    """
    try:
        compiled = njit(cache=True, **_OPTIONS)(function)
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
