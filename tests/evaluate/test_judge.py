"""A trained model judged: its uncertainty, its thresholds, its scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.evaluate.judge import THRESHOLD_RULE, best_thresholds, calibrated, judged, member
from spark_cot.evaluate.sample import Sample, read_sample
from spark_cot.infer.predictor import Predictor
from spark_cot.models import MLP, Bundle


@pytest.fixture(scope="module")
def sample(double_bundle: Bundle) -> Sample:
    """Rows whose truth strays from the reading by 0.3 to 0.9 of what the model expects."""
    rng = np.random.default_rng(1)
    bundle = double_bundle
    features = rng.normal(bundle.means, bundle.stds, (20_000, 4)).astype(np.float32)
    found = Predictor(bundle)(features)
    size = found.cot_std * rng.uniform(0.3, 0.9, len(features))
    cot = (found.cot + size * rng.standard_normal(len(features))).astype(np.float32)
    return Sample(features, cot, len(bundle.bands), np.ones(len(features), bool))


def coverage(bundle: Bundle, sample: Sample) -> float:
    found = Predictor(bundle)(sample.features)
    return float((np.abs(found.cot - sample.cot) <= found.cot_std).mean())


@pytest.mark.parametrize("off", [-2.0, 0.0, 2.0])
def test_calibration_covers_one_sigma(double_bundle: Bundle, sample: Sample, off: float) -> None:
    weights = {name: tensor.copy() for name, tensor in double_bundle.weights.items()}
    weights["layer2.bias"][:, 1] += off
    # One member, whose own error is all of the uncertainty.
    raw = member(replace(double_bundle, weights=weights), 0)
    found = calibrated(raw, sample)
    assert abs(coverage(raw, sample) - 0.6827) > 0.02
    assert coverage(found, sample) == pytest.approx(0.6827, abs=0.003)
    before, after = (Predictor(model)(sample.features).cot for model in (raw, found))
    np.testing.assert_array_equal(after, before)


def test_calibration_of_an_ensemble(double_bundle: Bundle, sample: Sample) -> None:
    weights = {name: tensor.copy() for name, tensor in double_bundle.weights.items()}
    for name, tensor in weights.items():  # members that agree on the reading, not on the error
        tensor[1:] = tensor[:1]
        if name == "layer2.bias":
            tensor[:, 1] += np.array([0.0, 0.7, -0.7], np.float32)
    raw = replace(double_bundle, weights=weights)
    rng = np.random.default_rng(2)
    cot = Predictor(raw)(sample.features).cot
    known = replace(sample, cot=np.abs(cot + rng.normal(0, 0.3, len(cot))).astype(np.float32))
    assert coverage(calibrated(raw, known), known) == pytest.approx(0.6827, abs=0.003)


def test_a_member_is_one_of_the_networks(double_bundle: Bundle, sample: Sample) -> None:
    alone = [Predictor(member(double_bundle, i))(sample.features) for i in range(3)]
    together = Predictor(double_bundle)(sample.features)
    cots, stds = (np.stack([p[i] for p in alone]) for i in (0, 1))
    np.testing.assert_allclose(together.cot, cots.mean(axis=0), rtol=1e-5)
    variance = cots.var(axis=0) + np.square(stds).mean(axis=0)
    np.testing.assert_allclose(together.cot_std, np.sqrt(variance), rtol=1e-4)


# ---------------------------------------------------------------- whole bundles


@pytest.fixture(scope="module")
def samples(double_bundle: Bundle, synthetic: Path) -> tuple[Sample, Sample]:
    """Validation and test rows."""
    validation, test = (
        read_sample(synthetic / f"split={split}", double_bundle.inputs) for split in ("val", "test")
    )
    return validation, test


def test_a_judged_model_has_scores_and_thresholds(
    double_bundle: Bundle, samples: tuple[Sample, Sample]
) -> None:
    validation, test = samples
    found = judged(double_bundle, validation, test)
    assert found.metrics["threshold_rule"] == THRESHOLD_RULE
    assert found.metrics["rows"] == 300
    assert found.metrics["mae_of_one_member"].keys() == found.metrics["mae"].keys()
    assert found.metrics["mae_of_one_member"] != found.metrics["mae"]
    assert coverage(found, validation) == pytest.approx(0.6827, abs=0.01)
    assert coverage(double_bundle, validation) != pytest.approx(0.6827, abs=0.05)
    estimate = Predictor(found)(validation.features).cot
    assert found.thresholds == best_thresholds(estimate, validation.cot)
    assert found.thresholds != double_bundle.thresholds


def test_a_judged_model_is_judged_the_same_again(
    double_bundle: Bundle, samples: tuple[Sample, Sample]
) -> None:
    once = judged(double_bundle, *samples)
    again = judged(once, *samples)
    assert again.thresholds == once.thresholds
    assert again.metrics["mae"] == once.metrics["mae"]


def test_a_model_without_errors_keeps_its_weights(
    double_bundle: Bundle, samples: tuple[Sample, Sample]
) -> None:
    weights = dict(double_bundle.weights)
    for name in ("layer2.weight", "layer2.bias"):
        weights[name] = weights[name][:, :1].copy()
    single = replace(double_bundle, architecture=MLP(3, (4, 6, 1)), weights=weights)
    found = judged(single, *samples)
    np.testing.assert_array_equal(found.weights["layer2.bias"], weights["layer2.bias"])


# ---------------------------------------------------------------- thresholds


def best_cuts(below: NDArray[Any], above: NDArray[Any]) -> set[float]:
    """All cuts that part best, by trying each of them; rounding decides which one is chosen."""
    gains = {
        cut / 100: np.mean(above >= np.float32(cut / 100)) - np.mean(below >= np.float32(cut / 100))
        for cut in range(1, 301)
    }
    return {cut for cut, gain in gains.items() if gain > max(gains.values()) - 1e-9}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2.0))
@example(462381, 0.83984375)  # two cuts that part equally well
def test_thresholds_against_trying_every_cut(seed: int, blur: float) -> None:
    rng = np.random.default_rng(seed)
    cot = np.where(rng.random(200) < 0.4, 0, rng.lognormal(0.3, 1, 200))
    cot[:3] = (0, 0.8, 2.0)
    estimate = np.abs(cot + rng.normal(0, blur, 200)).astype(np.float32)
    found = best_thresholds(estimate, cot)
    assert found.thin in best_cuts(estimate[cot == 0], estimate[cot >= 0.75])
    thick = best_cuts(estimate[cot < 1.25], estimate[cot >= 1.25])
    assert found.thick in {max(found.thin, cut) for cut in thick}


def test_classes_far_apart_are_parted() -> None:
    cot = np.array([0, 0, 0.8, 0.9, 3, 4])
    estimate = np.array([0.1, 0.2, 0.6, 0.7, 2.0, 2.5], np.float32)
    found = best_thresholds(estimate, cot)
    assert 0.2 < found.thin <= 0.6
    assert 0.7 < found.thick <= 2.0


@pytest.mark.parametrize("cot", [[0.8, 2.0], [0.0, 0.2], [0.0, 1.0]])
def test_thresholds_need_rows_on_both_sides(cot: list[float]) -> None:
    with pytest.raises(ModelError, match=r"to choose a threshold by. Validate on clear, thin"):
        best_thresholds(np.array(cot, np.float32), np.array(cot))
