"""Checks of the solver against many streams: PythonicDISORT, and itself with 20 nodes."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import SetupError
from spark_cot.simulate.scattering.droplets import ANGLES_DEG, droplets
from spark_cot.simulate.transfer.solver import (
    PRODUCTION,
    Accuracy,
    Geometry,
    Layer,
    PhaseFunction,
    reflectance,
)
from spark_cot.simulate.validate.report import Check
from spark_cot.simulate.validate.transfer import random_column, random_geometry, two_lobes, zenith

#: Setting that the production setting must agree with.
REFERENCE: Final = Accuracy(nodes=20, thin=1e-4, modes=8, tolerance=0.0)

_VIEW: Final = 0.985
_FOURIER_MODES: Final = 40
_MOMENTS: Final = 400
#: DISORT divides by 1 - omega.
_MOST_ALBEDO: Final = 1 - 1e-7


def mie_clouds() -> list[PhaseFunction]:
    """Droplet clouds in the visible and the short-wave infrared, of sizes 400 moments describe."""
    clouds = []
    for wavelength, radii in ((665.0, (5.0, 10.0)), (1614.0, (6.0, 12.0)), (2202.0, (8.0, 16.0))):
        drops = droplets(wavelength, np.array(radii), _MOMENTS)
        clouds += [
            PhaseFunction.tabulated(chi, ANGLES_DEG, values)
            for chi, values in zip(drops.moments, drops.phase, strict=True)
        ]
    return clouds


def disort_node(streams: int) -> float:
    """The quadrature node of DISORT nearest to the view of the MSI.

    Between nodes DISORT interpolates in the cosine, which is off by up to 3 % near nadir.
    """
    x, _ = np.polynomial.legendre.leggauss(streams // 2)
    nodes = (x + 1) / 2
    return float(nodes[np.argmin(np.abs(nodes - _VIEW))])


def disort_reflectance(
    layers: list[Layer], surface: float, geometry: Geometry, streams: int
) -> float:
    """Reflectance by PythonicDISORT; the view must be at one of its quadrature nodes.

    Raises
    ------
    SetupError
        When PythonicDISORT is not installed.
    """
    try:
        from PythonicDISORT.pydisort import pydisort
    except ModuleNotFoundError as error:
        raise SetupError(
            "PythonicDISORT is not installed", "validation", "pip install 'spark-cot[dev]'"
        ) from error
    mu0, muv = geometry.cosines
    moments = np.array([layer.phase.moments(_MOMENTS) for layer in layers])
    moments[:, 0] = 1.0
    albedo = np.array([min(layer.albedo, _MOST_ALBEDO) for layer in layers])
    with warnings.catch_warnings():
        # It warns of albedos near 1, which these columns have on purpose.
        warnings.simplefilter("ignore", UserWarning)
        nodes, *_, intensity = pydisort(
            np.cumsum([layer.optical_depth for layer in layers]),
            albedo,
            streams,
            moments,
            mu0,
            1.0,
            0.0,
            NLeg=streams,
            NFourier=min(_FOURIER_MODES, streams),
            f_arr=moments[:, streams],
            NT_cor=True,
            BDRF_Fourier_modes=[surface],
        )
    upward = np.asarray(intensity(0.0, np.deg2rad(geometry.relative_azimuth))).ravel()
    return float(np.pi * upward[np.argmin(np.abs(nodes - muv))] / mu0)


def disort_differences(
    clouds: list[PhaseFunction] | None, cases: int, streams: int, seed: int, accuracy: Accuracy
) -> NDArray[np.float64]:
    """Relative differences from DISORT of random columns; two-lobed clouds where none are given."""
    rng = np.random.default_rng(seed)
    view = zenith(disort_node(streams))
    differences = np.empty(cases)
    for case in range(cases):
        cloud = two_lobes(rng) if clouds is None else clouds[case % len(clouds)]
        layers, surface = random_column(rng, cloud)
        geometry = random_geometry(rng, view)
        expected = disort_reflectance(layers, surface, geometry, streams)
        differences[case] = reflectance(layers, surface, geometry, accuracy) / expected - 1
    return differences


def disort_checks(cases: int, accuracy: Accuracy = PRODUCTION) -> list[Check]:
    """Half of the cases with Henyey-Greenstein clouds, half with droplets."""
    smooth = disort_differences(None, cases // 2, 48, 11, accuracy)
    mie = disort_differences(mie_clouds(), cases - cases // 2, 64, 12, accuracy)
    both = np.concatenate([smooth, mie])
    label = f"DISORT, {cases} five-layer columns, {accuracy.nodes} nodes"
    return [
        Check(f"{label}: rms relative difference", _rms(both), most=3e-3),
        Check(f"{label}: largest", float(np.abs(both).max()), most=1e-2),
        Check(f"{label}: largest without Mie", float(np.abs(smooth).max()), most=5e-3),
    ]


def convergence_checks(cases: int) -> list[Check]:
    """Production setting against 20 nodes, 8 modes, five-layer columns with droplets."""
    rng = np.random.default_rng(13)
    clouds = mie_clouds()
    differences = np.empty(cases)
    for case in range(cases):
        layers, surface = random_column(rng, clouds[case % len(clouds)])
        geometry = random_geometry(rng)
        expected = reflectance(layers, surface, geometry, REFERENCE)
        differences[case] = reflectance(layers, surface, geometry, PRODUCTION) / expected - 1
    label = f"{PRODUCTION.nodes} against {REFERENCE.nodes} nodes, {cases} Mie columns"
    return [
        Check(f"{label}: rms relative difference", _rms(differences), most=1.5e-3),
        Check(f"{label}: largest", float(np.abs(differences).max()), most=5e-3),
    ]


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
