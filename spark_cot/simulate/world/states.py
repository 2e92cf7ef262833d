"""The state of the atmosphere and the ground of many rows."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import SimulationError
from spark_cot.simulate.gas.atmosphere import PROFILES
from spark_cot.simulate.world.surfaces import surface_library

CLEAR, WATER, ICE, ICE_OVER_WATER, MIXED_PHASE = range(5)
CLOUD_TYPES: Final = ("clear", "water", "ice", "ice_over_water", "mixed_phase")

_BELOW_90: Final = float(np.nextafter(90.0, 0.0))
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "sun_zenith": (0, _BELOW_90),
    "view_zenith": (0, _BELOW_90),
    "water_cot": (0, np.inf),
    "ice_cot": (0, np.inf),
    "aerosol_depth": (0, np.inf),
    "plume_depth": (0, np.inf),
    "cloud_fraction": (0, 1),
    "cloud_gain": (0, np.inf),
    "wind_speed": (0, np.inf),
    "effective_radius": (4, 26),
}
_STANDARD: Final[dict[str, Any]] = {
    "split": 0,
    "platform": 0,
    "profile": PROFILES.index("us_standard"),
    "cloud_type": CLEAR,
    "water_cot": 0.0,
    "ice_cot": 0.0,
    "cloud_fraction": 1.0,
    "cloud_gain": 1.0,
    "sun_zenith": 45.0,
    "view_zenith": 5.0,
    "relative_azimuth": 90.0,
    "water_scale": 1.0,
    "ozone": 340.0,
    "surface_height": 0.2,
    "water_top": 2.0,
    "water_base": 1.0,
    "ice_top": 10.0,
    "ice_base": 9.0,
    "effective_radius": 10.0,
    "ice_diameter": 55.0,
    "ice_asymmetry": 0.76,
    "aerosol_depth": 0.09,
    "angstrom": 1.3,
    "aerosol_albedo": 0.93,
    "aerosol_asymmetry": 0.66,
    "plume_depth": 0.0,
    "plume_top": 5.0,
    "plume_angstrom": 1.5,
    "plume_albedo": 0.92,
    "plume_asymmetry": 0.62,
    "surface": 0,
    "second_surface": 0,
    "surface_share": 1.0,
    "surface_share_20m": 1.0,
    "surface_share_60m": 1.0,
    "surface_gain": 1.0,
    "wind_speed": 0.0,
}

_Floats = NDArray[np.float64]
_Ints = NDArray[np.intp]


class States(NamedTuple):
    """What stands in the atmosphere of each row, arrays (rows,).

    Heights are km above sea level, angles degrees, radii and diameters um. Quantities of a cloud
    that is not there are drawn as well; its optical thickness is 0.
    """

    split: _Ints
    platform: _Ints
    profile: _Ints
    cloud_type: _Ints
    water_cot: _Floats
    ice_cot: _Floats
    cloud_fraction: _Floats
    cloud_gain: _Floats
    sun_zenith: _Floats
    view_zenith: _Floats
    relative_azimuth: _Floats
    water_scale: _Floats
    ozone: _Floats
    surface_height: _Floats
    water_top: _Floats
    water_base: _Floats
    ice_top: _Floats
    ice_base: _Floats
    effective_radius: _Floats
    ice_diameter: _Floats
    ice_asymmetry: _Floats
    aerosol_depth: _Floats
    angstrom: _Floats
    aerosol_albedo: _Floats
    aerosol_asymmetry: _Floats
    plume_depth: _Floats
    plume_top: _Floats
    plume_angstrom: _Floats
    plume_albedo: _Floats
    plume_asymmetry: _Floats
    surface: _Ints
    second_surface: _Ints
    surface_share: _Floats
    surface_share_20m: _Floats
    surface_share_60m: _Floats
    surface_gain: _Floats
    wind_speed: _Floats

    def take(self, rows: NDArray[np.bool_] | _Ints) -> States:
        """The chosen rows."""
        return States._make(column[rows] for column in self)

    def without_cloud(self) -> States:
        """The same rows under a clear sky."""
        none = np.zeros(self.cloud_type.size)
        return self._replace(cloud_type=np.full(none.size, CLEAR), water_cot=none, ice_cot=none)

    def check(self) -> None:
        """Raise SimulationError when a state has no physical meaning."""
        last = float(surface_library().ids.size - 1)
        for name, (low, high) in (
            _RANGES | {"surface": (0, last), "second_surface": (0, last)}
        ).items():
            values = np.asarray(getattr(self, name), dtype=np.float64)
            wrong = values[~((values >= low) & (values <= high))]
            if wrong.size:
                raise SimulationError(
                    f"{name} is {wrong[0]:g} in {wrong.size} of {values.size} rows, "
                    f"expected {low:g} <= {name} <= {high:g}",
                    "states",
                    "Leave these rows out or correct them",
                )

    @property
    def cot_in_cloud(self) -> _Floats:
        """Optical thickness at 550 nm where there is cloud."""
        return self.water_cot + self.ice_cot

    @property
    def cot(self) -> _Floats:
        """The label: mean optical thickness of the pixel at 550 nm."""
        return self.cloud_fraction * self.cot_in_cloud


def standard_states(count: int, **changes: NDArray[Any] | float) -> States:
    """States to vary one quantity in: a clear US-standard lowland scene, sun at 45 degrees.

    Parameters
    ----------
    count : int
        Rows.
    changes : float or array (count,)
        Fields of :class:`States` to set.
    """
    columns: dict[str, NDArray[Any]] = {}
    for name, value in (_STANDARD | changes).items():
        columns[name] = np.array(np.broadcast_to(value, (count,)))
    return States(**columns)
