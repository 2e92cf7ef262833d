"""Scores against loops over rows, with a predictor whose answers are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.evaluate.scores import NOISE_LEVELS, Sample, best_thresholds, model_scores
from spark_cot.models.classes import Thresholds

ROWS = 500


class Reader:
    """Reads ten times the first band as COT, with an uncertainty of 0.5."""

    thresholds = Thresholds(0.4, 2.0)

    def __call__(self, features: NDArray[np.float32]) -> Any:
        cot = np.maximum(10 * features[:, 0], 0)
        return SimpleNamespace(cot=cot, cot_std=np.full_like(cot, 0.5))


@pytest.fixture
def sample() -> Sample:
    """Two bands and an angle; every third row is clear, a tenth is misread."""
    rng = np.random.default_rng(3)
    cot = np.where(np.arange(ROWS) % 3 == 0, 0, rng.lognormal(0.8, 1.2, ROWS)).astype(np.float32)
    said = cot + np.where(np.arange(ROWS) % 10 == 0, 1.5, rng.normal(0, 0.4, ROWS))
    angle = rng.uniform(20, 70, ROWS)
    features = np.stack([said / 10, rng.uniform(0.1, 0.5, ROWS), angle], axis=1)
    return Sample(features.astype(np.float32), cot, bands=2)


@pytest.fixture
def snow_free() -> NDArray[np.bool_]:
    return np.arange(ROWS) % 4 != 0


def test_errors_by_noise_row_by_row(sample: Sample, snow_free: NDArray[np.bool_]) -> None:
    found = model_scores(Reader(), sample, snow_free)
    assert list(found["mae"]) == ["0", "1", "2", "3", "4", "5"]
    for level in NOISE_LEVELS:
        said = Reader()(sample.noisy(level)).cot
        errors = {"mae": [], "mae_below_5": [], "mae_from_5": []}
        for read, truth in zip(said.tolist(), sample.cot.tolist(), strict=True):
            errors["mae"].append(abs(read - truth))
            errors["mae_below_5" if truth < 5 else "mae_from_5"].append(abs(read - truth))
        for name, values in errors.items():
            mean = sum(values) / len(values)
            assert found[name][f"{100 * level:g}"] == pytest.approx(mean, abs=1e-5)
    assert found["mae"]["5"] > found["mae"]["0"]


def test_shares_row_by_row(sample: Sample, snow_free: NDArray[np.bool_]) -> None:
    found = model_scores(Reader(), sample, snow_free)
    rows = list(zip(Reader()(sample.features).cot, sample.cot, snow_free, strict=True))
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
    cloudy = Sample(sample.features, sample.cot + 1, sample.bands)
    assert model_scores(Reader(), cloudy, np.ones(ROWS, bool))["clear_classed_cloudy"] == 0


def test_noise_is_a_share_of_each_band_s_mean_and_spares_angles(sample: Sample) -> None:
    many = Sample(np.tile(sample.features, (40, 1)), np.tile(sample.cot, 40), sample.bands)
    noise = many.noisy(0.04) - many.features
    expected = 0.04 * many.features[:, :2].mean(axis=0)
    np.testing.assert_allclose(noise[:, :2].std(axis=0), expected, rtol=0.03)
    assert not noise[:, 2].any()
    assert np.array_equal(many.noisy(0.04), many.noisy(0.04))
    assert many.noisy(0.0) is many.features
    assert many.noisy(0.05).dtype == np.float32


def youden(below: NDArray[Any], above: NDArray[Any]) -> float:
    """The smallest of the best cuts, by trying each of them."""
    cuts = [cut / 100 for cut in range(1, 301)]
    return max(
        cuts,
        key=lambda cut: (
            np.mean(above >= np.float32(cut)) - np.mean(below >= np.float32(cut)),
            -cut,
        ),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2.0))
def test_thresholds_against_trying_every_cut(seed: int, blur: float) -> None:
    rng = np.random.default_rng(seed)
    cot = np.where(rng.random(200) < 0.4, 0, rng.lognormal(0.3, 1, 200))
    cot[:3] = (0, 0.8, 2.0)
    estimate = np.abs(cot + rng.normal(0, blur, 200)).astype(np.float32)
    found = best_thresholds(estimate, cot)
    thin = youden(estimate[cot == 0], estimate[cot >= 0.75])
    thick = youden(estimate[cot < 1.25], estimate[cot >= 1.25])
    assert found.thin == pytest.approx(thin, abs=1e-9)
    assert found.thick == pytest.approx(max(thin, thick), abs=1e-9)


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
