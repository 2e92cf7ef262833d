import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.simulate.lookup import locate

GRID = np.array([0.0, 1.0, 3.0, 10.0])
TABLE = np.array([5.0, -1.0, 2.0, 7.0])


@given(st.floats(-5, 20))
def test_located_values_interpolate_like_numpy(value):
    index, share = locate(np.array([value]), GRID)
    found = (1 - share) * TABLE[index] + share * TABLE[index + 1]
    np.testing.assert_allclose(found, np.interp(value, GRID, TABLE), atol=1e-12)
    assert 0 <= share[0] <= 1
