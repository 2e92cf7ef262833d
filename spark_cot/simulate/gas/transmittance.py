"""Band-mean gas absorption: random band model with the Curtis-Godson approximation.

Per 10 cm-1 interval the absorber amount u between two levels is weighted with the temperature laws
``phi`` and ``psi`` of line strength and width; the transmittance of a path follows Goody (water
vapour) or Malkmus (other gases); see Goody & Yung 1989, chapter 4, and Vermote et al. 1997.
One optical depth per band is right where a band absorbs weakly; water vapour in B09 and B10 needs
:mod:`spark_cot.simulate.gas.kdistribution`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.bands import PLATFORMS, STANDARD_PRESSURE, responses
from spark_cot.simulate.csvdata import read_columns
from spark_cot.simulate.gas.atmosphere import Atmosphere, atmospheres

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Heights of the absorption tables, km.
LEVELS: Final = np.concatenate([np.arange(0, 15, 0.5), [15, 20, 25, 30, 50, 100]])

#: Air masses (times the scaling of water vapour) of the absorption tables.
PATHS: Final = np.geomspace(0.3, 40, 14)

#: Bands whose water vapour is left to the k-distribution.
K_BANDS: Final = ("B09", "B10")

FIXED_GASES: Final = ("co2", "ch4", "o2")

_REFERENCE_TEMPERATURE: Final = 250.0


@dataclass(frozen=True, slots=True)
class BandModel:
    """Coefficients of one gas.

    Attributes
    ----------
    gas : str
    lower, upper : float64 (intervals,)
        Wavenumbers, cm-1.
    strength : float64 (intervals,)
        Mean line strength over spacing at 250 K, per g cm-2.
    width : float64 (intervals,)
        pi x Lorentz half-width over spacing at 1013.25 hPa.
    thermal : float64 (4, intervals)
        Linear and square temperature coefficients of strength, then of width.
    """

    gas: str
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    strength: NDArray[np.float64]
    width: NDArray[np.float64]
    thermal: NDArray[np.float64]

    def phi_psi(
        self, temperature: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Temperature factors of strength and of strength x width, (temperatures, intervals)."""
        te = np.asarray(temperature)[:, None] - _REFERENCE_TEMPERATURE
        a3, a4, a5, a6 = self.thermal
        return np.exp(a3 * te + a4 * te**2), np.exp(a5 * te + a6 * te**2)

    def absorbance(self, c: NDArray[np.float64], cp: NDArray[np.float64]) -> NDArray[np.float64]:
        """``-ln t`` per interval of a path with amounts c and pressure-weighted amounts cp."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.strength * c**2 / (self.width * cp)
            if self.gas == "h2o":
                result = self.strength * c / np.sqrt(1 + ratio)
            else:
                result = 2 * self.strength * c / (1 + np.sqrt(1 + 4 * ratio))
        return np.where(c > 0, result, 0.0)

    def paths(
        self, atmosphere: Atmosphere, levels: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Vertical sums of phi u and psi u p/p0 from space to each level, (levels, intervals)."""
        u = atmosphere.layer_amount(self.gas)[:, None]
        phi, psi = self.phi_psi(atmosphere.layer_temperature)
        p = atmosphere.layer_pressure[:, None] / STANDARD_PRESSURE
        return atmosphere.above(phi * u, levels), atmosphere.above(psi * u * p, levels)


@cache
def band_model(gas: str) -> BandModel:
    """Coefficients of ``h2o``, ``co2``, ``o2`` or ``ch4``."""
    header = ("nu_lo_cm1", "nu_hi_cm1", "a1", "a2", "a3", "a4", "a5", "a6")
    table = read_columns(f"gas_{gas}", header)
    lower, upper, a1, a2, *thermal = (table[key] for key in header)
    return BandModel(gas, lower, upper, a1, a2, np.stack(thermal))


@cache
def interval_weights(gas: str) -> NDArray[np.float64]:
    """Share of each band's weight in the gas's intervals, (platform, band, intervals)."""
    model = band_model(gas)
    return np.array(
        [
            [responses()[p, b].interval_weights(model.lower, model.upper) for b in BAND_IDS]
            for p in PLATFORMS
        ]
    )


def band_absorbance(
    gas: str, profile: int, paths: NDArray[np.float64], levels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``-ln`` of the band-mean transmittance from space to each level and back.

    Parameters
    ----------
    gas : str
    profile : int
        Index into :data:`~spark_cot.simulate.gas.atmosphere.PROFILES`.
    paths : float64 (paths,)
        Sum of the slant factors down and up, times the scaling of the absorber.
    levels : float64 (levels,)
        km.

    Returns
    -------
    float64 (platform, level, path, band)
    """
    model, weights = band_model(gas), interval_weights(gas)
    c, cp = model.paths(atmospheres()[profile], levels)
    slant = paths[:, None]
    absorbed = -np.expm1(-model.absorbance(c[:, None] * slant, cp[:, None] * slant))
    return np.asarray(-np.log1p(-np.einsum("lmi,pbi->plmb", absorbed, weights)))


@cache
def water_table() -> NDArray[np.float64]:
    """Water vapour outside :data:`K_BANDS`: absorbance (platform, profile, level, path, band)."""
    table = _table("h2o")
    table[..., [BAND_IDS.index(band) for band in K_BANDS]] = 0.0
    return table


@cache
def fixed_table() -> NDArray[np.float64]:
    """Absorbance of CO2, CH4 and O2 together, (platform, profile, level, path, band)."""
    return np.asarray(sum(_table(gas) for gas in FIXED_GASES))


def _table(gas: str) -> NDArray[np.float64]:
    profiles = range(len(atmospheres()))
    return np.stack([band_absorbance(gas, p, PATHS, LEVELS) for p in profiles], axis=1)
