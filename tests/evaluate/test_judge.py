"""A trained model judged: its calibration, its thresholds, its scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.evaluate.judge import (
    CLEAR_PER_THIN,
    THRESHOLD_RULE,
    best_temperature,
    best_thresholds,
    judged,
    member,
    negative_log_likelihood,
    tempered,
)
from spark_cot.evaluate.sample import Sample, read_sample
from spark_cot.evaluate.scores import uncertainty_scores
from spark_cot.infer.predictor import Predictor
from spark_cot.models import MLP, Bundle


@pytest.fixture(scope="module")
def sample(posterior_bundle: Bundle) -> Sample:
    """Rows whose COT is drawn from what the model says of them."""
    rng = np.random.default_rng(1)
    bundle = posterior_bundle
    features = rng.normal(bundle.means, bundle.stds, (20_000, 4)).astype(np.float32)
    below = np.cumsum(Predictor(bundle).probabilities(features), axis=0)
    bins = np.minimum((below < rng.random(len(features))).sum(axis=0), 4)
    knots = np.array(bundle.target.knots)
    middles = np.concatenate([[0], (knots[1:] + knots[:-1]) / 2])
    cot = middles[bins].astype(np.float32)
    return Sample(features, cot, len(bundle.bands), *np.ones((2, len(features)), bool))


@pytest.mark.parametrize("off", [0.4, 1.0, 2.5])
def test_the_temperature_that_makes_a_model_as_sure_as_it_should_be(
    posterior_bundle: Bundle, sample: Sample, off: float
) -> None:
    wrong = tempered(posterior_bundle, off)
    assert best_temperature(wrong, sample) == pytest.approx(1 / off, rel=0.05)


def test_the_best_temperature_is_the_likeliest(posterior_bundle: Bundle, sample: Sample) -> None:
    wrong = tempered(posterior_bundle, 0.6)
    best = best_temperature(wrong, sample)
    likelihood = [
        negative_log_likelihood(tempered(wrong, t), sample)
        for t in (0.95 * best, best, 1.05 * best)
    ]
    assert min(likelihood) == likelihood[1]


def test_likelihood_row_by_row(posterior_bundle: Bundle, sample: Sample) -> None:
    few = sample.chosen(np.arange(len(sample.cot)) < 50)
    probabilities = Predictor(posterior_bundle).probabilities(few.features)
    knots = posterior_bundle.target.knots
    logs = [
        np.log(row[0 if cot == 0 else sum(cot >= knot for knot in knots)])
        for row, cot in zip(probabilities.T, few.cot, strict=True)
    ]
    found = negative_log_likelihood(posterior_bundle, few)
    assert found == pytest.approx(-np.mean(logs), rel=1e-5)


def test_temperature_divides_the_logits(posterior_bundle: Bundle, sample: Sample) -> None:
    alone = member(posterior_bundle, 0)
    before, after = (
        np.log(Predictor(bundle).probabilities(sample.features[:100]))
        for bundle in (alone, tempered(alone, 2.0))
    )
    np.testing.assert_allclose(2 * (after - after[0]), before - before[0], rtol=1e-3, atol=1e-4)


def test_a_member_is_one_of_the_networks(posterior_bundle: Bundle, sample: Sample) -> None:
    alone = [
        Predictor(member(posterior_bundle, i)).probabilities(sample.features) for i in range(3)
    ]
    together = Predictor(posterior_bundle).probabilities(sample.features)
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-4, atol=1e-7)


# ---------------------------------------------------------------- whole bundles


@pytest.fixture(scope="module")
def samples(posterior_bundle: Bundle, synthetic: Path) -> tuple[Sample, Sample]:
    """Validation and test rows."""
    validation, test = (
        read_sample(synthetic / f"split={split}", posterior_bundle.inputs)
        for split in ("val", "test")
    )
    return validation, test


def test_a_judged_model_has_scores_and_thresholds(
    posterior_bundle: Bundle, samples: tuple[Sample, Sample]
) -> None:
    validation, test = samples
    found = judged(posterior_bundle, validation, test, validation)
    assert found.metrics["threshold_rule"] == THRESHOLD_RULE
    assert found.metrics["rows"] == 300
    assert found.metrics["mae_of_one_member"].keys() == found.metrics["mae"].keys()
    assert found.metrics["mae_of_one_member"] != found.metrics["mae"]
    temperature = found.metrics["temperature"]
    assert temperature == pytest.approx(best_temperature(posterior_bundle, validation), abs=1e-4)
    likelihood = [negative_log_likelihood(b, validation) for b in (found, posterior_bundle)]
    assert likelihood[0] < likelihood[1] - 0.01
    uncertain = uncertainty_scores(Predictor(found), validation)
    assert uncertain.items() <= found.metrics.items()
    estimate = Predictor(found)(validation.features).cot
    assert found.thresholds == best_thresholds(estimate, validation.cot)
    assert found.thresholds != posterior_bundle.thresholds


def test_a_judged_model_is_judged_the_same_again(
    posterior_bundle: Bundle, samples: tuple[Sample, Sample]
) -> None:
    once = judged(posterior_bundle, *samples, samples[1])
    again = judged(once, *samples, samples[1])
    assert again.metrics["temperature"] == pytest.approx(1, abs=0.02)
    assert again.metrics["mae"]["0"] == pytest.approx(once.metrics["mae"]["0"], rel=0.02)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_model_without_a_distribution_keeps_its_weights(
    double_bundle: Bundle, samples: tuple[Sample, Sample], outputs: int
) -> None:
    weights = dict(double_bundle.weights)
    for name in ("layer2.weight", "layer2.bias"):
        weights[name] = weights[name][:, :outputs].copy()
    reader = replace(double_bundle, architecture=MLP(3, (4, 6, outputs)), weights=weights)
    found = judged(reader, *samples, samples[1])
    np.testing.assert_array_equal(found.weights["layer2.bias"], weights["layer2.bias"])
    assert "temperature" not in found.metrics


# ---------------------------------------------------------------- thresholds


def best_cuts(below: NDArray[Any], above: NDArray[Any], odds: float) -> set[float]:
    """All cuts that part best, by trying each of them; rounding decides which one is chosen."""
    wrong = {}
    for cut in np.arange(1, 301) / 100:
        limit = np.float32(cut)
        wrong[float(cut)] = np.mean(above < limit) + odds * np.mean(below >= limit)
    return {cut for cut, share in wrong.items() if share < min(wrong.values()) + 1e-9}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2.0))
@example(462381, 0.83984375)  # two cuts that part equally well
def test_thresholds_against_trying_every_cut(seed: int, blur: float) -> None:
    rng = np.random.default_rng(seed)
    cot = np.where(rng.random(200) < 0.4, 0, rng.lognormal(0.3, 1, 200))
    cot[:3] = (0, 0.8, 2.0)
    estimate = np.abs(cot + rng.normal(0, blur, 200)).astype(np.float32)
    found = best_thresholds(estimate, cot)
    thin = (cot >= 0.5) & (cot <= 3)
    cuts = best_cuts(estimate[cot == 0], estimate[thin], CLEAR_PER_THIN)
    assert found.thin in {min(cut, 0.75) for cut in cuts}
    thick = best_cuts(estimate[cot < 1.25], estimate[cot >= 1.25], 1.0)
    assert found.thick in {max(found.thin, cut) for cut in thick}


def test_classes_far_apart_are_parted() -> None:
    cot = np.array([0, 0, 0.8, 0.9, 3, 4])
    estimate = np.array([0.1, 0.2, 0.6, 0.7, 2.0, 2.5], np.float32)
    found = best_thresholds(estimate, cot)
    assert 0.2 < found.thin <= 0.6
    assert 0.7 < found.thick <= 2.0


@pytest.mark.parametrize("cot", [[0.8, 2.0], [0.0, 0.2], [0.0, 1.0], [0.0, 3.5]])
def test_thresholds_need_rows_on_both_sides(cot: list[float]) -> None:
    with pytest.raises(ModelError, match=r"to choose a threshold by. Validate on clear, thin"):
        best_thresholds(np.array(cot, np.float32), np.array(cot))
