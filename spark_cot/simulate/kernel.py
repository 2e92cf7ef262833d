"""Adding-doubling for one plane-parallel column: compiled array code that knows no physics tables.

The method is the matrix-operator one of Grant & Hunt (1969) and de Haan, Bosma & Hovenier (1987)
on N double-Gauss nodes, with the delta-M truncation of Wiscombe (1977) and the single-scattering
(TMS) correction of Nakajima & Tanaka (1988). Three choices are worth knowing:

Exact angles
    Matrices have one extra row (the view angle) and one extra column (the sun angle) of zero
    quadrature weight. They are carried through every operation, so the reflectance comes out at
    the exact pair of angles and nothing is interpolated.
Weighted operators
    An element holds ``s_i X(mu_i, mu_j) s_j`` with ``s = sqrt(2 mu w)`` at the nodes and 1 in the
    extra row and column. Operator products are then plain matrix products over the nodes, and
    reciprocity is the symmetry of the matrix. Columns are padded with zeros to whole vectors.
Energy
    Doubling multiplies what the thin starting layer loses, so that layer is scaled symmetrically
    (Sinkhorn 1964) to lose exactly what it absorbs, up to second order in its thickness.

Numba compiles these loops because they are fastest: a 6-node row costs about a third of the same
algebra as batched torch or numpy products, whose matrices are far too small for BLAS. The
compiled code is cached on disk; the first call of a new installation compiles for 20 to 30 s.
Everything is float64; ``contract`` (fused multiply-add) is the only relaxation of IEEE rules.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Leading products are unrolled over this many nodes, so a quadrature has at least as many.
MIN_NODES: Final = 6

#: Multiple scattering of a layer with less truncated scattering optical depth is left out.
THIN_SCATTERING: Final = 1.5e-3

#: Absorption optical depth, both ways, below which nothing contributes (exp(-14) = 8e-7).
OPAQUE_ABSORPTION: Final = 14.0

_LANES: Final = 8
_SAME_ANGLE: Final = 1e-6
_SINKHORN_STEPS: Final = 4

_jit = njit(cache=True, error_model="numpy", fastmath={"contract"})


class _Angles(NamedTuple):
    """Cosines, scales and scaled Legendre functions of matrix rows and (padded) columns."""

    nodes: int
    row_mu: NDArray[np.float64]
    col_mu: NDArray[np.float64]
    row_scale: NDArray[np.float64]
    col_scale: NDArray[np.float64]
    rows: NDArray[np.float64]
    cols: NDArray[np.float64]


def quadrature(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Double-Gauss nodes and weights on (0, 1): Gauss-Legendre for one hemisphere."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


@_jit
def _legendre(m, mu, scale, count):  # type: ignore[no-untyped-def]
    """Scaled normalised Legendre functions ``s sqrt((l-m)!/(l+m)!) P_l^m(mu)``, (count, mu)."""
    out = np.zeros((count, mu.size))
    for i in range(mu.size):
        first = scale[i]
        for k in range(1, m + 1):
            first *= np.sqrt((2 * k - 1) / (2 * k) * (1 - mu[i] * mu[i]))
        out[m, i] = first
        if m + 1 < count:
            out[m + 1, i] = np.sqrt(2 * m + 1.0) * mu[i] * first
        for l in range(m + 2, count):  # noqa: E741
            below = np.sqrt((l - 1.0) ** 2 - m * m) * out[l - 2, i]
            out[l, i] = ((2 * l - 1) * mu[i] * out[l - 1, i] - below) / np.sqrt(l * l - m * m * 1.0)
    return out


@_jit
def _phase_matrices(m, chi, rows, cols, transmitted, reflected):  # type: ignore[no-untyped-def]
    """Fourier mode m of the phase function: same hemisphere and opposite hemispheres."""
    transmitted[:] = 0.0
    reflected[:] = 0.0
    for l in range(m, chi.size):  # noqa: E741
        moment = (2 * l + 1) * chi[l]
        sign = 1.0 if (l - m) % 2 == 0 else -1.0
        for i in range(rows.shape[1]):
            x = moment * rows[l, i]
            for j in range(cols.shape[1]):
                transmitted[i, j] += x * cols[l, j]
                reflected[i, j] += sign * x * cols[l, j]


@_jit
def _add_product(a, b, nodes, out):  # type: ignore[no-untyped-def]
    """``out += a b``, the sum over the Gauss nodes only."""
    for i in range(a.shape[0]):
        a0, a1, a2, a3, a4, a5 = a[i, 0], a[i, 1], a[i, 2], a[i, 3], a[i, 4], a[i, 5]
        for j in range(b.shape[1]):
            out[i, j] += (
                a0 * b[0, j]
                + a1 * b[1, j]
                + a2 * b[2, j]
                + a3 * b[3, j]
                + a4 * b[4, j]
                + a5 * b[5, j]
            )
        for k in range(6, nodes):
            x = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] += x * b[k, j]


@_jit
def _single_scattering(omega, d, row_mu, col_mu, r, t):  # type: ignore[no-untyped-def]
    """Turn phase matrices, in place, into once-scattered reflection and transmission."""
    for i in range(row_mu.size):
        loss_i = -np.expm1(-d / row_mu[i])
        for j in range(col_mu.size):
            loss_j = -np.expm1(-d / col_mu[j])
            r[i, j] *= omega * (loss_i + loss_j - loss_i * loss_j) / (4 * (row_mu[i] + col_mu[j]))
            gap = row_mu[i] - col_mu[j]
            if abs(gap) < _SAME_ANGLE:
                t[i, j] *= omega * d * (1 - loss_i) / (4 * row_mu[i] * col_mu[j])
            else:
                t[i, j] *= omega * (loss_j - loss_i) / (4 * gap)


@_jit
def _second_order(nodes, r, t, work):  # type: ignore[no-untyped-def]
    """Add twice-scattered light to r and t; returns the sum of what was added."""
    to_r, to_t = work[0], work[1]
    to_r[:] = 0.0
    to_t[:] = 0.0
    _add_product(r, t, nodes, to_r)
    _add_product(t, r, nodes, to_r)
    _add_product(t, t, nodes, to_t)
    _add_product(r, r, nodes, to_t)
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] += 0.5 * to_r[i, j]
            t[i, j] += 0.5 * to_t[i, j]
            to_r[i, j] = 0.5 * (to_r[i, j] + to_t[i, j])
    return to_r


@_jit
def _conserve_energy(omega, row_lost, col_lost, scale, r, t, second):  # type: ignore[no-untyped-def]
    """Scale r and t symmetrically until each node loses what is absorbed and no more.

    What must leave the layer is what scattered once, less what is absorbed at the second
    collision: ``omega (1 - E) - (1 - omega)/omega * second``.
    """
    n = scale.size
    absorbed = (1 - omega) / omega
    total = r + t
    target = np.empty(n)
    for j in range(n):
        again = 0.0
        for i in range(n):
            again += scale[i] * second[i, j]
        target[j] = omega * col_lost[j] - absorbed * again / scale[j]
    c = np.ones(n)
    ratio = np.empty(n)
    for _ in range(_SINKHORN_STEPS):
        for j in range(n):
            out = 0.0
            for i in range(n):
                out += scale[i] * c[i] * total[i, j]
            ratio[j] = np.sqrt(target[j] * scale[j] / (c[j] * out))
        for j in range(n):
            c[j] *= ratio[j]
    row_out = row_again = col_out = col_again = 0.0
    for k in range(n):
        row_out += scale[k] * c[k] * total[n, k]
        row_again += scale[k] * second[n, k]
        col_out += scale[k] * c[k] * total[k, n]
        col_again += scale[k] * second[k, n]
    rows = np.ones(r.shape[0])
    cols = np.ones(r.shape[1])
    rows[:n] = c
    cols[:n] = c
    rows[n] = (omega * row_lost[n] - absorbed * row_again) / row_out
    cols[n] = (omega * col_lost[n] - absorbed * col_again) / col_out
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] *= rows[i] * cols[j]
            t[i, j] *= rows[i] * cols[j]


@_jit
def _downward(nodes, r, t, col_beam, below, work, down):  # type: ignore[no-untyped-def]
    """Diffuse light travelling down between a layer (r, t) and the stack ``below`` it.

    Solves ``(1 - Q) D = T + Q E`` with ``Q = R Rb`` by elimination without pivoting; light between
    the parts decays at each reflection, so the matrix is diagonally dominant in practice. The
    extra row is eliminated with the others and never eliminates, which leaves its ``D`` there.
    """
    rows, width = r.shape
    q, system = work[0], work[1:3].reshape(rows, 2 * width)
    q[:] = 0.0
    _add_product(r, below, nodes, q)
    for i in range(rows):
        for j in range(width):
            system[i, j] = -q[i, j]
            system[i, width + j] = t[i, j] + q[i, j] * col_beam[j]
    for p in range(nodes):
        inverse = 1.0 / (1.0 + system[p, p])
        for j in range(2 * width):
            system[p, j] *= inverse
        for i in range(p + 1, rows):
            x = system[i, p]
            for j in range(2 * width):
                system[i, j] -= x * system[p, j]
    for p in range(nodes - 1, 0, -1):
        for i in range(p):
            x = system[i, p]
            for j in range(width, 2 * width):
                system[i, j] -= x * system[p, j]
    down[:] = system[:, width:]


@_jit
def _stack(nodes, r, t, row_beam, col_beam, below, work, down, out):  # type: ignore[no-untyped-def]
    """Reflection ``out`` of the layer (r, t) on top of ``below``; ``down`` is left for doubling."""
    _downward(nodes, r, t, col_beam, below, work, down)
    up = work[0]
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            up[i, j] = below[i, j] * col_beam[j]
    _add_product(below, down, nodes, up)
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            out[i, j] = r[i, j] + row_beam[i] * up[i, j]
    _add_product(t, up, nodes, out)


@_jit
def _double(nodes, r, t, row_beam, col_beam, work, down, spare):  # type: ignore[no-untyped-def]
    """Two equal layers on top of each other, in place."""
    _stack(nodes, r, t, row_beam, col_beam, r, work, down, spare)
    r[:] = spare
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            spare[i, j] = row_beam[i] * down[i, j] + t[i, j] * col_beam[j]
    _add_product(t, down, nodes, spare)
    t[:] = spare
    row_beam *= row_beam
    col_beam *= col_beam


@_jit
def _homogeneous_layer(m, tau, omega, chi, thin, angles, work, r, t):  # type: ignore[no-untyped-def]
    """Reflection and transmission of one layer, by doubling a thin one; returns its beams."""
    nodes, row_mu, col_mu, row_scale, _, rows, cols = angles
    doublings = 0
    d = tau
    while d > thin:
        d *= 0.5
        doublings += 1
    _phase_matrices(m, chi, rows, cols, t, r)
    _single_scattering(omega, d, row_mu, col_mu, r, t)
    second = _second_order(nodes, r, t, work)
    if m == 0:
        row_lost = -np.expm1(-d / row_mu)
        col_lost = -np.expm1(-d / col_mu)
        _conserve_energy(omega, row_lost, col_lost, row_scale[:nodes], r, t, second)
    row_beam = np.exp(-d / row_mu)
    col_beam = np.exp(-d / col_mu)
    for _ in range(doublings):
        _double(nodes, r, t, row_beam, col_beam, work, work[3], work[4])
    return row_beam, col_beam


@_jit
def _mode(m, tau, omega, chi, albedo, thin, angles, work):  # type: ignore[no-untyped-def]
    """Fourier mode m of the reflection function of the whole column at the two exact angles."""
    nodes, row_mu, col_mu, row_scale, col_scale, _, _ = angles
    r, t, below, above = work[5], work[6], work[7], work[8]
    for i in range(row_mu.size):
        for j in range(col_mu.size):
            below[i, j] = albedo * row_scale[i] * col_scale[j] if m == 0 else 0.0
    dark = m > 0 or albedo == 0.0
    for layer in range(tau.size - 1, -1, -1):
        if tau[layer] <= 0.0:
            continue
        if not _scatters(m, tau[layer], omega[layer], chi[layer]):
            for i in range(row_mu.size):
                for j in range(col_mu.size):
                    below[i, j] *= np.exp(-tau[layer] / row_mu[i] - tau[layer] / col_mu[j])
            continue
        beams = _homogeneous_layer(m, tau[layer], omega[layer], chi[layer], thin, angles, work, r, t)
        if dark:
            below[:] = r
            dark = False
        else:
            _stack(nodes, r, t, beams[0], beams[1], below, work, work[3], above)
            below[:] = above
    return below[nodes, nodes]


@_jit
def _scatters(m, tau, omega, chi):  # type: ignore[no-untyped-def]
    """Whether a layer's multiple scattering is worth computing in Fourier mode m."""
    if omega * tau < THIN_SCATTERING:
        return False
    for l in range(m, chi.size):  # noqa: E741
        if chi[l] != 0.0:
            return True
    return False


