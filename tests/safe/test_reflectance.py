from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spark_cot.safe.reflectance import NODATA, cell_centres, cell_sums, stored_reflectance


def brute_force(dn: np.ndarray, factor: int, offset: int, quantification: int) -> np.ndarray:
    ny, nx = dn.shape[0] // factor, dn.shape[1] // factor
    out = np.full((ny, nx), NODATA)
    for row in range(ny):
        for col in range(nx):
            cell = dn[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
            valid = [int(value) for value in cell.flat if value]
            if 2 * len(valid) >= factor**2:
                mean = Fraction(sum(valid), len(valid))
                stored = round((mean + offset) * 10_000 / quantification)
                out[row, col] = min(max(stored, -32767), 32767)
    return out


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    factor = draw(st.sampled_from([1, 2, 3, 6]))
    ny, nx = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    samples = st.sampled_from([0, 0, 1, 2, 999, 1000, 1001, 12_345, 65_535]) | st.integers(
        0, 65_535
    )
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
