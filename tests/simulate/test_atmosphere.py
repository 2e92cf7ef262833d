import numpy as np
import pytest

from spark_cot.simulate.gas.atmosphere import PROFILES, atmospheres

#: Precipitable water (cm) and ozone (DU) that the AFGL profiles are published with, rounded.
COLUMNS = {
    "tropical": (4.11, 281),
    "midlatitude_summer": (2.93, 334),
    "midlatitude_winter": (0.855, 377),
    "subarctic_summer": (2.09, 347),
    "subarctic_winter": (0.419, 375),
    "us_standard": (1.423, 344),
}


@pytest.mark.parametrize("name", PROFILES)
def test_column_totals(name):
    atmosphere = atmospheres()[PROFILES.index(name)]
    water, ozone = COLUMNS[name]
    assert atmosphere.water_column == pytest.approx(water, rel=5e-3)
    assert atmosphere.ozone_column == pytest.approx(ozone, abs=0.6)


def test_sums_from_space_grow_downward_to_the_total():
    atmosphere = atmospheres()[0]
    heights = np.array([120.0, 30.0, 5.5, 5.0, 0.0])
    sums = atmosphere.above(atmosphere.layer_amount("h2o")[:, None], heights)[:, 0]
    assert sums[0] == pytest.approx(0, abs=1e-20)
    assert np.all(np.diff(sums) > 0)
    assert sums[-1] == pytest.approx(atmosphere.water_column)


def test_pressure_is_log_linear_between_levels():
    atmosphere = atmospheres()[5]
    middle = atmosphere.pressure_at(np.array([0.5]))[0]
    assert middle == pytest.approx(np.sqrt(atmosphere.pressure[0] * atmosphere.pressure[1]))
