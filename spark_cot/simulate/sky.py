"""One sky over any ground and with any thickness of its cloud, from a hundred simulated columns.

The pixels of a scene share geometry, atmosphere and kind of cloud; ground and thickness differ.
Over a Lambert ground of albedo a, reflectance is ``(r0 + u a) / (1 - s a)`` (Chandrasekhar 1960,
Radiative Transfer, section 72): columns over a black, a grey and a white ground fix it for all a.
Between thicknesses a cubic spline joins the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.interpolate import CubicSpline

from spark_cot.errors import SimulationError
from spark_cot.simulate.column import ground_reflectance, simulate
from spark_cot.simulate.world.states import States
from spark_cot.simulate.world.surfaces import surface_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_cot.simulate.optics import Optics

    Floats = NDArray[np.float64]

#: Knots over thickness. Against direct simulation over all surfaces of the library, water, ice and
#: both, COT from 0.01, reflectance is then off by at most 0.0006 (16 knots: 0.0026).
KNOTS: Final = 32
THINNEST: Final = 0.01
THICKEST: Final = 200.0

#: Knots are evenly spaced in COT / (COT + HALF_WAY). A cloud over black ground reflects half of the
#: light at COT = 2 / (1 - g) = 13 (two-stream approximation), and in that variable reflectance is
#: close to a straight line.
HALF_WAY: Final = 13.0

#: The grey ground: a surface with no band below 0.27 or above 0.37. Gains of 0 and of very much
#: make the simulator's darkest and brightest ground of it.
_GREY: Final = "eco0567"
_GAINS: Final = (0.0, 1.0, 1e6)


@dataclass(frozen=True, slots=True)
class Sky:
    """Reflectance over black, grey and white ground.

    Attributes
    ----------
    grounds : float64 (3, 13)
        Albedo of the black, the grey and the white ground.
    clear : float64 (3, 13)
        Reflectance over them without the cloud.
    cloudy : tuple[CubicSpline, ...]
        One per band: the same with the cloud, (3,) over COT / (COT + HALF_WAY).
    """

    grounds: Floats
    clear: Floats
    cloudy: tuple[CubicSpline, ...]

    @classmethod
    def of(cls, state: States, optics: Optics) -> Sky:
        """The sky of one state; its thickness and its ground do not matter.

        Parameters
        ----------
        state : States
            One row under a cloud. The water's and the ice's share of the thickness are kept.
        optics : Optics

        Raises
        ------
        SimulationError
            When the state has no physical meaning, or no cloud.
        """
        if not state.cot_in_cloud[0] > 0:
            raise SimulationError("there is no cloud", "sky", "Give water_cot or ice_cot")
        knots = np.linspace(_coordinate(THINNEST), _coordinate(THICKEST), KNOTS)
        thickness = np.tile(HALF_WAY * knots / (1 - knots), len(_GAINS))
        grey = np.flatnonzero(surface_library().ids == _GREY)
        columns = state.take(np.zeros(thickness.size, np.intp))._replace(
            surface=np.repeat(grey, thickness.size),
            second_surface=np.repeat(grey, thickness.size),
            surface_gain=np.repeat(_GAINS, KNOTS),
            water_cot=thickness * state.water_cot / state.cot_in_cloud,
            ice_cot=thickness * state.ice_cot / state.cot_in_cloud,
            cloud_fraction=np.ones(thickness.size),
        )
        first = columns.take(np.arange(len(_GAINS)) * KNOTS)
        cloudy = simulate(columns, optics).reshape(len(_GAINS), KNOTS, -1)
        splines = [CubicSpline(knots, band.T) for band in np.moveaxis(cloudy, -1, 0)]
        clear = simulate(first.without_cloud(), optics)
        return cls(ground_reflectance(first), clear, tuple(splines))

    def reflectance(self, band: int, ground: Floats, cot: Floats) -> Floats:
        """TOA reflectance of pixels in one band.

        Parameters
        ----------
        band : int
            Position in the band axis.
        ground : ndarray
            Lambert reflectance of the ground, any shape; brought into what the simulator takes.
        cot : ndarray
            Optical thickness at 550 nm, same shape, at most THICKEST.

        Raises
        ------
        SimulationError
            When a pixel is thicker than the table.
        """
        if cot.max(initial=0.0) > THICKEST:
            raise SimulationError(f"COT is up to {cot.max():g}, expected at most {THICKEST:g}")
        over = np.moveaxis(self.cloudy[band](_coordinate(cot)), -1, 0)
        over[:, cot == 0] = self.clear[:, band, None]
        return _over_ground(ground, self.grounds[:, band], over)


def _coordinate(cot: Floats | float) -> Floats:
    return np.asarray(cot / (cot + HALF_WAY))


def _over_ground(albedo: Floats, nodes: Floats, values: Floats) -> Floats:
    """The function ``(r0 + u a) / (1 - s a)`` through ``values`` (3, ...) at ``nodes`` (3,).

    As a mean of the outer values with weights >= 0, so that it stays between them, also where
    gas hides the ground and the three are equal.
    """
    black, grey, white = values
    a = np.clip(albedo, nodes[0], nodes[2])
    low = np.maximum((white - grey) * (nodes[2] - a) * (nodes[1] - nodes[0]), 0)
    high = np.maximum((grey - black) * (a - nodes[0]) * (nodes[2] - nodes[1]), 0)
    total = low + high
    share = np.divide(high, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(black + share * (white - black))
