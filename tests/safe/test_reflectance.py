from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spark_cot.safe.reflectance import (
    NODATA,
    SATURATED,
    SpecialValues,
    cell_centres,
    cell_sums,
    stored_reflectance,
)

USUAL = SpecialValues()


def brute_force(
    dn: np.ndarray,
    factor: int,
    offset: int,
    quantification: int,
    special: SpecialValues = USUAL,
) -> np.ndarray:
    ny, nx = dn.shape[0] // factor, dn.shape[1] // factor
    out = np.full((ny, nx), NODATA)
    for row in range(ny):
        for col in range(nx):
            cell = dn[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
            valid = [int(value) for value in cell.flat if int(value) not in special.nodata]
            if 2 * len(valid) < factor**2:
                continue
            if special.saturated & set(valid):
                out[row, col] = SATURATED
            else:
                mean = Fraction(sum(valid), len(valid))
                stored = round((mean + offset) * 10_000 / quantification)
                out[row, col] = min(max(stored, -32767), 32767)
    return out


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    factor = draw(st.sampled_from([1, 2, 3, 6]))
    ny, nx = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    marked = [0, 0, 1, 2, 999, 1000, 1001, 12_345, 32_766, 32_767, 32_768, 65_534, 65_535]
    samples = st.sampled_from(marked) | st.integers(0, 65_535)
    return draw(arrays(np.uint16, (ny * factor, nx * factor), elements=samples)), factor


@given(images(), st.integers(-2000, 2000))
def test_stored_reflectance_is_the_exact_mean_rounded_once(
    image: tuple[np.ndarray, int], offset: int
) -> None:
    dn, factor = image
    expected = brute_force(dn, factor, offset, 10_000)
    np.testing.assert_array_equal(stored_reflectance(dn, factor, offset, 10_000), expected)


@given(images(), st.integers(-2000, 2000), st.integers(1000, 50_000))
def test_other_quantifications_are_within_one_step(
    image: tuple[np.ndarray, int], offset: int, quantification: int
) -> None:
    dn, factor = image
    expected = brute_force(dn, factor, offset, quantification)
    found = stored_reflectance(dn, factor, offset, quantification)
    assert np.abs(found.astype(int) - expected).max() <= 1


@st.composite
def special_values(draw: st.DrawFn) -> SpecialValues:
    values = st.sampled_from([1, 999, 12_345, 32_767, 65_534, 65_535])
    nodata = draw(st.frozensets(values, max_size=2)) | {0}
    return SpecialValues(nodata, draw(st.frozensets(values, min_size=1)) - nodata or frozenset({2}))


@given(images(), special_values())
def test_special_values_are_never_averaged(
    image: tuple[np.ndarray, int], special: SpecialValues
) -> None:
    dn, factor = image
    expected = brute_force(dn, factor, -1000, 10_000, special)
    np.testing.assert_array_equal(stored_reflectance(dn, factor, -1000, 10_000, special), expected)


@given(images(), st.integers(0, 2**32 - 1), st.sampled_from([32_767, 65_535]))
def test_saturated_samples_never_make_a_cell_darker_or_valid_cells_nodata(
    image: tuple[np.ndarray, int], seed: int, end: int
) -> None:
    dn, factor = image
    brighter = np.random.default_rng(seed).random(dn.shape) < 0.2
    before = stored_reflectance(dn, factor, -1000, 10_000)
    after = stored_reflectance(np.where(brighter, end, dn).astype(np.uint16), factor, -1000, 10_000)
    assert (after >= before).all()
    touched = brighter.reshape(before.shape[0], factor, before.shape[1], factor).any(axis=(1, 3))
    assert (after[touched & (before != NODATA)] == SATURATED).all()
    assert (after[~touched] == before[~touched]).all()


@pytest.mark.parametrize(("end", "count"), [(65_535, 1), (65_535, 4), (32_767, 1)])
def test_one_saturated_sample_saturates_its_cell(end: int, count: int) -> None:
    dn = np.full((2, 2), 1800, np.uint16)
    dn.flat[:count] = end
    [[stored]] = stored_reflectance(dn, 2, -1000, 10_000)
    assert stored == SATURATED


def test_strips_do_not_show() -> None:
    dn = np.random.default_rng(0).integers(0, 3, (400, 6), dtype=np.uint16)
    expected = brute_force(dn, 2, 0, 10_000)
    np.testing.assert_array_equal(stored_reflectance(dn, 2, 0, 10_000), expected)


@pytest.mark.parametrize(("zeros", "valid"), [(0, True), (2, True), (3, False), (4, False)])
def test_cell_needs_half_of_its_samples(zeros: int, valid: bool) -> None:
    dn = np.full((2, 2), 500, np.uint16)
    dn.flat[:zeros] = 0
    [[stored]] = stored_reflectance(dn, 2, 100, 10_000)
    assert stored == (600 if valid else NODATA)


def test_saturates_and_never_yields_nodata_by_arithmetic() -> None:
    dn = np.array([[65_535, 1]], np.uint16)
    np.testing.assert_array_equal(stored_reflectance(dn, 1, -60_000, 1000), [[32767, -32767]])


def test_cell_sums_do_not_overflow() -> None:
    assert cell_sums(np.full((6, 6), 65_535, np.uint16), 6) == 36 * 65_535


def test_cell_centres_are_exact_on_a_ramp_away_from_the_edge() -> None:
    fine = np.add.outer(400 + 8 * np.arange(20), 4 * np.arange(16)).astype(np.uint16)
    means = cell_sums(fine, 2) / 4
    np.testing.assert_array_equal(cell_centres(fine[::2, ::2])[:-1, :-1], means[:-1, :-1])
    assert cell_centres(np.full((3, 3), 65_535, np.uint16)).min() == 65_535
