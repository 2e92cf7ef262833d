"""Scattering of light by homogeneous spheres (Mie theory) after Bohren & Huffman (1983), chapter 4.

Time convention ``exp(+i omega t)``: the refractive index is ``n - i k`` with k >= 0. Loops are
compiled and deterministic: no sum depends on the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spark_cot.simulate.numerics import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@jit
def coefficients(x, m):  # type: ignore[no-untyped-def]
    """Mie coefficients a_n, b_n, n = 1, 2, ..., of a sphere.

    Parameters
    ----------
    x : float
        Size parameter 2 pi r / wavelength.
    m : complex
        Refractive index relative to air, ``n - i k``.

    Returns
    -------
    tuple of complex128 (terms,)
    """
    terms = int(x + 4.05 * x ** (1 / 3) + 2)
    # Downward recurrence forgets its wrong start only well beyond |m x|, by some |m x|^(1/3).
    beyond = max(terms, abs(m * x))
    start = int(beyond + 8 * beyond ** (1 / 3) + 16)
    log_derivative = np.zeros(start + 1, np.complex128)
    for n in range(start, 0, -1):
        ratio = n / (m * x)
        log_derivative[n - 1] = ratio - 1 / (log_derivative[n] + ratio)
    psi_before, psi = np.cos(x), np.sin(x)
    chi_before, chi = -np.sin(x), np.cos(x)
    a = np.empty(terms, np.complex128)
    b = np.empty(terms, np.complex128)
    for n in range(1, terms + 1):
        psi_before, psi = psi, (2 * n - 1) * psi / x - psi_before
        chi_before, chi = chi, (2 * n - 1) * chi / x - chi_before
        xi, xi_before = complex(psi, chi), complex(psi_before, chi_before)
        electric = log_derivative[n] / m + n / x
        magnetic = log_derivative[n] * m + n / x
        a[n - 1] = (electric * psi - psi_before) / (electric * xi - xi_before)
        b[n - 1] = (magnetic * psi - psi_before) / (magnetic * xi - xi_before)
    return a, b


@jit
def _intensity(a, b, mu, forward, backward):  # type: ignore[no-untyped-def]
    """Add ``|S1|^2 + |S2|^2`` at +mu and -mu; the two share the angular functions by parity."""
    n_mu = mu.size
    pi_before, pi = np.zeros(n_mu), np.ones(n_mu)
    sums = np.zeros((8, n_mu))
    for n in range(1, a.size + 1):
        weight = (2 * n + 1) / (n * (n + 1.0))
        plus, minus = weight * (a[n - 1] + b[n - 1]), weight * (a[n - 1] - b[n - 1])
        sign = 1.0 if n % 2 == 1 else -1.0
        for i in range(n_mu):
            tau = n * mu[i] * pi[i] - (n + 1) * pi_before[i]
            p, q = pi[i] + tau, pi[i] - tau
            sums[0, i] += plus.real * p
            sums[1, i] += plus.imag * p
            sums[2, i] += minus.real * q
            sums[3, i] += minus.imag * q
            sums[4, i] += sign * plus.real * q
            sums[5, i] += sign * plus.imag * q
            sums[6, i] += sign * minus.real * p
            sums[7, i] += sign * minus.imag * p
            following = ((2 * n + 1) * mu[i] * pi[i] - (n + 1) * pi_before[i]) / n
            pi_before[i] = pi[i]
            pi[i] = following
    for i in range(n_mu):
        forward[i] = 0.0
        backward[i] = 0.0
        for part in range(4):
            forward[i] += 0.5 * sums[part, i] ** 2
            backward[i] += 0.5 * sums[4 + part, i] ** 2


@jit
def efficiencies(size, index):  # type: ignore[no-untyped-def]
    """Extinction and scattering efficiency, cross section over geometric cross section.

    Parameters
    ----------
    size : float64 (sizes,)
        Size parameters.
    index : complex
        Refractive index ``n - i k``.

    Returns
    -------
    extinction, scattering : float64 (sizes,)
    """
    extinction, scattering = np.zeros(size.size), np.zeros(size.size)
    for i in range(size.size):
        a, b = coefficients(size[i], index)
        for n in range(1, a.size + 1):
            extinction[i] += (2 * n + 1) * (a[n - 1] + b[n - 1]).real
            scattering[i] += (2 * n + 1) * (abs(a[n - 1]) ** 2 + abs(b[n - 1]) ** 2)
    return extinction * 2 / size**2, scattering * 2 / size**2


@jit
def intensity(size, index, mu):  # type: ignore[no-untyped-def]
    """Scattered intensity ``|S1|^2 + |S2|^2`` at the cosines mu in [0, 1] and at -mu.

    Returns
    -------
    forward, backward : float64 (sizes, angles)
    """
    forward, backward = np.empty((size.size, mu.size)), np.empty((size.size, mu.size))
    for i in range(size.size):
        a, b = coefficients(size[i], index)
        _intensity(a, b, mu, forward[i], backward[i])
    return forward, backward


def gamma_weights(
    radius: NDArray[np.float64], effective_radius: float, variance: float
) -> NDArray[np.float64]:
    """Relative number of droplets at log-spaced radii in a gamma distribution, sum 1.

    ``n(r) ~ r^((1-3v)/v) exp(-r / (r_e v))`` (Hansen & Travis 1974, eq. 2.56), radii in um.
    """
    log_n = (1 - 3 * variance) / variance * np.log(radius) - radius / (effective_radius * variance)
    number = np.exp(log_n - log_n.max()) * radius
    return np.asarray(number / number.sum())