@_jit
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


@_jit
def _phase_at(m, chi, row, col):  # type: ignore[no-untyped-def]
    """Truncated phase function of mode m between the two exact angles, opposite hemispheres."""
    total = 0.0
    for l in range(m, chi.size):  # noqa: E741
        sign = 1.0 if (l - m) % 2 == 0 else -1.0
        total += sign * (2 * l + 1) * chi[l] * row[l] * col[l]
    return total


@_jit
def _visible_layers(tau, omega, mu0, muv):  # type: ignore[no-untyped-def]
    """Number of layers from the top that light can return from, and whether the ground can."""
    airmass = 1 / mu0 + 1 / muv
    absorbed = 0.0
    for layer in range(tau.size):
        absorbed += (1 - omega[layer]) * tau[layer] * airmass
        if absorbed > OPAQUE_ABSORPTION:
            return layer + 1, False
    return tau.size, True


@_jit
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
        :func:`quadrature`.
    thin : float
        Largest optical depth of the starting layer of the doubling.
    modes : int
        Most Fourier modes to sum.
    tolerance : float
        Stop after a mode m > 0 that adds less than this share.
    """
    kept, ground = _visible_layers(tau, omega, mu0, muv)
    n = nodes.size
    moments = 2 * n
    scaled_tau, scaled_omega, exact = np.empty(kept), np.empty(kept), np.empty(kept)
    scaled_chi = np.empty((kept, moments))
    for layer in range(kept):
        f = chi[layer, moments]
        untruncated = 1 - omega[layer] * f
        scaled_tau[layer] = tau[layer] * untruncated
        scaled_omega[layer] = omega[layer] * (1 - f) / untruncated
        exact[layer] = omega[layer] * phase[layer] / untruncated
        for l in range(moments):  # noqa: E741
            scaled_chi[layer, l] = (chi[layer, l] - f) / (1 - f)

    width = (n // _LANES + 1) * _LANES
    row_mu, col_mu = np.ones(n + 1), np.ones(width)
    row_mu[:n], row_mu[n] = nodes, muv
    col_mu[:n], col_mu[n] = nodes, mu0
    row_scale, col_scale = np.ones(n + 1), np.zeros(width)
    row_scale[:n] = np.sqrt(2 * nodes * weights)
    col_scale[: n + 1] = row_scale
    work = np.empty((9, n + 1, width))

    rho = _once(scaled_tau, exact, mu0, muv)
    once = np.empty(kept)
    for m in range(modes):
        rows = _legendre(m, row_mu, row_scale, moments)
        cols = _legendre(m, col_mu, col_scale, moments)
        angles = _Angles(n, row_mu, col_mu, row_scale, col_scale, rows, cols)
        multiple = _mode(
            m, scaled_tau, scaled_omega, scaled_chi, albedo * ground, thin, angles, work
        )
        for layer in range(kept):
            counted = _scatters(m, scaled_tau[layer], scaled_omega[layer], scaled_chi[layer])
            p = _phase_at(m, scaled_chi[layer], rows[:, n], cols[:, n])
            once[layer] = scaled_omega[layer] * p if counted else 0.0
        term = (2 - (m == 0)) * np.cos(m * dphi) * (multiple - _once(scaled_tau, once, mu0, muv))
        rho += term
        if m > 0 and abs(term) < tolerance * rho:
            break
    return rho
