"""Checks of the optics tables: gas transmittance and scattering by droplets."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import SetupError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.bands import PLATFORMS, responses
from spark_cot.simulate.column import boundaries
from spark_cot.simulate.csvdata import read_columns
from spark_cot.simulate.gas.absorption import TERM_BAND, TERM_WEIGHT, gas_depths, slant_factor
from spark_cot.simulate.gas.atmosphere import GASES
from spark_cot.simulate.gas.transmittance import band_absorbance
from spark_cot.simulate.optics import Optics, load_optics
from spark_cot.simulate.scattering.droplets import VARIANCE, droplets, refractive_index
from spark_cot.simulate.scattering.mie import gamma_weights
from spark_cot.simulate.validate.report import Check
from spark_cot.simulate.world.sampler import draw_block
from spark_cot.simulate.world.states import States

_ROWS: Final = 64
_RADII_UM: Final = (5.0, 10.0, 20.0)
_MIE_BANDS: Final = ("B02", "B04", "B8A", "B11", "B12")
#: Absorption too weak to compare: it comes from resonances that no grid of radii resolves.
_WEAK_ABSORPTION: Final = 1e-5


def transmittance(states: States, optics: Optics) -> NDArray[np.float64]:
    """Two-way transmittance to the five lower boundaries as solved, (rows, 13, 5)."""
    depths = np.cumsum(gas_depths(states, optics, boundaries(states)), axis=2)
    two_way = np.exp(-depths * slant_factor(states)[:, None, None])
    bands = np.zeros((depths.shape[0], len(BAND_IDS), depths.shape[2]))
    for term, band in enumerate(TERM_BAND):
        bands[:, band] += TERM_WEIGHT[term] * two_way[:, term]
    return bands


def exact_transmittance(states: States, row: int) -> NDArray[np.float64]:
    """The same of one row from every spectral interval of every gas, (13, 5)."""
    levels = boundaries(states)[row, 1:]
    slant = slant_factor(states)[row]
    total = np.ones((len(BAND_IDS), levels.size))
    for gas in GASES:
        path = slant * (states.water_scale[row] if gas == "h2o" else 1.0)
        absorbance = band_absorbance(gas, states.profile[row], np.array([path]), levels)
        total *= np.exp(-absorbance[states.platform[row], :, 0].T)
    ozone = _ozone(int(states.platform[row]), slant * states.ozone[row] / 1000)
    return total * ozone[:, None]


def gas_checks() -> list[Check]:
    """Largest differences between the two over random states."""
    states = draw_block(1, 0).take(np.arange(_ROWS))
    solved = transmittance(states, load_optics())
    exact = np.stack([exact_transmittance(states, row) for row in range(_ROWS)])
    worst = np.abs(solved - exact).max(axis=(0, 2))
    b09, b10 = BAND_IDS.index("B09"), BAND_IDS.index("B10")
    label = "gas transmittance against every interval, largest difference"
    return [
        Check(f"{label}, B09", worst[b09], most=0.04),
        Check(f"{label}, B10", worst[b10], most=0.03),
        Check(f"{label}, other bands", np.delete(worst, [b09, b10]).max(), most=0.01),
    ]


def mie_checks(bands: tuple[str, ...] = _MIE_BANDS) -> list[Check]:
    """Asymmetry and absorption of droplets against the miepython package."""
    asymmetry, absorption = [], []
    for band in bands:
        wavelength = round(responses()["S2A", band].centre, 1)
        drops = droplets(wavelength, np.array(_RADII_UM))
        g, co_albedo = _miepython(wavelength)
        asymmetry.append(np.abs(drops.moments[:, 1] - g))
        strong = co_albedo > _WEAK_ABSORPTION
        absorption.append(np.abs((1 - drops.albedo) / co_albedo - 1)[strong])
    worst_g, worst_a = np.concatenate(asymmetry).max(), np.concatenate(absorption).max()
    return [
        Check("Mie: asymmetry against miepython, largest difference", worst_g, most=0.003),
        Check("Mie: 1 - omega against miepython, largest relative", worst_a, most=0.03),
    ]


def _miepython(wavelength: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Asymmetry and 1 - omega for each effective radius, on a fine grid of radii."""
    try:
        import miepython
    except ModuleNotFoundError as error:
        raise SetupError(
            "miepython is not installed", "validation", "pip install 'spark-cot[dev]'"
        ) from error
    radius = np.geomspace(0.4, 90, 5000)
    index = complex(refractive_index(np.array([wavelength]), "water")[0])
    size = 2 * np.pi * radius * 1000 / wavelength
    extinction, scattering, _, g = miepython.efficiencies_mx(index, size)
    weights = [gamma_weights(radius, re, VARIANCE) * radius**2 for re in _RADII_UM]
    mean_g = np.array([(w * scattering) @ g / (w @ scattering) for w in weights])
    absorbed = np.array([w @ (extinction - scattering) / (w @ extinction) for w in weights])
    return mean_g, absorbed


def _ozone(platform: int, column: float) -> NDArray[np.float64]:
    """Band-mean transmittance of a slant ozone column in atm-cm, (13,)."""
    table = read_columns("gas_o3", ("nu_cm1", "k_per_atm_cm"))
    means = []
    for band in BAND_IDS:
        response = responses()[PLATFORMS[platform], band]
        k = np.interp(1e7 / response.wavelength, table["nu_cm1"], table["k_per_atm_cm"], left=0)
        means.append(response.mean(np.exp(-k * column)))
    return np.array(means)
