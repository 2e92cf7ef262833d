import math

import numpy as np
import pytest
from PIL import Image

from spark_cot.errors import TableError
from spark_cot.evaluate.truth import Comparison, agreement_figure, maps_figure, reliability
from spark_cot.models.classes import Thresholds


@pytest.fixture
def comparison() -> Comparison:
    rng = np.random.default_rng(2)
    true = np.where(rng.random((30, 40)) < 0.4, 0, rng.lognormal(1, 1, (30, 40)))
    estimate = (true * rng.lognormal(0, 0.3, true.shape) + 0.1).astype(np.float32)
    estimate[3:5, 7] = np.nan
    std = (0.3 * true + 0.05).astype(np.float32)
    return Comparison("a model", Thresholds(0.5, 1.5), true.astype(np.float32), estimate, std)


def class_of(cot: float, thin: float, thick: float) -> int:
    return 3 if cot >= thick else 2 if cot >= thin else 1


def test_scores_by_brute_force(comparison):
    pairs = [
        (float(t), float(e))
        for t, e in zip(comparison.true.flat, comparison.estimate.flat, strict=True)
        if not math.isnan(e)
    ]
    n = len(pairs)
    thin = [abs(e - t) for t, e in pairs if t < 5]
    right = sum(class_of(t, 0.75, 1.25) == class_of(e, 0.5, 1.5) for t, e in pairs)
    scores = comparison.agreement()
    assert scores.pixels == n == 1198
    assert scores.mae == pytest.approx(sum(abs(e - t) for t, e in pairs) / n)
    assert scores.rmse == pytest.approx(math.sqrt(sum((e - t) ** 2 for t, e in pairs) / n))
    assert scores.bias == pytest.approx(sum(e - t for t, e in pairs) / n)
    assert scores.thin_mae == pytest.approx(sum(thin) / len(thin))
    assert scores.right == pytest.approx(right / n)


def test_without_thin_pixels_their_score_is_no_number():
    thick = np.full(4, 20, np.float32)
    scores = Comparison("m", Thresholds(1, 2), thick, thick, thick).agreement()
    assert math.isnan(scores.thin_mae)
    assert scores.mae == 0


def test_ratio_is_the_median_over_chosen_pixels_with_an_estimate(comparison):
    thick = comparison.true > 3
    ratios = [
        float(e) / float(t)
        for t, e in zip(comparison.true[thick], comparison.estimate[thick], strict=True)
        if not math.isnan(e)
    ]
    assert comparison.ratio(thick) == pytest.approx(np.median(ratios))
    assert math.isnan(comparison.ratio(np.isnan(comparison.estimate)))


def test_reliability_by_brute_force(comparison):
    rows = sorted(
        (float(s), float(e) - float(t))
        for t, e, s in zip(
            comparison.true.flat, comparison.estimate.flat, comparison.std.flat, strict=True
        )
        if not math.isnan(e)
    )
    stated, found = reliability(comparison, bins=2)
    halves = rows[:599], rows[599:]
    for half, std, error in zip(halves, stated, found, strict=True):
        assert std == pytest.approx(math.sqrt(sum(s**2 for s, _ in half) / 599))
        assert error == pytest.approx(math.sqrt(sum(e**2 for _, e in half) / 599), rel=1e-4)


def test_fewer_pixels_than_parts(comparison):
    few = np.ones(3, np.float32)
    stated, found = reliability(Comparison("m", Thresholds(1, 2), few, few, few))
    assert stated.tolist() == [1, 1, 1]
    assert found.tolist() == [0, 0, 0]


def test_figures_are_drawn(comparison, tmp_path):
    rgb = np.random.default_rng(1).random((30, 40, 3))
    figures = {
        "agreement": agreement_figure([comparison, comparison]),
        "maps": maps_figure(rgb, comparison),
    }
    for name, figure in figures.items():
        path = tmp_path / f"{name}.png"
        figure.savefig(path)
        with Image.open(path) as image:
            assert min(image.size) > 400
            assert len(image.convert("RGB").getcolors(1 << 24)) > 200


def test_arrays_must_fit_and_hold_an_estimate():
    two, three = np.ones(2, np.float32), np.ones(3, np.float32)
    with pytest.raises(TableError, match="have shapes"):
        Comparison("m", Thresholds(1, 2), two, three, three)
    with pytest.raises(TableError, match="no pixel has an estimate"):
        Comparison("m", Thresholds(1, 2), two, two * np.nan, two)
