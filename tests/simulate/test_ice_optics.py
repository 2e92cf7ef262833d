import numpy as np
import pytest

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.scattering import ice


def test_limits_of_the_absorption():
    assert ice.co_albedo(np.array(1e-9), np.array(1.0)) == pytest.approx(0.417e-9)
    assert ice.co_albedo(np.array(1e3), np.array(100.0)) == pytest.approx(0.47)


def test_absorption_sits_in_the_short_wave_infrared():
    absorbed = ice.co_albedo(ice.absorption_per_um()[0], np.array(55.0))
    bands = dict(zip(BAND_IDS, absorbed, strict=True))
    assert bands["B02"] < 1e-6
    assert 0.03 < bands["B12"] < bands["B11"] < 0.06


@pytest.mark.parametrize("g", [0.73, 0.80, 0.95])
def test_phase_function_has_its_moments(g):
    x, w = np.polynomial.legendre.leggauss(2000)
    values = ice.phase_function(np.array(g), x)
    chi = ice.moments(np.array(g), 13)
    assert chi[1] == pytest.approx(g)
    integrated = np.polynomial.legendre.legvander(x, 12).T @ (w * values) / 2
    np.testing.assert_allclose(integrated, chi, atol=1e-10)
