"""Reflectance of one plane-parallel column: compiled array code that knows no physics tables.

Adding-doubling on N double-Gauss nodes (:mod:`spark_cot.simulate.transfer.doubling`) with the
delta-M truncation of Wiscombe (1977) and the single-scattering (TMS) correction of Nakajima &
Tanaka (1988). The reflectance comes out at the exact sun and view angles.

Numba compiles the loops because it was fastest: a doubling step of six nodes took .7 us, as
batched numpy 1.6 us and as batched torch 3.3 us (tests/benchmarks/bench_simulate.py); batched
products of 7 x 8 matrices are mostly overhead, and their last bit may depend on the size of the
batch. Here each column is solved alone, so no result depends on its neighbours. The compiled code
is cached on disk; the first call of a new installation compiles for about 30 s.
"""

from typing import Final

import numpy as np

from spark_cot.simulate.numerics import jit
from spark_cot.simulate.transfer.doubling import Angles, homogeneous_layer, legendre, stack

#: Leading products are unrolled over this many nodes, so a quadrature has at least as many.
MIN_NODES: Final = 6

#: Multiple scattering of a layer with less truncated scattering optical depth is left out.
THIN_SCATTERING: Final = 1.5e-3

#: Absorption optical depth, both ways, below which nothing contributes (exp(-14) = 8e-7).
OPAQUE_ABSORPTION: Final = 14.0

_LANES: Final = 8


@jit
def _mode(m, tau, omega, chi, albedo, thin, angles, work):  # type: ignore[no-untyped-def]
    """Fourier mode m of the reflection function of the whole column at the two exact angles."""
    row_mu, col_mu = angles.row_mu, angles.col_mu
    r, t, below, above = work[5], work[6], work[7], work[8]
    for i in range(row_mu.size):
        for j in range(col_mu.size):
            below[i, j] = (m == 0) * albedo * angles.row_scale[i] * angles.col_scale[j]
    dark = m > 0 or albedo == 0.0
    for layer in range(tau.size - 1, -1, -1):
        if tau[layer] <= 0.0:
            continue
        if not _scatters(m, tau[layer], omega[layer], chi[layer]):
            for i in range(row_mu.size):
                for j in range(col_mu.size):
                    below[i, j] *= np.exp(-tau[layer] / row_mu[i] - tau[layer] / col_mu[j])
            continue
        beams = homogeneous_layer(m, tau[layer], omega[layer], chi[layer], thin, angles, work, r, t)
        if dark:
            below[:] = r
            dark = False
        else:
            stack(angles.nodes, r, t, beams[0], beams[1], below, work, work[3], above)
            below[:] = above
    return below[angles.nodes, angles.nodes]


@jit
def _scatters(m, tau, omega, chi):  # type: ignore[no-untyped-def]
    """Whether a layer's multiple scattering is worth computing in Fourier mode m."""
    if omega * tau < THIN_SCATTERING:
        return False
    return np.any(chi[m:] != 0.0)


@jit
def _once(tau, scattering, mu0, muv):  # type: ignore[no-untyped-def]
    """Once-scattered reflectance of a column; ``scattering`` is omega x P at the angle."""
    airmass = 1 / mu0 + 1 / muv
    above = 0.0
    total = 0.0
    for layer in range(tau.size):
        gone = -np.expm1(-tau[layer] * airmass)
        total += scattering[layer] * gone * np.exp(-above * airmass)
        above += tau[layer]
    return total / (4 * (mu0 + muv))


@jit
def _counted_once(m, tau, omega, chi, angles):  # type: ignore[no-untyped-def]
    """Omega x P of every layer, in mode m, as far as :func:`_mode` holds its single scattering."""
    row, col = angles.rows[:, angles.nodes], angles.cols[:, angles.nodes]
    counted = np.zeros(tau.size)
    for layer in range(tau.size):
        if _scatters(m, tau[layer], omega[layer], chi[layer]):
            for order in range(m, chi.shape[1]):
                sign = 1.0 if (order - m) % 2 == 0 else -1.0
                counted[layer] += (
                    sign * (2 * order + 1) * chi[layer, order] * row[order] * col[order]
                )
            counted[layer] *= omega[layer]
    return counted


@jit
def _truncate(tau, omega, chi, phase, moments):  # type: ignore[no-untyped-def]
    """Delta-M: depth, albedo and moments without the forward peak, and omega x P for TMS."""
    scaled_tau, scaled_omega, exact = np.empty(tau.size), np.empty(tau.size), np.empty(tau.size)
    scaled_chi = np.empty((tau.size, moments))
    for layer in range(tau.size):
        f = chi[layer, moments]
        untruncated = 1 - omega[layer] * f
        scaled_tau[layer] = tau[layer] * untruncated
        scaled_omega[layer] = omega[layer] * (1 - f) / untruncated
        exact[layer] = omega[layer] * phase[layer] / untruncated
        for order in range(moments):
            scaled_chi[layer, order] = (chi[layer, order] - f) / (1 - f)
    return scaled_tau, scaled_omega, scaled_chi, exact


