"""Homogeneous layers by doubling, stacks by adding: the matrix operators of the kernel.

The method is that of Grant & Hunt (1969) and de Haan, Bosma & Hovenier (1987), with two choices:

Weighted operators
    An element holds ``s_i X(mu_i, mu_j) s_j`` with ``s = sqrt(2 mu w)`` at the Gauss nodes and 1 in
    an extra row (the view angle) and column (the sun angle). Operator products are then plain
    matrix products over the nodes, and reciprocity is the symmetry of the matrix. The extra row
    and column have no quadrature weight; they are carried through every operation, so that
    nothing is interpolated to the exact angles. Columns are padded with zeros to whole vectors.
Energy
    Doubling multiplies what the thin starting layer loses, so that layer is scaled symmetrically
    (Sinkhorn 1964) to lose exactly what it absorbs, up to second order in its thickness.

Everything is float64.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spark_cot.simulate.numerics import jit

_SAME_ANGLE: Final = 1e-6
_SINKHORN_STEPS: Final = 4


class Angles(NamedTuple):
    """Cosines, scales and scaled Legendre functions of matrix rows and (padded) columns."""

    nodes: int
    row_mu: NDArray[np.float64]
    col_mu: NDArray[np.float64]
    row_scale: NDArray[np.float64]
    col_scale: NDArray[np.float64]
    rows: NDArray[np.float64]
    cols: NDArray[np.float64]


@jit
def legendre(m, mu, scale, count):  # type: ignore[no-untyped-def]
    """Scaled normalised Legendre functions ``s sqrt((l-m)!/(l+m)!) P_l^m(mu)``, (count, mu)."""
    out = np.zeros((count, mu.size))
    for i in range(mu.size):
        first = scale[i]
        for k in range(1, m + 1):
            first *= np.sqrt((2 * k - 1) / (2 * k) * (1 - mu[i] * mu[i]))
        out[m, i] = first
        if m + 1 < count:
            out[m + 1, i] = np.sqrt(2 * m + 1.0) * mu[i] * first
        for order in range(m + 2, count):
            below = np.sqrt((order - 1.0) ** 2 - m * m) * out[order - 2, i]
            root = np.sqrt(order * order - m * m * 1.0)
            out[order, i] = ((2 * order - 1) * mu[i] * out[order - 1, i] - below) / root
    return out


@jit
def _phase_matrices(m, chi, rows, cols, transmitted, reflected):  # type: ignore[no-untyped-def]
    """Fourier mode m of the phase function: same hemisphere and opposite hemispheres."""
    transmitted[:] = 0.0
    reflected[:] = 0.0
    for order in range(m, chi.size):
        moment = (2 * order + 1) * chi[order]
        sign = 1.0 if (order - m) % 2 == 0 else -1.0
        for i in range(rows.shape[1]):
            x = moment * rows[order, i]
            for j in range(cols.shape[1]):
                transmitted[i, j] += x * cols[order, j]
                reflected[i, j] += sign * x * cols[order, j]


@jit
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


@jit
def _single_scattering(omega, d, angles, row_lost, col_lost, r, t):  # type: ignore[no-untyped-def]
    """Turn phase matrices, in place, into once-scattered reflection and transmission."""
    for i in range(angles.row_mu.size):
        mu = angles.row_mu[i]
        for j in range(angles.col_mu.size):
            other = angles.col_mu[j]
            lost = row_lost[i] + col_lost[j] - row_lost[i] * col_lost[j]
            r[i, j] *= omega * lost / (4 * (mu + other))
            if abs(mu - other) < _SAME_ANGLE:
                t[i, j] *= omega * d * (1 - row_lost[i]) / (4 * mu * other)
            else:
                t[i, j] *= omega * (col_lost[j] - row_lost[i]) / (4 * (mu - other))


@jit
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


@jit
def _sinkhorn(total, target, scale):  # type: ignore[no-untyped-def]
    """Factors c that make ``sum_i c_i total_ij c_j`` the target of every node j."""
    n = scale.size
    c, ratio = np.ones(n), np.empty(n)
    for _ in range(_SINKHORN_STEPS):
        for j in range(n):
            out = 0.0
            for i in range(n):
                out += scale[i] * c[i] * total[i, j]
            ratio[j] = np.sqrt(target[j] * scale[j] / (c[j] * out))
        c *= ratio
    return c


@jit
def _conserve_energy(omega, angles, row_lost, col_lost, r, t, second):  # type: ignore[no-untyped-def]
    """Scale r and t symmetrically until each angle loses what is absorbed and no more.

    What must leave the layer is what scattered once, less what is absorbed at the second
    collision: ``omega (1 - E) - (1 - omega)/omega * second``.
    """
    n, scale = angles.nodes, angles.row_scale[: angles.nodes]
    absorbed = (1 - omega) / omega
    total = r + t
    target = np.empty(n)
    for j in range(n):
        again = 0.0
        for i in range(n):
            again += scale[i] * second[i, j]
        target[j] = omega * col_lost[j] - absorbed * again / scale[j]
    c = _sinkhorn(total, target, scale)
    row_out = row_again = col_out = col_again = 0.0
    for k in range(n):
        row_out += scale[k] * c[k] * total[n, k]
        row_again += scale[k] * second[n, k]
        col_out += scale[k] * c[k] * total[k, n]
        col_again += scale[k] * second[k, n]
    rows, cols = np.ones(r.shape[0]), np.ones(r.shape[1])
    rows[:n], rows[n] = c, (omega * row_lost[n] - absorbed * row_again) / row_out
    cols[:n], cols[n] = c, (omega * col_lost[n] - absorbed * col_again) / col_out
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            r[i, j] *= rows[i] * cols[j]
            t[i, j] *= rows[i] * cols[j]


@jit
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


@jit
def stack(nodes, r, t, row_beam, col_beam, below, work, down, out):  # type: ignore[no-untyped-def]
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


@jit
def double(nodes, r, t, row_beam, col_beam, work, down, spare):  # type: ignore[no-untyped-def]
    """Two equal layers on top of each other, in place."""
    stack(nodes, r, t, row_beam, col_beam, r, work, down, spare)
    r[:] = spare
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            spare[i, j] = row_beam[i] * down[i, j] + t[i, j] * col_beam[j]
    _add_product(t, down, nodes, spare)
    t[:] = spare
    row_beam *= row_beam
    col_beam *= col_beam


@jit
def homogeneous_layer(m, tau, omega, chi, thin, angles, work, r, t):  # type: ignore[no-untyped-def]
    """Reflection and transmission of one layer, by doubling a thin one; returns its beams."""
    doublings = 0
    d = tau
    while d > thin:
        d *= 0.5
        doublings += 1
    row_lost, col_lost = -np.expm1(-d / angles.row_mu), -np.expm1(-d / angles.col_mu)
    _phase_matrices(m, chi, angles.rows, angles.cols, t, r)
    _single_scattering(omega, d, angles, row_lost, col_lost, r, t)
    second = _second_order(angles.nodes, r, t, work)
    if m == 0:
        _conserve_energy(omega, angles, row_lost, col_lost, r, t, second)
    row_beam, col_beam = 1 - row_lost, 1 - col_lost
    for _ in range(doublings):
        double(angles.nodes, r, t, row_beam, col_beam, work, work[3], work[4])
    return row_beam, col_beam
