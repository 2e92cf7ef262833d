"""The guard moves what lies outside to one sensible point inside, and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.models.envelope import Envelope, Guard, default_envelope, trained_envelope

INPUTS = ("B02", "sun_zenith", "B08", "B11", "B10")
BANDS = [0, 2, 3, 4]


def training_rows(rows: int = 20_000) -> NDArray[np.float64]:
    """Bands that go together, B10 near zero, and the sun."""
    rng = np.random.default_rng(3)
    bright = rng.beta(1.2, 2.0, (rows, 1))
    spectra = bright * np.array([1.0, 1.0, 0.6, 0.1]) * np.exp(rng.normal(0, 0.15, (rows, 4)))
    return np.insert(spectra, 1, rng.uniform(20, 75, rows), axis=1)


ROWS = training_rows()
MEANS, STDS = ROWS.mean(axis=0), ROWS.std(axis=0)
ENVELOPES = {
    "trained": trained_envelope(ROWS, MEANS, STDS),
    "default": default_envelope(MEANS, STDS),
}
GUARDS = {name: Guard(envelope, INPUTS, MEANS, STDS) for name, envelope in ENVELOPES.items()}
guards = pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)

anything = st.lists(
    st.tuples(
        *(st.floats(-100, 200, width=32) if n == "sun_zenith" else st.floats(-1, 7, width=32)
          for n in INPUTS)
    ),
    min_size=1,
    max_size=20,
).map(lambda rows: np.array(rows, np.float32).T.copy())  # fmt: skip


def guarded(guard: Guard, features: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    moved = np.array(features, np.float32)
    return moved, guard(moved)


def test_nearly_all_training_rows_are_inside() -> None:
    for guard, least in ((GUARDS["trained"], 0.995), (GUARDS["default"], 0.97)):
        moved, stretch = guarded(guard, ROWS.T)
        inside = stretch == 1
        assert inside.mean() > least
        assert (moved[:, inside] == ROWS.T.astype(np.float32)[:, inside]).all()


@guards
@settings(max_examples=200, deadline=None)
@given(features=anything)
def test_the_result_is_inside_and_stays(guard: Guard, features: NDArray[np.float32]) -> None:
    moved, stretch = guarded(guard, features)
    assert ((moved >= guard.low) & (moved <= guard.high)).all()
    again, _ = guarded(guard, moved)
    assert again.tobytes() == moved.tobytes()
    assert (stretch >= 1).all()
    assert (stretch <= 100).all()
    assert (moved[:, stretch == 1] == features[:, stretch == 1]).all()


@guards
@settings(max_examples=50, deadline=None)
@given(features=anything, seed=st.integers(0, 2**32 - 1))
def test_a_row_does_not_depend_on_its_neighbours(guard: Guard, features: Any, seed: int) -> None:
    """In a buffer of one size, as the predictor's is."""
    buffer = np.repeat(MEANS.astype(np.float32)[:, None], 32, axis=1)
    first = buffer.copy()
    first[:, : features.shape[1]] = features
    order = np.random.default_rng(seed).permutation(32)
    for rows in (order, order[:1]):
        second = buffer.copy()
        second[:, : rows.size] = first[:, rows]
        (moved, stretch), (expected, whole) = guarded(guard, second), guarded(guard, first)
        assert moved[:, : rows.size].tobytes() == expected[:, rows].tobytes()
        assert stretch[: rows.size].tobytes() == whole[rows].tobytes()


@guards
@given(spectrum=st.tuples(*[st.floats(0.05, 1)] * 4), sun=st.floats(25, 70), top=st.floats(1.01, 3))
def test_a_ramp_of_one_shape_is_constant_beyond(
    guard: Guard, spectrum: tuple[float, ...], sun: float, top: float
) -> None:
    shape = np.array(spectrum) / max(spectrum)
    limit = (guard.high[BANDS, 0] / shape).min()
    ramp = np.empty((5, 8), np.float32)
    ramp[1] = sun
    # Up to where the values themselves say that they are saturated.
    ramp[BANDS] = np.outer(shape, np.linspace(limit, min(top * limit, 3.27), 8))
    moved, stretch = guarded(guard, ramp)
    np.testing.assert_allclose(moved, np.repeat(moved[:, :1], 8, axis=1), rtol=1e-6)
    np.testing.assert_allclose(moved[BANDS, -1] / moved[0, -1], shape / shape[0], rtol=1e-5)
    assert (np.diff(stretch) >= 0).all()


