"""Checks of the solver against published solutions, conservation laws and its own limits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_legendre

from spark_cot.simulate.numerics import gauss_legendre
from spark_cot.simulate.transfer.kernel import column_reflectance
from spark_cot.simulate.transfer.solver import (
    PRODUCTION,
    Accuracy,
    Geometry,
    Layer,
    PhaseFunction,
    reflectance,
)
from spark_cot.simulate.validate.published import (
    DISORT_TEST_1,
    DISORT_TEST_1_SUN,
    DISORT_TEST_1_VIEWS,
    SLAB_TRANSMITTANCE,
    semi_infinite_reflectance,
)
from spark_cot.simulate.validate.report import Check

#: Setting of comparisons with published tables, which were made with 16 streams or exactly.
FINE: Final = Accuracy(nodes=8, thin=5e-4)

_SLAB_NODES: Final = 24
_SEMI_INFINITE: Final = 3000.0


def zenith(mu: float) -> float:
    """Zenith angle in degrees of a cosine."""
    return float(np.rad2deg(np.arccos(mu)))


def isotropic(tau: float, omega: float, mu: float, mu0: float, accuracy: Accuracy = FINE) -> float:
    """Reflectance of one isotropic layer over a black surface."""
    layer = Layer(tau, omega, PhaseFunction.isotropic())
    return reflectance([layer], 0.0, Geometry(zenith(mu0), zenith(mu), 0.0), accuracy)


def disort_test_1() -> Check:
    """Largest relative difference from DISORT's test problem 1."""
    worst = max(
        abs(isotropic(case.tau, case.omega, mu, DISORT_TEST_1_SUN) / published - 1)
        for case in DISORT_TEST_1
        for mu, published in zip(DISORT_TEST_1_VIEWS, case.reflectance, strict=True)
    )
    return Check("DISORT test problem 1, largest relative difference", worst, most=1e-3)


def h_function_layers() -> Check:
    """Largest relative difference from the H-function of a semi-infinite layer."""
    worst = max(
        abs(isotropic(_SEMI_INFINITE, w, mu, mu0) / semi_infinite_reflectance(w, mu, mu0) - 1)
        for w in (0.5, 0.8, 0.9, 0.99, 0.999)
        for mu, mu0 in ((1.0, 0.5), (0.98, 0.2), (1.0, 1.0))
    )
    return Check("H-function, semi-infinite layer, largest relative difference", worst, most=1e-3)


def slab_transmittance(tau: float) -> float:
    """Share of diffuse light that a conservative isotropic slab lets through."""
    x, w = gauss_legendre(_SLAB_NODES)
    rho = np.array([[isotropic(tau, 1.0, mu, mu0, PRODUCTION) for mu0 in x] for mu in x])
    return float(1 - 4 * (w * x) @ rho @ (w * x))


def slab() -> Check:
    """Largest difference from the transmittance of Heaslet & Warming."""
    worst = max(abs(slab_transmittance(tau) - t) for tau, t in SLAB_TRANSMITTANCE.items())
    return Check("conservative slab, transmittance, largest difference", worst, most=3e-4)


def plane_albedo(tau: NDArray[np.float64], g: NDArray[np.float64], mu0: float) -> float:
    """Plane albedo of truncated Henyey-Greenstein layers that absorb nothing, over white ground.

    The azimuthal mean is all that carries energy: only mode 0 is summed, and the single scattering
    is that of the truncated phase function, which the layers are given as their own.
    """
    x, w = gauss_legendre(PRODUCTION.nodes)
    count = PRODUCTION.moments
    order = np.arange(count)
    f = (g ** (count - 1))[:, None]
    chi = (g[:, None] ** order - f) / (1 - f)
    scaled = tau * (1 - f[:, 0])
    odd = (2 * order + 1) * (-1) ** order
    rho = [
        column_reflectance(
            scaled,
            np.ones(tau.size),
            chi,
            chi @ (odd * eval_legendre(order, mu0) * eval_legendre(order, mu)),
            1.0,
            mu0,
            mu,
            0.0,
            *(x, w, PRODUCTION.thin, 1, 0.0),
        )
        for mu in x
    ]
    return float(2 * (w * x) @ np.array(rho))


