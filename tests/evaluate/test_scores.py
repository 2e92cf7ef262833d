"""Scores against loops over rows, with a predictor whose answers are known."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spark_cot.evaluate.sample import Sample
from spark_cot.evaluate.scores import (
    ERROR_EDGES,
    NOISE_LEVELS,
    error_over_std,
    error_scores,
    reliability,
    uncertainty_scores,
)
from spark_cot.models.classes import Thresholds

ROWS = 500


class Reader:
    """Reads ten times the first band as COT, with an uncertainty of 0.5."""

    thresholds = Thresholds(0.4, 2.0)

    def __call__(self, features: NDArray[np.float32]) -> Any:
        cot = np.maximum(10 * features[:, 0], 0)
        p_thin, p_thick = (np.clip(50 * cot / t, 0, 100).astype(np.int8) for t in (0.4, 2.0))
        return SimpleNamespace(
            cot=cot, cot_std=np.full_like(cot, 0.5), p_thin=p_thin, p_thick=p_thick
        )


@pytest.fixture
def sample() -> Sample:
    """Two bands and an angle; every third row is clear, a tenth is misread."""
    rng = np.random.default_rng(3)
    cot = np.where(np.arange(ROWS) % 3 == 0, 0, rng.lognormal(0.8, 1.2, ROWS)).astype(np.float32)
    estimate = cot + np.where(np.arange(ROWS) % 10 == 0, 1.5, rng.normal(0, 0.4, ROWS))
    angle = rng.uniform(20, 70, ROWS)
    features = np.stack([estimate / 10, rng.uniform(0.1, 0.5, ROWS), angle], axis=1)
    return Sample(
        features.astype(np.float32), cot, 2, np.arange(ROWS) % 4 != 0, np.ones(ROWS, bool)
    )


def test_errors_by_noise_row_by_row(sample: Sample) -> None:
    found = error_scores(Reader(), sample)
    assert list(found["mae"]) == ["0", "1", "2", "3", "4", "5"]
    for level in NOISE_LEVELS:
        estimate = Reader()(sample.noisy(level)).cot
        errors = {"mae": [], "mae_below_5": [], "mae_from_5": []}
        for read, truth in zip(estimate.tolist(), sample.cot.tolist(), strict=True):
            errors["mae"].append(abs(read - truth))
            errors["mae_below_5" if truth < 5 else "mae_from_5"].append(abs(read - truth))
        for name, values in errors.items():
            mean = sum(values) / len(values)
            assert found[name][f"{100 * level:g}"] == pytest.approx(mean, abs=1e-5)
    assert found["mae"]["5"] > found["mae"]["0"]


def test_shares_row_by_row(sample: Sample) -> None:
    found = error_scores(Reader(), sample) | uncertainty_scores(Reader(), sample)
    rows = list(zip(Reader()(sample.features).cot, sample.cot, sample.snow_free, strict=True))
    clear = [(read, free) for read, truth, free in rows if truth == 0]
    bare = [read for read, free in clear if free]
    cloudy = [read for read, truth, _ in rows if truth >= 0.75]
    assert found["rows"] == ROWS

    def share(flags: list[bool]) -> Any:
        assert 0 < sum(flags) < len(flags)
        return pytest.approx(sum(flags) / len(flags), abs=1e-5)

    assert found["clear_read_above_1.25"] == share([read > 1.25 for read, _ in clear])
    assert found["clear_snow_free_read_above_1.25"] == share([read > 1.25 for read in bare])
    assert found["clear_classed_cloudy"] == share([read >= 0.4 for read, _ in clear])
    assert found["clear_snow_free_classed_cloudy"] == share([read >= 0.4 for read in bare])
    assert found["cot_above_0.75_classed_cloudy"] == share([read >= 0.4 for read in cloudy])
    assert found["errors_within_1_std"] == share([abs(r - t) <= 0.5 for r, t, _ in rows])
    assert found["errors_within_2_std"] == share([abs(r - t) <= 1.0 for r, t, _ in rows])


def test_a_table_without_clear_rows_has_scores(sample: Sample) -> None:
    cloudy = replace(sample, cot=sample.cot + 1)
    assert error_scores(Reader(), cloudy)["clear_classed_cloudy"] == 0


def test_error_over_std_bin_by_bin(sample: Sample) -> None:
    scores, read = uncertainty_scores(Reader(), sample), Reader()(sample.features).cot
    for name, by in (("estimate", read), ("truth", sample.cot)):
        found = scores[f"error_over_std_by_{name}"]
        assert found["edges"] == list(ERROR_EDGES)
        for i, (low, high) in enumerate(pairwise(ERROR_EDGES)):
            errors = [
                r - t
                for r, t, b in zip(read, sample.cot, by, strict=True)
                if low <= b < high and 0.1 <= t <= 20
            ]
            assert found["rows"][i] == len(errors) > 0
            rms = float(np.sqrt(np.mean(np.square(errors))))
            assert found["ratio"][i] == pytest.approx(rms / 0.5, abs=1e-3)


def test_errors_as_large_as_stated_have_a_ratio_of_one() -> None:
    rng = np.random.default_rng(1)
    cot = rng.uniform(0, 30, 100_000)
    std = 0.1 + 0.2 * cot
    prediction = SimpleNamespace(cot=cot + std * rng.standard_normal(len(cot)), cot_std=std)
    np.testing.assert_allclose(error_over_std(prediction, cot, cot)["ratio"], 1, rtol=0.05)
    empty = error_over_std(prediction, np.full_like(cot, 0.15), np.full_like(cot, 0.15))
    assert empty["rows"] == [100_000, *[0] * 8]
    assert empty["ratio"][1:] == [None] * 8


def test_reliability_part_by_part() -> None:
    rng = np.random.default_rng(2)
    percent = rng.integers(0, 101, 5000).astype(np.int8)
    percent = percent[percent // 10 != 4]
    happened = rng.random(len(percent)) < (percent / 100) ** 2
    found = reliability(percent, happened)
    assert found["brier"] == pytest.approx(np.mean((percent / 100 - happened) ** 2), abs=1e-5)
    for i in range(10):
        part = (percent >= 10 * i) & (percent < 10 * i + 10 if i < 9 else percent <= 100)
        assert found["rows"][i] == part.sum()
        if i == 4:
            assert found["found"][i] is found["stated"][i] is None
        else:
            assert found["found"][i] == pytest.approx(happened[part].mean(), abs=1e-4)
            assert found["stated"][i] == pytest.approx(percent[part].mean() / 100, abs=1e-4)


def test_cloud_with_sides_has_a_score_of_its_own(sample: Sample) -> None:
    flat = np.arange(ROWS) % 5 != 0
    found = error_scores(Reader(), replace(sample, plane_parallel=flat))
    assert "mae_three_dimensional" not in error_scores(Reader(), sample)
    others = found.pop("mae_three_dimensional")
    assert found == error_scores(Reader(), sample.chosen(flat))
    errors = np.abs(Reader()(sample.features).cot - sample.cot)
    assert others == pytest.approx(errors[~flat].mean(), abs=1e-5)
