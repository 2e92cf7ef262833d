import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array
from numpy.testing import assert_allclose, assert_array_equal

from spark_cot.products.decimate import block_factor, block_majority, block_mean

SHAPES = st.tuples(st.integers(1, 23), st.integers(1, 23))
CODES = SHAPES.flatmap(lambda shape: any_array(np.uint8, shape, elements=st.integers(0, 3)))


def blocks(array, factor):
    """Every block of an array, row by row: the definition, in the slow way."""
    ny, nx = array.shape
    return [
        [array[y : y + factor, x : x + factor] for x in range(0, nx, factor)]
        for y in range(0, ny, factor)
    ]


@given(CODES, st.integers(1, 9))
def test_mean_is_that_of_the_valid_pixels_of_each_block(codes, factor):
    values = codes.astype(np.float32) * 1.5 + np.indices(codes.shape)[1]
    masked = np.where(codes > 0, values, np.nan)
    expected = [
        [np.nan if np.isnan(block).all() else np.nanmean(block) for block in row]
        for row in blocks(masked, factor)
    ]
    assert_allclose(block_mean(values, codes > 0, factor), expected, rtol=1e-6)


@given(CODES, st.integers(1, 9))
def test_majority_is_the_most_frequent_class_of_the_valid_pixels(codes, factor):
    expected = [
        [np.bincount(block[block > 0], minlength=4).argmax() for block in row]
        for row in blocks(codes, factor)
    ]
    assert_array_equal(block_majority(codes, factor), expected)


def test_nan_at_nodata_does_not_spread():
    values = np.array([[np.nan, 2.0], [4.0, np.nan]], np.float32)
    assert_array_equal(block_mean(values, ~np.isnan(values), 2), [[3.0]])


def test_one_valid_pixel_outweighs_a_block_of_nodata():
    codes = np.zeros((4, 4), np.uint8)
    codes[3, 3] = 2
    assert_array_equal(block_majority(codes, 4), [[2]])


@given(SHAPES, st.integers(1, 30))
def test_factor_is_the_smallest_that_fits(shape, longest):
    factor = block_factor(shape, longest)
    assert -(-max(shape) // factor) <= longest
    assert factor == 1 or -(-max(shape) // (factor - 1)) > longest
