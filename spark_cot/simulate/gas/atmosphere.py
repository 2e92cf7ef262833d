"""The six AFGL reference atmospheres: pressure, temperature and absorber amounts by height."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.simulate.csvdata import numbers, read_text_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROFILES: Final = (
    "tropical",
    "midlatitude_summer",
    "midlatitude_winter",
    "subarctic_summer",
    "subarctic_winter",
    "us_standard",
)
GASES: Final = ("h2o", "co2", "o2", "ch4")

_MOLAR_MASS: Final = {"h2o": 18.015, "co2": 44.01, "o2": 31.999, "ch4": 16.04, "o3": 47.998}
_AIR_MASS: Final = 28.97
_WELL_MIXED_PPMV: Final = {"co2": 415.0, "o2": 209_500.0}
_GRAVITY: Final = 9.81
_AVOGADRO: Final = 6.022e23
_MOLECULES_PER_DU: Final = 2.687e16


@dataclass(frozen=True, slots=True)
class Atmosphere:
    """One profile, levels ordered upward.

    Attributes
    ----------
    name : str
    height : float64 (levels,)
        km.
    pressure, temperature : float64 (levels,)
        hPa and K.
    ppmv : dict
        Volume mixing ratio of each gas, float64 (levels,), parts per million.
    """

    name: str
    height: NDArray[np.float64]
    pressure: NDArray[np.float64]
    temperature: NDArray[np.float64]
    ppmv: dict[str, NDArray[np.float64]]

    def pressure_at(self, height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pressure in hPa at heights in km, log-linear between levels."""
        return np.asarray(np.exp(np.interp(height, self.height, np.log(self.pressure))))

    @property
    def layer_pressure(self) -> NDArray[np.float64]:
        """Mean pressure between adjacent levels, hPa (levels - 1,)."""
        return (self.pressure[1:] + self.pressure[:-1]) / 2

    @property
    def layer_temperature(self) -> NDArray[np.float64]:
        """Mean temperature between adjacent levels, K (levels - 1,)."""
        return (self.temperature[1:] + self.temperature[:-1]) / 2

    def layer_amount(self, gas: str) -> NDArray[np.float64]:
        """Absorber between adjacent levels, g cm-2 (levels - 1,); hydrostatic."""
        q = (self.ppmv[gas][1:] + self.ppmv[gas][:-1]) / 2 * 1e-6
        air = -np.diff(self.pressure) * 100 / _GRAVITY * 0.1
        return np.asarray(q * _MOLAR_MASS[gas] / _AIR_MASS * air)

    def above(
        self, per_layer: NDArray[np.float64], height: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sum of a layer quantity from space down to each height, linear in pressure.

        Parameters
        ----------
        per_layer : float64 (levels - 1, ...)
        height : float64 (heights,)
            km.

        Returns
        -------
        float64 (heights, ...)
        """
        top_down = np.cumsum(per_layer[::-1], axis=0)
        total = np.concatenate([np.zeros((1, *per_layer.shape[1:])), top_down])
        flat = total.reshape(len(total), -1)
        p, at = self.pressure[::-1], self.pressure_at(height)
        sums = np.stack([np.interp(at, p, column) for column in flat.T], axis=-1)
        return sums.reshape(height.size, *per_layer.shape[1:])

    @property
    def water_column(self) -> float:
        """Precipitable water, cm (= g cm-2)."""
        return float(self.layer_amount("h2o").sum())

    @property
    def ozone_column(self) -> float:
        """Ozone column, Dobson units."""
        grams = self.layer_amount("o3").sum()
        return float(grams / _MOLAR_MASS["o3"] * _AVOGADRO / _MOLECULES_PER_DU)


@cache
def atmospheres() -> tuple[Atmosphere, ...]:
    """The profiles, in the order of :data:`PROFILES`."""
    header = ("z_km", "p_hpa", "t_k", "n_air_cm3", "h2o_ppmv", "o3_ppmv", "ch4_ppmv")
    table = read_text_columns("atmospheres", ("profile", *header))
    names = np.array(table["profile"])
    columns = {key: numbers(table[key], f"atmospheres.csv, {key}") for key in header}
    return tuple(_profile(name, names == name, columns) for name in PROFILES)


def _profile(
    name: str, mine: NDArray[np.bool_], columns: dict[str, NDArray[np.float64]]
) -> Atmosphere:
    height = columns["z_km"][mine]
    ppmv = {gas: columns[f"{gas}_ppmv"][mine] for gas in ("h2o", "o3", "ch4")}
    ppmv |= {gas: np.full(height.size, value) for gas, value in _WELL_MIXED_PPMV.items()}
    return Atmosphere(name, height, columns["p_hpa"][mine], columns["t_k"][mine], ppmv)
