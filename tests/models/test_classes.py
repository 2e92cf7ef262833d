import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.models.classes import (
    CLASS_STYLES,
    SCL_CROSSWALK,
    CloudClass,
    Thresholds,
    classes_of_scl,
    classify,
)

PUBLISHED = Thresholds(0.75, 1.25)


def test_a_threshold_belongs_to_the_class_it_opens() -> None:
    cot = [0, np.nextafter(0.75, 0), 0.75, np.nextafter(1.25, 0), 1.25, 1000, np.inf, np.nan]
    assert classify(cot, PUBLISHED).tolist() == [1, 1, 2, 2, 3, 3, 3, 0]


def test_shape_is_kept_and_codes_are_int8() -> None:
    classes = classify(np.zeros((2, 3), np.float32), PUBLISHED)
    assert (classes.shape, classes.dtype) == ((2, 3), np.int8)


def test_equal_thresholds_leave_no_thin_class() -> None:
    assert classify([0.9, 1.0], Thresholds(1, 1)).tolist() == [1, 3]


def test_a_stored_cot_at_the_threshold_is_cloud_in_float32() -> None:
    assert classify(np.array([0.3], np.float32), Thresholds(0.3, 5)).tolist() == [2]


@given(
    cot=st.floats(0, 300, width=32),
    more=st.floats(0, 300, width=32),
    thin=st.floats(0.01, 10),
    width=st.floats(0, 10),
)
def test_thicker_is_never_a_lower_class(cot: float, more: float, thin: float, width: float) -> None:
    lower, higher = classify(
        np.array([min(cot, more), max(cot, more)], np.float32), Thresholds(thin, thin + width)
    )
    assert CloudClass.CLEAR <= lower <= higher <= CloudClass.THICK


def test_every_scl_code_has_a_class() -> None:
    assert list(SCL_CROSSWALK) == list(range(12))
    codes = np.arange(13, dtype=np.uint8).reshape(1, 13)
    assert classes_of_scl(codes).tolist() == [[0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 2, 1, 0]]
    assert classes_of_scl(codes).dtype == np.int8


@pytest.mark.parametrize("cloud_class", CloudClass)
def test_every_class_can_be_shown(cloud_class: CloudClass) -> None:
    style = cloud_class.style
    assert style.name == cloud_class.name.lower()
    assert style.description
    assert math.log2(int(style.color_hint, 16) + 1) <= 24
    assert len(style.color_hint) == 6


def test_colours_differ() -> None:
    assert len({style.color_hint for style in CLASS_STYLES.values()}) == len(CloudClass)
