"""How well a model reads rows of known thickness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.infer.predictor import Predictor
from spark_cot.models.architecture import Float32
from spark_cot.models.classes import Thresholds

#: Noise at test as a share of each band's mean (Pirinen et al. 2024, table 3).
NOISE_LEVELS: Final = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
#: COT that parts clear from thin and thin from thick cloud in the published models.
THIN_COT, THICK_COT = 0.75, 1.25
#: Below this COT users cut, and above it cloud is cloud: errors are told apart there.
SPLIT_COT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of known thickness.

    Attributes
    ----------
    features : numpy.ndarray
        ``(n, inputs)`` float32, TOA reflectances and then angles (degrees).
    cot : numpy.ndarray
        ``(n,)`` float32, COT at 550 nm.
    bands : int
        Number of leading features that are reflectances.
    """

    features: Float32
    cot: Float32
    bands: int

    def noisy(self, level: float) -> Float32:
        """Features with noise of ``level`` times each band's mean; the same at every call."""
        if level == 0:
            return self.features
        rng = np.random.default_rng(round(1e6 * level))
        rho = self.features[:, : self.bands]
        noise = rng.standard_normal(rho.shape, np.float32) * (level * rho.mean(axis=0))
        return np.hstack([rho + noise, self.features[:, self.bands :]])


def model_scores(
    predictor: Predictor, sample: Sample, snow_free: NDArray[np.bool_]
) -> dict[str, Any]:
    """Scores of a model as JSON values.

    Parameters
    ----------
    predictor : Predictor
    sample : Sample
        Rows that training has not seen.
    snow_free : numpy.ndarray
        ``(n,)``: rows whose ground is free of snow.

    Returns
    -------
    dict
        Mean absolute errors by noise level (percent), of all rows and on either side of COT 5;
        shares of clear rows read as more than 1.25, and classed thin or thick; shares of rows that
        are classed so by true COT; and the shares of errors within one and two ``cot_std``.
    """
    cot = sample.cot
    errors = {f"{100 * s:g}": _errors(predictor, sample, s) for s in NOISE_LEVELS}
    said = predictor(sample.features)
    clear, cloudy = cot == 0, said.cot >= np.float32(predictor.thresholds.thin)
    share = np.abs(said.cot - cot) / np.maximum(said.cot_std, 1e-9)
    return {
        "rows": len(cot),
        "mae": _by(errors, cot >= 0),
        "mae_below_5": _by(errors, cot < SPLIT_COT),
        "mae_from_5": _by(errors, cot >= SPLIT_COT),
        "clear_read_above_1.25": _share(said.cot > THICK_COT, clear),
        "clear_snow_free_read_above_1.25": _share(said.cot > THICK_COT, clear & snow_free),
        "clear_classed_cloudy": _share(cloudy, clear),
        "clear_snow_free_classed_cloudy": _share(cloudy, clear & snow_free),
        "cot_above_0.75_classed_cloudy": _share(cloudy, cot >= THIN_COT),
        "errors_within_1_std": float((share <= 1).mean()),
        "errors_within_2_std": float((share <= 2).mean()),
    }


def best_thresholds(estimate: Float32, cot: Float32) -> Thresholds:
    """Thresholds on the estimate that tell the true classes apart best.

    Thin: the cut with the largest difference between the share of clouds of COT 0.75 and more
    that lie above it and the share of clear rows that do (Youden 1950). Thick: the same for COT
    of 1.25 and more against the rest. Both to two figures after the point.

    Parameters
    ----------
    estimate, cot : numpy.ndarray
        ``(n,)`` estimated and true COT.

    Raises
    ------
    ModelError
        There are no rows on one side of a cut.
    """
    thin = _youden(estimate[cot == 0], estimate[cot >= THIN_COT])
    thick = _youden(estimate[cot < THICK_COT], estimate[cot >= THICK_COT])
    return Thresholds(thin, max(thin, thick))


def _youden(below: Float32, above: Float32) -> float:
    if not (len(below) and len(above)):
        raise ModelError(
            f"{len(below)} thinner and {len(above)} thicker rows to choose a threshold by",
            cure="Validate on clear, thin and thick rows",
        )
    cuts = np.arange(1, 301) / 100
    sides = cuts.astype(np.float32)  # as pixels are compared with them
    missed = np.searchsorted(np.sort(above), sides) / len(above)
    alarms = 1 - np.searchsorted(np.sort(below), sides) / len(below)
    return float(cuts[np.argmin(missed + alarms)])


def _errors(predictor: Predictor, sample: Sample, level: float) -> Float32:
    errors: Float32 = np.abs(predictor(sample.noisy(level)).cot - sample.cot)
    return errors


def _by(errors: Mapping[str, Float32], rows: NDArray[np.bool_]) -> dict[str, float]:
    return {level: _share(values, rows) for level, values in errors.items()}


def _share(values: NDArray[Any], rows: NDArray[np.bool_]) -> float:
    """Mean of ``values`` over the chosen rows, 0 where there are none."""
    chosen = values[rows]
    return round(float(chosen.mean()), 5) if chosen.size else 0.0
