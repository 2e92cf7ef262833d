import numpy as np
import pytest

from spark_cot.demo.sides import sunlit, top_heights
from spark_cot.simulate.world.sampler import SIDES_GAIN

PIXEL = 10.0


def ramp(slope: float, towards: str) -> np.ndarray:
    """Heights that rise evenly towards a side of the image."""
    rows, cols = np.indices((80, 80)) * PIXEL
    return slope * {"east": cols, "west": -cols, "north": -rows, "south": rows}[towards]


def middle(light: np.ndarray) -> float:
    return light[40, 40]


def test_a_flat_top_has_the_light_of_a_flat_top():
    np.testing.assert_array_equal(sunlit(np.full((9, 9), 800.0), PIXEL, (50, 160)), 1)


@pytest.mark.parametrize(
    ("azimuth", "lit", "shaded"),
    [(0, "south", "north"), (90, "west", "east"), (180, "north", "south"), (270, "east", "west")],
)
def test_a_slope_that_falls_towards_the_sun_is_lit_by_the_cosine_law(azimuth, lit, shaded):
    zenith, slope = 40.0, 0.2
    tilt = np.rad2deg(np.arctan(slope))
    level = np.cos(np.deg2rad(zenith))
    bright, dark = (
        middle(sunlit(ramp(slope, side), PIXEL, (zenith, azimuth))) for side in (lit, shaded)
    )
    assert bright == pytest.approx(np.cos(np.deg2rad(zenith - tilt)) / level)
    assert dark == pytest.approx(np.cos(np.deg2rad(zenith + tilt)) / level)


def test_light_stays_within_the_gains_of_the_training_world():
    low, high = SIDES_GAIN
    assert middle(sunlit(ramp(3.0, "north"), PIXEL, (70, 180))) == high
    assert middle(sunlit(ramp(3.0, "south"), PIXEL, (70, 180))) == low


def test_relief_finer_than_light_wanders_is_not_seen():
    rows, _ = np.indices((80, 80))
    fine, coarse = (50.0 * np.sin(2 * np.pi * rows / period) for period in (5, 40))
    assert np.ptp(sunlit(fine, PIXEL, (50, 180))[20:60]) < 0.01
    assert np.ptp(sunlit(coarse, PIXEL, (50, 180))[20:60]) > 0.1


def test_tops_rise_with_thickness():
    np.testing.assert_allclose(top_heights(np.array([0.0, 1.0, 32.0]), 70), [0, 70, 560])