@jit
def _axes(nodes, weights, mu0, muv):  # type: ignore[no-untyped-def]
    """Cosines and scales of matrix rows (nodes, view) and columns (nodes, sun, padding)."""
    n = nodes.size
    width = (n // _LANES + 1) * _LANES
    row_mu, col_mu = np.ones(n + 1), np.ones(width)
    row_mu[:n], row_mu[n] = nodes, muv
    col_mu[:n], col_mu[n] = nodes, mu0
    row_scale, col_scale = np.ones(n + 1), np.zeros(width)
    row_scale[:n] = np.sqrt(2 * nodes * weights)
    col_scale[: n + 1] = row_scale
    return row_mu, col_mu, row_scale, col_scale


@jit
def _visible_layers(tau, omega, mu0, muv):  # type: ignore[no-untyped-def]
    """Number of layers from the top that light can return from, and whether the ground can."""
    airmass = 1 / mu0 + 1 / muv
    absorbed = 0.0
    for layer in range(tau.size):
        absorbed += (1 - omega[layer]) * tau[layer] * airmass
        if absorbed > OPAQUE_ABSORPTION:
            return layer + 1, False
    return tau.size, True


@jit
def column_reflectance(  # type: ignore[no-untyped-def]
    tau, omega, chi, phase, albedo, mu0, muv, dphi, nodes, weights, thin, modes, tolerance
):
    """Reflectance ``pi L / (mu0 F)`` of a column of homogeneous layers over a Lambert surface.

    Parameters
    ----------
    tau, omega : float64 (layers,)
        Extinction optical depth and single-scattering albedo, top layer first.
    chi : float64 (layers, >= 2 N + 1)
        Legendre moments of the phase function, ``chi_0 = 1``.
    phase : float64 (layers,)
        The full phase function at the scattering angle, mean 1 over the sphere.
    albedo : float
        Of the surface.
    mu0, muv : float
        Cosines of the solar and view zenith angles.
    dphi : float
        Relative azimuth in radians, 0 in forward scattering.
    nodes, weights : float64 (N,)
        :func:`~spark_cot.simulate.numerics.gauss_legendre`.
    thin : float
        Largest optical depth of the starting layer of the doubling.
    modes : int
        Most Fourier modes to sum.
    tolerance : float
        Stop after a mode m > 0 that adds less than this share.
    """
    kept, ground = _visible_layers(tau, omega, mu0, muv)
    moments = 2 * nodes.size
    scaled_tau, scaled_omega, scaled_chi, exact = _truncate(
        tau[:kept], omega[:kept], chi[:kept], phase[:kept], moments
    )
    row_mu, col_mu, row_scale, col_scale = _axes(nodes, weights, mu0, muv)
    work = np.empty((9, row_mu.size, col_mu.size))
    rho = _once(scaled_tau, exact, mu0, muv)
    for m in range(modes):
        rows = legendre(m, row_mu, row_scale, moments)
        cols = legendre(m, col_mu, col_scale, moments)
        angles = Angles(nodes.size, row_mu, col_mu, row_scale, col_scale, rows, cols)
        once = _counted_once(m, scaled_tau, scaled_omega, scaled_chi, angles)
        excess = _mode(m, scaled_tau, scaled_omega, scaled_chi, albedo * ground, thin, angles, work)
        excess -= _once(scaled_tau, once, mu0, muv)
        rho += (2 - (m == 0)) * np.cos(m * dphi) * excess
        if m > 0 and abs(excess) < tolerance * rho:
            break
    return rho


@jit
def solve_rows(  # type: ignore[no-untyped-def]
    extinction,
    scattering,
    gas,
    chi,
    phase,
    albedo,
    mu0,
    muv,
    azimuth,
    term_band,
    term_weight,
    nodes,
    weights,
    thin,
    modes,
    tolerance,
):
    """Band reflectances of many rows, each the weighted sum of its monochromatic solutions.

    Parameters
    ----------
    extinction, scattering : float64 (rows, bands, layers)
        Optical depths of air, cloud and aerosol, top layer first.
    gas : float64 (rows, terms, layers)
        Absorption optical depth of gases in every solution.
    chi : float64 (rows, bands, layers, 2 N + 1)
    phase : float64 (rows, bands, layers)
        As in :func:`column_reflectance`.
    albedo : float64 (rows, bands)
    mu0, muv, azimuth : float64 (rows,)
    term_band : int (terms,)
        Band of each solution.
    term_weight : float64 (terms,)
        Its weight in the band.
    nodes, weights, thin, modes, tolerance
        As in :func:`column_reflectance`.

    Returns
    -------
    float64 (rows, bands)
    """
    rho = np.zeros(albedo.shape)
    for row in range(mu0.size):
        for term in range(term_band.size):
            band = term_band[term]
            tau = extinction[row, band] + gas[row, term]
            omega = np.zeros(tau.size)
            for layer in range(tau.size):
                if tau[layer] > 0.0:
                    omega[layer] = min(scattering[row, band, layer] / tau[layer], 1.0)
            rho[row, band] += term_weight[term] * column_reflectance(
                tau,
                omega,
                chi[row, band],
                phase[row, band],
                albedo[row, band],
                mu0[row],
                muv[row],
                azimuth[row],
                nodes,
                weights,
                thin,
                modes,
                tolerance,
            )
    return rho
