"""Reflectance of one atmospheric column: the radiative-transfer solver as a small library.

>>> from spark_cot.simulate.transfer.solver import Geometry, Layer, PhaseFunction, reflectance
>>> air = Layer(0.1, 1.0, PhaseFunction.rayleigh())
>>> cloud = Layer(10.0, 0.9999, PhaseFunction.henyey_greenstein(0.85))
>>> round(reflectance([air, cloud], 0.2, Geometry(40.0, 5.0, 90.0)), 2)
0.51

The atmosphere is plane-parallel and the ground Lambertian; light is not polarised. Reflectance is
``pi L / (cos(sza) E0)``, the convention of Level-1C products, and may exceed 1. Accuracy at the
default six nodes: .1 % rms against 20 nodes, .3 % at worst, over clouds of optical depth to 50.
The first call of an installation compiles for about 30 s; the result is cached on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import SimulationError
from spark_cot.simulate.numerics import gauss_legendre
from spark_cot.simulate.scattering.phase import PhaseFunction
from spark_cot.simulate.transfer.kernel import MIN_NODES, column_reflectance

__all__ = ["PRODUCTION", "Accuracy", "Geometry", "Layer", "PhaseFunction", "reflectance"]


FloatT = TypeVar("FloatT", float, NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Geometry:
    """Directions of sun and view.

    Attributes
    ----------
    sun_zenith, view_zenith : float
        Degrees, in [0, 90).
    relative_azimuth : float
        Degrees between the directions of travel of incoming and outgoing light: 0 is forward
        scattering, 180 backscattering. From product metadata: ``180 - (VAA - SAA)``.

    Raises
    ------
    SimulationError
        When the sun or the sensor is at or below the horizon.
    """

    sun_zenith: float
    view_zenith: float
    relative_azimuth: float

    def __post_init__(self) -> None:
        for name in ("sun_zenith", "view_zenith"):
            angle = getattr(self, name)
            if not 0 <= angle < 90:
                raise SimulationError(
                    f"{name} is {angle:g} degrees, expected 0 <= {name} < 90",
                    "geometry",
                    "Sun and sensor must stand above the horizon",
                )
        if not np.isfinite(self.relative_azimuth):
            raise SimulationError(f"relative_azimuth is {self.relative_azimuth}", "geometry")

    @property
    def cosines(self) -> tuple[float, float]:
        """Cosines of the sun and view zenith angles."""
        return float(np.cos(np.deg2rad(self.sun_zenith))), float(
            np.cos(np.deg2rad(self.view_zenith))
        )

    @property
    def cos_scattering(self) -> float:
        """Cosine of the scattering angle."""
        mu0, muv = self.cosines
        return scattering_cosine(mu0, muv, float(np.deg2rad(self.relative_azimuth)))


@dataclass(frozen=True, slots=True)
class Layer:
    """A homogeneous layer.

    Attributes
    ----------
    optical_depth : float
        Extinction, >= 0.
    albedo : float
        Single-scattering albedo, in [0, 1].
    phase : PhaseFunction

    Raises
    ------
    SimulationError
        When a figure is out of range.
    """

    optical_depth: float
    albedo: float
    phase: PhaseFunction

    def __post_init__(self) -> None:
        if not 0 <= self.optical_depth < np.inf:
            raise SimulationError(
                f"optical depth is {self.optical_depth:g}, expected a finite number >= 0",
                "layer",
                "Leave out a layer that is not there, or give it 0",
            )
        _check_share("single-scattering albedo", self.albedo, "layer")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Numerical settings of the solver.

    Attributes
    ----------
    nodes : int
        Gauss nodes per hemisphere, at least 6.
    thin : float
        Largest optical depth of the layer that doubling starts from.
    modes : int
        Most Fourier modes in azimuth, at most ``2 nodes``; 3 are enough for view zenith angles
        to 12 degrees.
    tolerance : float
        Share of the sum below which further modes are left out.
    """

    nodes: int = 6
    thin: float = 2e-3
    modes: int = 12
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        modes_fit = 1 <= self.modes <= 2 * self.nodes
        if self.nodes < MIN_NODES or not modes_fit or not 0 < self.thin <= 0.01:
            raise SimulationError(
                f"nodes {self.nodes}, modes {self.modes}, thin {self.thin:g}; expected at least "
                f"{MIN_NODES} nodes, 1 to 2 x nodes modes, and 0 < thin <= 0.01",
                "accuracy",
            )

    @property
    def moments(self) -> int:
        """Legendre moments a layer must give: 2 nodes + 1."""
        return 2 * self.nodes + 1

    @property
    def arguments(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int, float]:
        """Last arguments of the compiled kernel."""
        nodes, weights = gauss_legendre(self.nodes)
        return nodes, weights, self.thin, self.modes, self.tolerance


#: The setting that synthetic tables are made with: views of the MSI, near nadir.
PRODUCTION: Final = Accuracy(modes=3)


def scattering_cosine(mu0: FloatT, muv: FloatT, azimuth: FloatT) -> FloatT:
    """Cosine of the scattering angle; azimuth in radians, 0 forward; arguments broadcast."""
    slant = np.sqrt((1 - mu0**2) * (1 - muv**2))
    cosine: FloatT = np.clip(slant * np.cos(azimuth) - mu0 * muv, -1, 1)
    return cosine


def reflectance(
    layers: Sequence[Layer],
    surface: float,
    geometry: Geometry,
    accuracy: Accuracy | None = None,
) -> float:
    """Top-of-atmosphere reflectance ``pi L / (cos(sza) E0)`` of layers over a Lambert surface.

    Parameters
    ----------
    layers : sequence of Layer
        Top of the atmosphere first; may be empty.
    surface : float
        Albedo of the ground, in [0, 1].
    geometry : Geometry
    accuracy : Accuracy, optional
        ``Accuracy()`` unless given.

    Raises
    ------
    SimulationError
        When the surface albedo is out of range.
    """
    _check_share("surface albedo", surface, "surface")
    accuracy = accuracy or Accuracy()
    tau = np.array([layer.optical_depth for layer in layers], dtype=np.float64)
    omega = np.array([layer.albedo for layer in layers], dtype=np.float64)
    chi = np.array([layer.phase.moments(accuracy.moments) for layer in layers], dtype=np.float64)
    cos_theta = np.array([geometry.cos_scattering])
    phase = np.array([layer.phase.value(cos_theta)[0] for layer in layers], dtype=np.float64)
    mu0, muv = geometry.cosines
    azimuth = float(np.deg2rad(geometry.relative_azimuth))
    chi = chi.reshape(tau.size, accuracy.moments)
    rho = column_reflectance(
        tau, omega, chi, phase, surface, mu0, muv, azimuth, *accuracy.arguments
    )
    return float(rho)


def _check_share(what: str, value: float, where: str) -> None:
    if not 0 <= value <= 1:
        raise SimulationError(f"{what} is {value:g}, expected 0 <= {what} <= 1", where)
