"""From trained weights to a model that can be used: calibration, thresholds, scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from spark_cot.errors import ModelError
from spark_cot.evaluate.sample import Sample
from spark_cot.evaluate.scores import THICK_COT, THIN_COT, error_scores, uncertainty_scores
from spark_cot.infer.predictor import Predictor
from spark_cot.models.architecture import Float32
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.posterior import Posterior

#: Rows that calibration and thresholds are fitted on.
FIT_ROWS: Final = 50_000
#: COT of the clouds that the thin threshold is to part from clear ground: thicker ones, which any
#: threshold finds, would decide it by their number.
THIN_RANGE: Final = (0.5, 3.0)
#: Temperatures that are tried, and how closely one is found, as natural logarithms.
_LOG_TEMPERATURE, _CLOSE = 3.0, 0.005

#: Clear pixels for each under cloud of THIN_RANGE in archives of scenes that were chosen for little
#: cloud. With as many of both (Youden's index) thin cloud that looks like ground buys few hits with
#: many false alarms: on real clear chips three times as many as with ten.
CLEAR_PER_THIN: Final = 10.0

THRESHOLD_RULE: Final = (
    "fewest wrong pixels, on validation rows under the training noise: thin parts COT 0 from 0.5 "
    "to 3, with ten times as many clear pixels, at 0.75 at most; thick parts below 1.25 from the "
    "rest (Youden)"
)


def judged(trained: Bundle, validation: Sample, test: Sample, noisy_test: Sample) -> Bundle:
    """The bundle with calibrated probabilities, thresholds of its own, and scores.

    Parameters
    ----------
    trained : Bundle
        Its thresholds and scores are replaced.
    validation : Sample
        Rows under the noise of the training, for calibration and thresholds.
    test, noisy_test : Sample
        Rows for the scores, without noise for errors and under that of the training for
        uncertainty: it is meant for rows under noise.

    Raises
    ------
    ModelError
        There are no clear, thin or thick validation rows to choose thresholds by.
    """
    bundle, fitted = trained, {}
    if isinstance(trained.target, Posterior):
        temperature = best_temperature(trained, validation)
        bundle, fitted = tempered(trained, temperature), {"temperature": round(temperature, 4)}
    thresholds = best_thresholds(Predictor(bundle)(validation.features).cot, validation.cot)
    bundle = replace(bundle, thresholds=thresholds)
    predictor = Predictor(bundle)
    scores = error_scores(predictor, test) | uncertainty_scores(predictor, noisy_test)
    scores |= {"threshold_rule": THRESHOLD_RULE} | fitted
    if bundle.architecture.members > 1:
        alone = error_scores(Predictor(member(bundle, 0)), test)
        scores |= {"mae_of_one_member": alone["mae"]}
    return replace(bundle, metrics=scores)


def best_temperature(bundle: Bundle, sample: Sample) -> float:
    """Temperature at which the sample is likeliest: logits are to be divided by it.

    One number that makes a softmax as sure as it should be (Guo et al. 2017, "On calibration of
    modern neural networks", section 4.2), here of the members before their mean is taken. Found by
    golden section of the mean negative log likelihood.

    Parameters
    ----------
    bundle : Bundle
        Of a model that predicts a distribution.
    sample : Sample
    """
    golden = 0.5 * (math.sqrt(5) - 1)
    low, high = -_LOG_TEMPERATURE, _LOG_TEMPERATURE

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(tempered(bundle, math.exp(log_temperature)), sample)

    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > _CLOSE:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = loss(right)
    return math.exp(0.5 * (low + high))


def negative_log_likelihood(bundle: Bundle, sample: Sample) -> float:
    """Mean negative logarithm of the probability of the true COT's bin."""
    assert isinstance(bundle.target, Posterior)
    probabilities = Predictor(bundle).probabilities(sample.features)
    found = probabilities[bundle.target.bins(sample.cot), np.arange(len(sample.cot))]
    return float(-np.log(found, dtype=np.float64).mean())


def tempered(bundle: Bundle, temperature: float) -> Bundle:
    """The bundle with its logits divided by ``temperature``, in the weights of its last layer."""
    last = [f"layer{bundle.architecture.layers}.{part}" for part in ("weight", "bias")]
    divided = {name: bundle.weights[name] / np.float32(temperature) for name in last}
    return replace(bundle, weights=bundle.weights | divided)


def best_thresholds(estimate: Float32, cot: Float32) -> Thresholds:
    """Thresholds on the estimate that tell the true classes apart best.

    Thin: the cut with the fewest wrong pixels where clear ground is `CLEAR_PER_THIN` times as
    frequent as cloud of COT 0.5 to 3, but no higher than the COT from which the published models
    call cloud thin, 0.75: a model that sees little of thin cloud would have no thin class. Thick:
    the cut with the largest difference between the share of COT 1.25 and more that lies above it
    and the share of the rest that does (Youden 1950). Both to two figures after the point.

    Parameters
    ----------
    estimate, cot : numpy.ndarray
        ``(n,)`` estimated and true COT.

    Raises
    ------
    ModelError
        There are no rows on one side of a cut.
    """
    thinnest, thickest = THIN_RANGE
    clouds = estimate[(cot >= thinnest) & (cot <= thickest)]
    thin = min(_best_cut(estimate[cot == 0], clouds, CLEAR_PER_THIN), THIN_COT)
    thick = _best_cut(estimate[cot < THICK_COT], estimate[cot >= THICK_COT], 1.0)
    return Thresholds(thin, max(thin, thick))


def member(bundle: Bundle, index: int) -> Bundle:
    """One network of an ensemble, as a bundle."""
    weights = {name: tensor[index : index + 1].copy() for name, tensor in bundle.weights.items()}
    return replace(bundle, architecture=replace(bundle.architecture, members=1), weights=weights)


def _best_cut(below: Float32, above: Float32, odds: float) -> float:
    """The cut with the fewest wrong rows where those below are ``odds`` times as frequent."""
    if not (len(below) and len(above)):
        raise ModelError(
            f"{len(below)} thinner and {len(above)} thicker rows to choose a threshold by",
            cure="Validate on clear, thin and thick rows",
        )
    cuts = np.arange(1, 301) / 100
    sides = cuts.astype(np.float32)  # as pixels are compared with them
    missed = np.searchsorted(np.sort(above), sides) / len(above)
    alarms = 1 - np.searchsorted(np.sort(below), sides) / len(below)
    return float(cuts[np.argmin(missed + odds * alarms)])
