"""A white cloud that grows brighter."""

import numpy as np
import pytest

from spark_cot.evaluate.ramp import (
    BRIGHTNESS,
    STEADY,
    SUNS,
    Ramp,
    brightness_ramp,
    brightness_ramps,
    ramp_checks,
    ramps_figure,
    white_cloud,
)
from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import Bundle
from spark_cot.msi import BAND_IDS


def ramp(*estimates: float) -> Ramp:
    cot = np.array(estimates, np.float32)
    return Ramp("water", 30.0, np.arange(len(cot)), cot, cot)


@pytest.mark.parametrize(
    ("estimates", "share"),
    [((1, 2, 3), 1), ((1, 8, 6, 7), 0.75), ((9, 3, 10, 2), 0.2), ((5, np.nan), 0), ((0, 0), 0)],
)
def test_the_smallest_share_of_what_came_before(estimates: tuple[float], share: float) -> None:
    assert ramp(*estimates).steadiness == pytest.approx(share)


def test_white_cloud_is_white_where_nothing_absorbs() -> None:
    for sun in SUNS:
        water = dict(zip(BAND_IDS, white_cloud("water", sun), strict=True))
        ice = dict(zip(BAND_IDS, white_cloud("ice", sun), strict=True))
        assert water["B04"] == ice["B04"] == 1
        assert all(0.85 < water[band] < 1.2 for band in ("B02", "B03", "B8A"))
        assert water["B10"] < 0.1 < ice["B10"]
        assert ice["B12"] < water["B12"] < 1


def test_all_bands_rise_in_proportion(brightness_bundle: Bundle) -> None:
    """The model reads the sum of its bands as thickness."""
    found = brightness_ramp(Predictor(brightness_bundle), "water", 45.0)
    np.testing.assert_allclose(np.diff(found.estimate, 2), 0, atol=1e-4)
    assert found.estimate[-1] > 2 * found.estimate[0]


def test_a_model_that_reads_brightness_passes(brightness_bundle: Bundle) -> None:
    checks = ramp_checks(Predictor(brightness_bundle))
    assert len(checks) == 2 * len(SUNS)
    assert all(check.passed and check.least == STEADY for check in checks)


def test_the_figure_has_a_curve_for_each_sun(brightness_bundle: Bundle) -> None:
    figure = ramps_figure(brightness_ramps(Predictor(brightness_bundle)))
    curves = [line for axis in figure.axes for line in axis.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 2 * len(SUNS)
    np.testing.assert_array_equal(curves[0].get_xdata(), BRIGHTNESS)
