"""Spectral responses of the MSI bands and means over a band, weighted with response x sunlight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.msi import BAND_IDS, SATELLITES
from spark_cot.simulate.csvdata import numbers, read_columns, read_text_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PLATFORMS: Final = tuple(SATELLITES.values())

#: Step of the grid that band means are integrated on, nm.
STEP_NM: Final = 0.05

#: Pressure the Rayleigh optical depths refer to, hPa.
STANDARD_PRESSURE: Final = 1013.25

#: Ozone column of the US standard atmosphere that the band coefficients are exact for, atm-cm.
STANDARD_OZONE: Final = 0.3436


@dataclass(frozen=True, slots=True)
class BandResponse:
    """One band of one platform.

    Attributes
    ----------
    platform, band : str
        Such as ``S2A`` and ``B8A``.
    wavelength : float64 (n,)
        Grid of :data:`STEP_NM`, nm.
    weight : float64 (n,)
        Response x solar irradiance, sum 1.
    response : float64 (n,)
        Response alone, sum 1.
    """

    platform: str
    band: str
    wavelength: NDArray[np.float64]
    weight: NDArray[np.float64]
    response: NDArray[np.float64]

    def mean(self, values: NDArray[np.float64]) -> float:
        """Mean of ``values`` (n,), given on :attr:`wavelength`."""
        return float(self.weight @ values)

    @property
    def centre(self) -> float:
        """Response-weighted mean wavelength, nm (the centre given in the metadata)."""
        return float(self.response @ self.wavelength)

    def interval_weights(
        self, lower: NDArray[np.float64], upper: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Share of the band's weight in each wavenumber interval [lower, upper), cm-1."""
        wavenumber = 1e7 / self.wavelength
        order = np.argsort(wavenumber)
        cumulative = np.concatenate([[0.0], np.cumsum(self.weight[order])])
        first = np.searchsorted(wavenumber[order], lower)
        last = np.searchsorted(wavenumber[order], upper)
        return np.asarray(cumulative[last] - cumulative[first])

    def node_weights(self, nodes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights (nodes,) that make a mean from values at ``nodes`` (nm), linear in between."""
        hats = np.eye(nodes.size)
        return np.array([self.mean(np.interp(self.wavelength, nodes, hat)) for hat in hats])


@cache
def responses() -> dict[tuple[str, str], BandResponse]:
    """Every band response, keyed by (platform, band)."""
    table = read_text_columns("msi_srf", ("platform", "band", "wavelength_nm", "response"))
    wavelength = numbers(table["wavelength_nm"], "msi_srf.csv, wavelength_nm")
    response = numbers(table["response"], "msi_srf.csv, response")
    key = np.array([f"{p} {b}" for p, b in zip(table["platform"], table["band"], strict=True)])
    sun = read_columns("solar_irradiance", ("wavelength_nm", "e0_tsis_w_m2_nm"))
    found = {}
    for platform in PLATFORMS:
        for band in BAND_IDS:
            mine = key == f"{platform} {band}"
            steps = round((wavelength[mine][-1] - wavelength[mine][0]) / STEP_NM)
            grid = wavelength[mine][0] + STEP_NM * np.arange(steps + 1)
            shape = np.interp(grid, wavelength[mine], response[mine])
            light = shape * np.interp(grid, sun["wavelength_nm"], sun["e0_tsis_w_m2_nm"])
            found[platform, band] = BandResponse(
                platform, band, grid, light / light.sum(), shape / shape.sum()
            )
    return found


def rayleigh_optical_depth(band: BandResponse) -> float:
    """Rayleigh optical depth at 1013.25 hPa (Hansen & Travis 1974, eq. 2.30), band mean."""
    um = band.wavelength / 1000
    return band.mean(0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4))


def ozone_coefficient(band: BandResponse) -> float:
    """Ozone absorption per atm-cm: exact band transmittance at one US-standard column."""
    table = read_columns("gas_o3", ("nu_cm1", "k_per_atm_cm"))
    k = np.interp(1e7 / band.wavelength, table["nu_cm1"], table["k_per_atm_cm"], left=0.0)
    return float(-np.log(band.mean(np.exp(-k * STANDARD_OZONE))) / STANDARD_OZONE)


@cache
def rayleigh_table() -> NDArray[np.float64]:
    """Rayleigh optical depths, (platform, band)."""
    return _table(rayleigh_optical_depth)


@cache
def ozone_table() -> NDArray[np.float64]:
    """Ozone coefficients per atm-cm, (platform, band)."""
    return _table(ozone_coefficient)


def _table(quantity: Callable[[BandResponse], float]) -> NDArray[np.float64]:
    return np.array([[quantity(responses()[p, b]) for b in BAND_IDS] for p in PLATFORMS])
