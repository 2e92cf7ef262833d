"""How well a model predicts rows of known thickness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.evaluate.sample import Sample
from spark_cot.infer.predictor import Predictor
from spark_cot.models.architecture import Float32

#: Noise at test as a share of each band's mean (Pirinen et al. 2024, table 3).
NOISE_LEVELS: Final = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
#: COT that parts clear from thin and thin from thick cloud in the published models.
THIN_COT, THICK_COT = 0.75, 1.25
#: Below this COT users cut, and above it cloud is cloud: errors are told apart there.
SPLIT_COT: Final = 5.0


def model_scores(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """Scores of a model as JSON values.

    Parameters
    ----------
    predictor : Predictor
    sample : Sample
        Rows that training has not seen.

    Returns
    -------
    dict
        Mean absolute errors by noise level (percent), of all rows and on either side of COT 5;
        shares of clear rows read as more than 1.25, and classed thin or thick; shares of rows that
        are classed so by true COT; and the shares of errors within one and two ``cot_std``.
    """
    cot = sample.cot
    errors = {f"{100 * s:g}": _errors(predictor, sample, s) for s in NOISE_LEVELS}
    prediction = predictor(sample.features)
    snow_free = sample.snow_free
    clear, cloudy = cot == 0, prediction.cot >= np.float32(predictor.thresholds.thin)
    share = np.abs(prediction.cot - cot) / np.maximum(prediction.cot_std, 1e-9)
    return {
        "rows": len(cot),
        "mae": _by(errors, cot >= 0),
        "mae_below_5": _by(errors, cot < SPLIT_COT),
        "mae_from_5": _by(errors, cot >= SPLIT_COT),
        "clear_read_above_1.25": _share(prediction.cot > THICK_COT, clear),
        "clear_snow_free_read_above_1.25": _share(prediction.cot > THICK_COT, clear & snow_free),
        "clear_classed_cloudy": _share(cloudy, clear),
        "clear_snow_free_classed_cloudy": _share(cloudy, clear & snow_free),
        "cot_above_0.75_classed_cloudy": _share(cloudy, cot >= THIN_COT),
        "errors_within_1_std": float((share <= 1).mean()),
        "errors_within_2_std": float((share <= 2).mean()),
    }


def _errors(predictor: Predictor, sample: Sample, level: float) -> Float32:
    errors: Float32 = np.abs(predictor(sample.noisy(level)).cot - sample.cot)
    return errors


def _by(errors: Mapping[str, Float32], rows: NDArray[np.bool_]) -> dict[str, float]:
    return {level: _share(values, rows) for level, values in errors.items()}


def _share(values: NDArray[Any], rows: NDArray[np.bool_]) -> float:
    """Mean of ``values`` over the chosen rows, 0 where there are none."""
    chosen = values[rows]
    return round(float(chosen.mean()), 5) if chosen.size else 0.0
