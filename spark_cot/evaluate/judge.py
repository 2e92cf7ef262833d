"""From trained weights to a model that can be used: uncertainty, thresholds, scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from spark_cot.errors import ModelError
from spark_cot.evaluate.sample import Sample
from spark_cot.evaluate.scores import THICK_COT, THIN_COT, model_scores
from spark_cot.infer.predictor import Predictor
from spark_cot.models.architecture import Float32
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds

#: Rows that uncertainty and thresholds are fitted on.
FIT_ROWS: Final = 50_000
#: Share of errors within one standard deviation of a normal distribution.
ONE_SIGMA: Final = math.erf(math.sqrt(0.5))

THRESHOLD_RULE: Final = (
    "Youden's index on validation rows under the training noise: thin parts COT 0 from 0.75 and "
    "more, thick parts below 1.25 from the rest"
)


def judged(trained: Bundle, validation: Sample, test: Sample) -> Bundle:
    """The bundle with calibrated uncertainty, thresholds of its own, and scores.

    Parameters
    ----------
    trained : Bundle
        Its thresholds and scores are replaced.
    validation : Sample
        Rows under the noise of the training, for uncertainty and thresholds.
    test : Sample
        Rows without noise, for the scores.

    Raises
    ------
    ModelError
        There are no clear, thin or thick validation rows to choose thresholds by.
    """
    bundle = calibrated(trained, validation) if trained.architecture.predicts_error else trained
    thresholds = best_thresholds(Predictor(bundle)(validation.features).cot, validation.cot)
    bundle = replace(bundle, thresholds=thresholds)
    scores = model_scores(Predictor(bundle), test) | {"threshold_rule": THRESHOLD_RULE}
    if bundle.architecture.members > 1:
        alone = model_scores(Predictor(member(bundle, 0)), test)
        scores |= {"mae_of_one_member": alone["mae"]}
    return replace(bundle, metrics=scores)


def calibrated(bundle: Bundle, sample: Sample) -> Bundle:
    """The bundle with its predicted errors scaled so that 68.3 % of the rows' errors are smaller.

    The scale goes into the bias of the second output, a logarithm, so a bundle needs no further
    number for it.

    Parameters
    ----------
    bundle : Bundle
        Of a model that predicts its error.
    sample : Sample
    """
    low, high = math.log(0.01), math.log(100.0)
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        prediction = Predictor(_shifted(bundle, middle))(sample.features)
        if (np.abs(prediction.cot - sample.cot) <= prediction.cot_std).mean() < ONE_SIGMA:
            low = middle
        else:
            high = middle
    return _shifted(bundle, high)


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


def member(bundle: Bundle, index: int) -> Bundle:
    """One network of an ensemble, as a bundle."""
    weights = {name: tensor[index : index + 1].copy() for name, tensor in bundle.weights.items()}
    return replace(bundle, architecture=replace(bundle.architecture, members=1), weights=weights)


def _shifted(bundle: Bundle, amount: float) -> Bundle:
    name = f"layer{bundle.architecture.layers}.bias"
    bias = bundle.weights[name].copy()
    bias[:, 1] += np.float32(amount)
    return replace(bundle, weights=bundle.weights | {name: bias})


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
