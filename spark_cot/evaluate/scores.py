"""How well a model predicts rows of known thickness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.evaluate.sample import Sample
from spark_cot.infer.predictor import Prediction, Predictor
from spark_cot.models.architecture import Float32

#: Noise at test as a share of each band's mean (Pirinen et al. 2024, table 3).
NOISE_LEVELS: Final = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
#: COT that parts clear from thin and thin from thick cloud in the published models.
THIN_COT, THICK_COT = 0.75, 1.25
#: Below this COT users cut, and above it cloud is cloud: errors are told apart there.
SPLIT_COT: Final = 5.0


#: Bins by estimate and by truth in which error and stated uncertainty are compared; COT.
ERROR_EDGES: Final = (0.1, 0.2, 0.35, 0.6, 1.0, 1.75, 3.0, 6.0, 12.0, 20.0)


def error_scores(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """Scores of a model's estimates as JSON values.

    They are of rows under plane-parallel cloud; rows whose cloud has sides have one of their own.

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
        are classed so by true COT.
    """
    flat = sample.plane_parallel
    scores = _flat_scores(predictor, sample.chosen(flat))
    if not flat.all():
        errors = _errors(predictor, sample.chosen(~flat), 0)
        scores["mae_three_dimensional"] = round(float(errors.mean()), 5)
    return scores


def _flat_scores(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    cot = sample.cot
    errors = {f"{100 * s:g}": _errors(predictor, sample, s) for s in NOISE_LEVELS}
    prediction = predictor(sample.features)
    snow_free = sample.snow_free
    clear, cloudy = cot == 0, prediction.cot >= np.float32(predictor.thresholds.thin)
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
    }


def uncertainty_scores(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """Scores of a model's uncertainty and probabilities as JSON values, of all rows.

    Parameters
    ----------
    predictor : Predictor
    sample : Sample
        Rows that training has not seen, under noise as it had.

    Returns
    -------
    dict
        The shares of errors within one and two ``cot_std``; how errors compare with ``cot_std``
        (`error_over_std`) by estimate and by truth; and how far ``p_thin`` and ``p_thick`` are to
        be relied on (`reliability`).
    """
    cot, thresholds = sample.cot, predictor.thresholds
    prediction = predictor(sample.features)
    share = np.abs(prediction.cot - cot) / np.maximum(prediction.cot_std, 1e-9)
    return {
        "errors_within_1_std": float((share <= 1).mean()),
        "errors_within_2_std": float((share <= 2).mean()),
        "error_over_std_by_estimate": error_over_std(prediction, cot, prediction.cot),
        "error_over_std_by_truth": error_over_std(prediction, cot, cot),
        "p_thin": reliability(prediction.p_thin, cot >= np.float32(thresholds.thin)),
        "p_thick": reliability(prediction.p_thick, cot >= np.float32(thresholds.thick)),
    }


def error_over_std(prediction: Prediction, cot: Float32, by: Float32) -> dict[str, Any]:
    """Root mean square error over root mean square ``cot_std``, in bins of `ERROR_EDGES`.

    It is 1 where the uncertainty is right, and above where it is too small. Rows with a true COT
    between the outer edges count; since a right uncertainty also stands for the chance that COT
    lies beyond them, a ratio somewhat below 1 is to be expected.

    Parameters
    ----------
    prediction : Prediction
    cot : numpy.ndarray
        ``(n,)`` true COT.
    by : numpy.ndarray
        ``(n,)`` COT that the bins are of.

    Returns
    -------
    dict
        ``edges``; ``ratio`` (None where a bin has no row) and ``rows`` of each bin.
    """
    low, high = ERROR_EDGES[0], ERROR_EDGES[-1]
    counted = (cot >= low) & (cot <= high) & (by >= low) & (by <= high)
    bins = np.searchsorted(ERROR_EDGES[1:-1], by[counted], side="right")
    rows, errors, stated = (
        np.bincount(bins, weights, len(ERROR_EDGES) - 1)
        for weights in (
            None,
            np.square(prediction.cot - cot)[counted],
            np.square(prediction.cot_std)[counted],
        )
    )
    ratio = np.sqrt(errors / np.maximum(stated, 1e-9))
    return {
        "edges": list(ERROR_EDGES),
        "ratio": [round(float(r), 3) if n else None for r, n in zip(ratio, rows, strict=True)],
        "rows": rows.tolist(),
    }


def reliability(percent: NDArray[np.int8], happened: NDArray[np.bool_]) -> dict[str, Any]:
    """How far stated probabilities are to be relied on.

    Parameters
    ----------
    percent : numpy.ndarray
        ``(n,)`` int8, 0 to 100.
    happened : numpy.ndarray
        ``(n,)`` bool.

    Returns
    -------
    dict
        ``brier``, the mean squared difference (Brier 1950); and in ten equal parts of the range of
        probabilities the mean ``stated`` one, the share ``found`` (both None where there is no row)
        and ``rows``.
    """
    stated = percent / 100
    bins = np.minimum(percent // 10, 9)
    rows, *sums = (np.bincount(bins, values, 10) for values in (None, stated, happened))
    means = [
        [round(float(s / n), 4) if n else None for s, n in zip(values, rows, strict=True)]
        for values in sums
    ]
    return {
        "brier": round(float(np.square(stated - happened).mean()), 5),
        "stated": means[0],
        "found": means[1],
        "rows": rows.tolist(),
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