def energy() -> Check:
    """Largest energy that conservative columns over white ground lose or gain."""
    x, _ = gauss_legendre(PRODUCTION.nodes)
    columns = [
        (np.array([tau]), np.array([g]))
        for tau in (0.1, 1.0, 10.0, 50.0)
        for g in (0.0, 0.75, 0.85)
    ]
    columns.append((np.array([0.2, 20.0, 0.1, 30.0]), np.array([0.0, 0.75, 0.6, 0.85])))
    worst = max(abs(1 - plane_albedo(tau, g, mu0)) for tau, g in columns for mu0 in x)
    return Check("energy over white ground, tau to 50, largest loss", worst, most=2e-4)


def random_column(rng: np.random.Generator, cloud: PhaseFunction) -> tuple[list[Layer], float]:
    """Five layers (air, cloud, air, cloud, aerosol with air) and the albedo of the ground."""
    air, aerosol = PhaseFunction.rayleigh(), PhaseFunction.henyey_greenstein(0.68)
    tau, absorbed = np.exp(rng.uniform(np.log(0.03), np.log(50))), 10 ** rng.uniform(-6, -1.3)
    share = rng.uniform()
    layers = [
        Layer(rng.uniform(0.002, 0.1), 1.0, air),
        Layer(tau * share, 1 - absorbed, cloud),
        Layer(rng.uniform(0.002, 0.1), 1.0, air),
        Layer(tau * (1 - share), 1 - absorbed, cloud),
        Layer(rng.uniform(0.02, 0.5), rng.uniform(0.86, 0.99), aerosol),
    ]
    return layers, rng.uniform(0, 0.9)


def two_lobes(rng: np.random.Generator) -> PhaseFunction:
    """A cloud-like sum of a forward and a weak backward Henyey-Greenstein function."""
    return PhaseFunction.henyey_greenstein(
        rng.uniform(0.80, 0.88), -rng.uniform(0.2, 0.5), shares=(0.97, 0.03)
    )


def random_geometry(rng: np.random.Generator, view_zenith: float | None = None) -> Geometry:
    """Sun, view and azimuth of the mission's range; the view may be given."""
    view = rng.uniform(0, 11.5) if view_zenith is None else view_zenith
    return Geometry(rng.uniform(10, 75), view, rng.uniform(0, 180))


def reciprocity() -> Check:
    """Largest relative change when sun and view change places."""
    rng = np.random.default_rng(3)
    worst = 0.0
    for _ in range(20):
        layers, surface = random_column(rng, two_lobes(rng))
        there = random_geometry(rng, rng.uniform(0, 75))
        back = Geometry(there.view_zenith, there.sun_zenith, there.relative_azimuth)
        ratio = reflectance(layers, surface, there) / reflectance(layers, surface, back)
        worst = max(worst, abs(ratio - 1))
    return Check("reciprocity, largest relative difference", worst, most=1e-10)


def limits() -> list[Check]:
    """No atmosphere, single scattering, growth with thickness, an opaque gas."""
    geometry = Geometry(40.0, 8.0, 70.0)
    mu0, muv = geometry.cosines
    cloud = PhaseFunction.henyey_greenstein(0.85, -0.3, shares=(0.97, 0.03))
    bare = abs(reflectance([Layer(0.0, 1.0, cloud)] * 5, 0.37, geometry) - 0.37)
    tau = 1e-6
    once = tau * cloud.value(np.array([geometry.cos_scattering]))[0] / (4 * mu0 * muv)
    single = abs(reflectance([Layer(tau, 1.0, cloud)], 0.0, geometry) / once - 1)
    thickness = np.geomspace(0.02, 60, 200)
    series = [reflectance([Layer(t, 0.9999, cloud)], 0.0, geometry) for t in thickness]
    above = Layer(0.5, 1.0, cloud)
    hidden = [above, Layer(40.0, 0.0, cloud), Layer(10.0, 1.0, cloud)]
    alone = reflectance([above], 0.0, geometry)
    opaque = abs(reflectance(hidden, 0.8, geometry) / alone - 1)
    return [
        Check("no atmosphere: difference from the albedo", bare, most=1e-12),
        Check("single scattering, tau 1e-6, relative difference", single, most=1e-5),
        Check(
            "black ground: smallest growth with thickness", float(np.diff(series).min()), least=0
        ),
        Check("opaque gas: relative difference from what lies above", opaque, most=1e-6),
    ]


def transfer_checks() -> list[Check]:
    """All of the above; seconds."""
    return [disort_test_1(), h_function_layers(), slab(), energy(), reciprocity(), *limits()]
