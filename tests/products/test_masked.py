import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array

from spark_cot.products.masked import MASKED_NODATA, mask_reflectance, seen_through

THICKNESS = st.one_of(st.floats(0, 50, width=32), st.just(float("nan")))


@given(
    any_array(np.int16, (3, 4, 5), elements=st.integers(-1000, 32_767)),
    any_array(bool, (4, 5)),
    any_array(np.float32, (4, 5), elements=THICKNESS),
    st.floats(0, 50, width=32),
)
def test_reflectance_is_kept_exactly_where_the_cloud_is_thin_enough(
    reflectance, valid, cot, mask_above
):
    masked = mask_reflectance(reflectance, seen_through(valid, cot, mask_above))
    kept = valid & ~np.isnan(cot) & ~(cot > mask_above)
    assert masked.dtype == np.int16
    np.testing.assert_array_equal(masked[:, kept], reflectance[:, kept])
    assert (masked[:, ~kept] == MASKED_NODATA).all()


def test_the_threshold_itself_is_kept():
    cot = np.array([[1.25, np.nextafter(np.float32(1.25), np.float32(2))]], np.float32)
    assert seen_through(np.ones((1, 2), bool), cot, 1.25).tolist() == [[True, False]]