@guards
def test_stretch_is_how_many_times_as_far(guard: Guard) -> None:
    middle, reach = (guard.low + guard.high) / 2, (guard.high - guard.low) / 2
    features = np.repeat(middle, 3, axis=1)
    features[1] += reach[1] * [0.99, 1.5, 4]
    moved, stretch = guarded(guard, features)
    assert stretch[1:] == pytest.approx([1.5, 4], rel=1e-5)
    assert stretch[0] == 1
    assert (moved[1, 1:] == guard.high[1]).all()
    np.testing.assert_array_equal(moved[BANDS], features[BANDS])


def test_saturated_bands_are_as_bright_as_the_others() -> None:
    guard = GUARDS["trained"]
    row = ROWS[np.argsort(ROWS[:, 0])[-1000]].astype(np.float32)[:, None]
    brightest = (row / guard.high)[[2, 3, 4]].max()
    for code in (3.2767, 6.5535):
        spoiled = row.copy()
        spoiled[0] = code
        moved, stretch = guarded(guard, spoiled)
        np.testing.assert_allclose(moved[0], brightest * guard.high[0], rtol=1e-6)
        np.testing.assert_array_equal(moved[1:], row[1:])
        assert stretch > 2
    spoiled[BANDS] = 3.2767
    moved, _ = guarded(guard, spoiled)
    np.testing.assert_array_equal(moved[BANDS], guard.high[BANDS])


def test_a_shape_never_seen_is_marked_and_keeps_its_brightness() -> None:
    """Each band is within its ends, and bright B02 over dark B08 was in no training row."""
    guard = GUARDS["trained"]
    odd = np.array([[0.9], [45], [0.01], [0.5], [0.05]], np.float32)
    moved, stretch = guarded(guard, odd)
    assert stretch > 1
    np.testing.assert_array_equal(moved, odd)
    assert guarded(GUARDS["default"], odd)[1] == 1


@guards
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays(guard: Guard, value: float) -> None:
    features = np.repeat(MEANS.astype(np.float32)[:, None], 3, axis=1)
    features[0, 1] = value
    moved, stretch = guarded(guard, features)
    np.testing.assert_array_equal(moved, features)
    assert (stretch == 1).all()


@guards
def test_the_largest_numbers_have_a_place_and_a_finite_stretch(guard: Guard) -> None:
    moved, stretch = guarded(guard, np.full((5, 1), np.finfo(np.float32).max))
    np.testing.assert_array_equal(moved, guard.high)
    assert stretch == 100


def test_an_input_without_spread_has_an_envelope() -> None:
    rows = ROWS.copy()
    rows[:, 1] = 50
    stds = np.maximum(rows.std(axis=0), 1e-6)
    envelope = trained_envelope(rows, rows.mean(axis=0), stds)
    envelope.check(INPUTS, rows.mean(axis=0))
    guard = Guard(envelope, INPUTS, rows.mean(axis=0), stds)
    moved, stretch = guarded(guard, rows[:100].T)
    assert np.isfinite(stretch).all()
    np.testing.assert_allclose(moved[1], 50)


def test_the_mean_is_inside_though_it_lies_beyond_the_quantiles() -> None:
    rows = ROWS.copy()
    rows[:, 4] = 0
    rows[:3, 4] = 0.5
    envelope = trained_envelope(rows, rows.mean(axis=0), rows.std(axis=0))
    envelope.check(INPUTS, rows.mean(axis=0))


FIT = ENVELOPES["trained"]
NONSENSE: dict[str, tuple[Envelope, str]] = {
    "short": (replace(FIT, low=FIT.low[1:]), "does not fit 5 inputs"),
    "ragged": (replace(FIT, factor=(*FIT.factor[:4], (1.0,))), "does not fit 5 inputs"),
    "swapped": (replace(FIT, low=FIT.high, high=FIT.low), "B02 is .*an interval around its mean"),
    "NaN": (replace(FIT, low=(float("nan"), *FIT.low[1:])), "B02 is nan"),
    "endless": (replace(FIT, high=(*FIT.high[:4], float("inf"))), "B10 is .* to inf"),
    "elsewhere": (replace(FIT, low=(*FIT.low[:4], 0.3), high=(*FIT.high[:4], 0.4)), "B10 is 0.3"),
    "no limit": (replace(FIT, limit=0), "limit above zero, found limit 0"),
    "NaN factor": (replace(FIT, factor=((float("nan"),) * 5,) * 5), "factor must be finite"),
}


@pytest.mark.parametrize(("envelope", "message"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(envelope: Envelope, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        envelope.check(INPUTS, MEANS)
