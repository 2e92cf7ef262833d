import numpy as np
import pytest

from spark_cot.demo.landscape import FOREST_SHARE, WATER_SHARE, landscape
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.world.surfaces import surface_library

SHAPE = (100, 120)


def ground(snow=0.0, seed=1):
    return landscape(SHAPE, np.random.default_rng(seed), snow)


@pytest.fixture(scope="module")
def bare():
    return ground()


def test_ground_is_repeatable_and_reflects_what_ground_can(bare):
    assert bare.shape == (13, *SHAPE)
    assert bare.dtype == np.float32
    np.testing.assert_array_equal(bare, ground())
    assert not np.allclose(bare, ground(seed=2))
    assert bare.min() >= 0
    assert np.quantile(bare, 0.999) < 1


def test_lakes_are_dark_and_as_large_as_they_should_be(bare):
    dark = bare[BAND_IDS.index("B11")] < 0.03
    assert dark.mean() == pytest.approx(WATER_SHARE, abs=0.02)


def test_the_highest_ground_is_dark_closed_forest(bare):
    """Darker in the red than half of the fields, and as bright as plants in the near infrared."""
    library = surface_library()
    forest = library.reflectance[library.members("forest")]
    red, infrared = BAND_IDS.index("B04"), BAND_IDS.index("B8A")
    assert np.median(forest[:, red]) < 0.03
    dark = (bare[red] < 0.035) & (bare[infrared] > 0.15)
    assert dark.mean() > 0.7 * FOREST_SHARE


def test_snow_covers_its_share_and_leaves_the_rest_as_it_is(bare):
    white = ground(snow=0.4)
    blue = BAND_IDS.index("B02")
    assert (white[blue] > 0.5).mean() == pytest.approx(0.4, abs=0.03)
    untouched = (white == bare).all(axis=0)
    assert 0.5 < untouched.mean() < 0.6
