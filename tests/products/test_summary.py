import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array

from spark_cot.errors import TableError
from spark_cot.models.classes import CloudClass
from spark_cot.products.summary import class_cover, code_counts, outside_cover, raster_statistics

CODES = any_array(np.uint8, (7, 9), elements=st.integers(0, 3))


@given(CODES)
def test_counts_are_complete(codes):
    counts = code_counts(codes, CloudClass)
    assert list(counts.values()) == np.bincount(codes.ravel(), minlength=4).tolist()


def test_cover_of_nodata_is_of_all_pixels_and_of_classes_of_the_valid_ones():
    cover = class_cover(dict(zip(CloudClass, (50, 25, 15, 10), strict=True)))
    assert list(cover.values()) == [50.0, 50.0, 30.0, 20.0]


@given(
    any_array(np.float32, st.tuples(st.integers(1, 600), st.integers(1, 3)),
              elements=st.floats(0, 100, width=32))
)  # fmt: skip
def test_statistics_are_those_of_numpy(values):
    values[::7] = np.nan
    if np.isnan(values).all():
        with pytest.raises(TableError, match="none of the pixels is valid"):
            raster_statistics(values)
        return
    found = raster_statistics(values)
    precise = values.astype(np.float64)
    assert (found.minimum, found.maximum) == (np.nanmin(values), np.nanmax(values))
    assert found.mean == pytest.approx(np.nanmean(precise), abs=1e-9)
    assert found.stddev == pytest.approx(np.nanstd(precise), abs=1e-5)
    assert found.valid_percent == pytest.approx(100 * np.mean(~np.isnan(values)))


def test_a_scene_without_a_valid_pixel_is_refused():
    with pytest.raises(TableError, match="none of the pixels is valid"):
        class_cover({**dict.fromkeys(CloudClass, 0), CloudClass.NODATA: 9})


def test_statistics_leave_a_nodata_value_out():
    found = raster_statistics(np.array([[0, 40, 255], [255, 80, 80]], np.uint8), 255)
    assert (found.minimum, found.maximum, found.mean) == (0, 80, 50)
    assert found.valid_percent == pytest.approx(100 * 4 / 6)


def test_pixels_outside_are_a_share_of_the_valid_ones():
    assert outside_cover({0: 30, 1: 10, 255: 60}) == 25
