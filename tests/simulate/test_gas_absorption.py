import numpy as np
import pytest

from spark_cot.msi import BAND_IDS
from spark_cot.simulate.gas.atmosphere import PROFILES
from spark_cot.simulate.gas.transmittance import band_absorbance, band_model, interval_weights
from spark_cot.simulate.validate.lookups import gas_checks

GROUND = np.array([0.0])
US = PROFILES.index("us_standard")


def transmittance(gas, profile, airmass, platform=0):
    table = band_absorbance(gas, profile, np.array([airmass]), GROUND)
    return dict(zip(BAND_IDS, np.exp(-table[platform, 0, 0]), strict=True))


@pytest.mark.parametrize(
    ("gas", "band", "platform", "expected"),
    [
        ("h2o", "B04", 0, 0.992),
        ("h2o", "B06", 1, 0.966),
        ("h2o", "B08", 0, 0.950),
        ("h2o", "B09", 0, 0.384),
        ("h2o", "B09", 2, 0.404),
        ("h2o", "B10", 0, 0.013),
        ("h2o", "B12", 1, 0.964),
        ("co2", "B11", 0, 0.968),
        ("ch4", "B12", 0, 0.966),
        ("o2", "B07", 1, 0.998),
    ],
)
def test_two_way_transmittance_of_the_us_standard(gas, band, platform, expected):
    assert transmittance(gas, US, 2.0, platform)[band] == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("profile", "airmass", "b09"),
    [("subarctic_winter", 2, 0.603), ("tropical", 2, 0.205), ("tropical", 3, 0.150)],
)
def test_water_vapour_of_other_profiles(profile, airmass, b09):
    found = transmittance("h2o", PROFILES.index(profile), airmass)["B09"]
    assert found == pytest.approx(b09, abs=1.1e-3)


def test_limits_of_the_band_laws():
    """Weak absorption is strength x amount; strong absorption grows with the root of the path."""
    for gas in ("h2o", "co2"):
        model = band_model(gas)
        weak = model.absorbance(np.array(1e-15), np.array(1e-15))
        np.testing.assert_allclose(weak, model.strength * 1e-15, rtol=1e-4)
        c = np.array(1e12)
        strong = model.absorbance(4 * c, 4 * c) / model.absorbance(c, c)
        np.testing.assert_allclose(strong, 2, rtol=0.01)
        np.testing.assert_array_equal(model.absorbance(np.array(0.0), np.array(0.0)), 0)


def test_absent_intervals_are_transparent():
    weights = interval_weights("ch4")
    assert weights[:, BAND_IDS.index("B02")].sum() == 0
    assert 0 < weights[0, BAND_IDS.index("B11")].sum() < 1


def test_solved_transmittance_agrees_with_every_interval():
    for check in gas_checks():
        assert check.passed, check
