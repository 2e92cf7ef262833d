"""A white cloud that grows brighter, and whether a model loses it.

Sunlit sides of clouds, low sun and three-dimensional effects raise the reflectance of real cloud
above what flat cloud reaches, and above 1 (Varnai & Marshak 2002, J. Atmos. Sci. 59, 1607-1618).
A model that has never seen it must not take it for clear ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.figure import Figure

from spark_cot.evaluate.two_dates import CLOUDS, GROUNDS, geometry, reflectance, sky
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.validate.report import Check
from spark_cot.style import CURVES, FAINT, INK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spark_cot.infer.predictor import Predictor

    Floats = NDArray[np.float64]

#: Reflectance of B04 along the ramp.
BRIGHTNESS: Final = np.linspace(0.6, 2.0, 57)
SUNS: Final = (20.0, 30.0, 45.0, 60.0, 75.0)

#: No estimate may fall below this share of the largest one before it.
STEADY: Final = 1 / 3

_WHITE_COT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """What a model says as a cloud grows brighter.

    Attributes
    ----------
    cloud : str
        ``water`` or ``ice``.
    sun_zenith : float
        Degrees.
    brightness : float64 (n,)
        Reflectance of B04, rising; all bands keep their proportions.
    estimate, cot_std : float32 (n,)
        COT and its standard uncertainty; NaN where the model says nothing.
    """

    cloud: str
    sun_zenith: float
    brightness: Floats
    estimate: NDArray[np.float32]
    cot_std: NDArray[np.float32]

    @property
    def steadiness(self) -> float:
        """Smallest share that an estimate has of the largest one before it; NaN counts as 0."""
        said = np.nan_to_num(self.estimate.astype(np.float64))
        largest = np.maximum.accumulate(said)
        return float((said / np.maximum(largest, np.finfo(np.float64).tiny)).min())


def white_cloud(cloud: str, sun_zenith: float) -> Floats:
    """TOA reflectance (13,) of a cloud of COT 60 over the sea, in proportion to B04.

    Parameters
    ----------
    cloud : str
        Of `two_dates.CLOUDS`.
    sun_zenith : float
        Degrees.
    """
    (rho,) = reflectance(sky(cloud, sun_zenith), GROUNDS["sea"], np.array([_WHITE_COT]))
    return np.asarray(rho / rho[BAND_IDS.index("B04")])


def brightness_ramp(predictor: Predictor, cloud: str, sun_zenith: float) -> Ramp:
    """Estimates of one cloud from B04 = 0.6 to 2.0, in whatever bands the model reads."""
    rho = BRIGHTNESS[:, None] * white_cloud(cloud, sun_zenith)
    angles = {name: np.full(BRIGHTNESS.size, value) for name, value in geometry(sun_zenith).items()}
    said = predictor.from_columns(dict(zip(BAND_IDS, rho.T, strict=True)) | angles)
    return Ramp(cloud, sun_zenith, BRIGHTNESS, said.cot, said.cot_std)


def brightness_ramps(predictor: Predictor, suns: Iterable[float] = SUNS) -> list[Ramp]:
    """Water and ice cloud under each sun."""
    return [brightness_ramp(predictor, cloud, sun) for cloud in CLOUDS for sun in suns]


def ramp_checks(predictor: Predictor) -> list[Check]:
    """Every ramp against STEADY."""
    return [
        Check(
            f"{ramp.cloud} cloud growing brighter, sun {ramp.sun_zenith:g}: "
            "smallest estimate over the largest before it",
            ramp.steadiness,
            least=STEADY,
        )
        for ramp in brightness_ramps(predictor)
    ]


def ramps_figure(ramps: Iterable[Ramp]) -> Figure:
    """Estimates against brightness: a panel a cloud, a curve a sun."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes = dict(zip(CLOUDS, figure.subplots(1, len(CLOUDS), sharey=True), strict=True))
    colours = dict(zip(SUNS, CURVES, strict=False))
    for ramp in ramps:
        axes[ramp.cloud].plot(
            ramp.brightness, ramp.estimate, color=colours[ramp.sun_zenith], lw=1.4,
            label=f"sun {ramp.sun_zenith:g}°",
        )  # fmt: skip
    for cloud, axis in axes.items():
        axis.axvline(1, color=FAINT, lw=0.8, ls=":")
        axis.set(yscale="log", ylim=(0.05, 200), xlabel="reflectance of B04")
        axis.set_title(f"white {cloud} cloud", loc="left", color=INK, weight="bold", fontsize=11)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.tick_params(colors=FAINT)
    axes["water"].set_ylabel("estimated thickness")
    axes["water"].legend(frameon=False, fontsize=9)
    return figure
