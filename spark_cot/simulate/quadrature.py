"""Gauss-Legendre quadrature on (0, 1)."""

import numpy as np
from numpy.typing import NDArray


def gauss_legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes in ascending order and weights, sum 1: exact for polynomials to degree 2 count - 1."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2
