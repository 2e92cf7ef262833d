import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.demo.fractal import CLOUD_SLOPE, cloud_thickness, fractal_field
from spark_cot.errors import SimulationError


def field(seed=1, shape=(60, 90), **options):
    return fractal_field(shape, np.random.default_rng(seed), **options)


def line_spectrum(image):
    """Mean power along the rows, tapered so that the open ends do not leak into it."""
    taper = np.hanning(image.shape[1])
    return (np.abs(np.fft.rfft(image * taper, axis=1)) ** 2).mean(axis=0)


def measured_slope(images, first, last):
    power = np.mean([line_spectrum(image) for image in images], axis=0)
    k = np.arange(first, last)
    return -np.polyfit(np.log(k), np.log(power[k]), 1)[0]


@pytest.mark.parametrize("slope", [CLOUD_SLOPE, 2.5])
def test_power_along_a_line_falls_with_the_slope(slope):
    images = [field(seed, (256, 256), slope=slope) for seed in range(4)]
    rotated = [image.T for image in images]
    assert measured_slope(images, 6, 50) == pytest.approx(slope, abs=0.2)
    assert measured_slope(rotated, 6, 50) == pytest.approx(slope, abs=0.2)


def test_beyond_the_largest_wavelength_the_spectrum_is_flat():
    images = [field(seed, (256, 256), largest=16) for seed in range(4)]
    assert measured_slope(images, 3, 10) == pytest.approx(0, abs=0.35)
    assert measured_slope(images, 30, 90) > 1.2


def test_fields_are_normal_and_repeatable():
    image = field()
    assert image.shape == (60, 90)
    assert (image.mean(), image.std()) == pytest.approx((0, 1), abs=1e-12)
    np.testing.assert_array_equal(image, field())
    assert not np.allclose(image, field(2))


@given(
    cover=st.floats(0, 1),
    mean=st.floats(0.01, 30),
    spread=st.floats(0, 1.5),
    seed=st.integers(0, 5),
)
def test_cover_and_mean_are_met_and_the_pattern_is_kept(cover, mean, spread, seed):
    pattern = field(seed, (12, 17))
    cot = cloud_thickness(pattern, cover, mean, spread)
    cloudy = cot > 0
    assert cloudy.sum() == round(cover * pattern.size)
    if cloudy.any():
        assert cot[cloudy].mean() == pytest.approx(mean, rel=1e-9)
        assert (np.diff(cot.ravel()[np.argsort(pattern, axis=None)]) >= 0).all()


def test_thickness_within_a_cloud_is_lognormal():
    cot = cloud_thickness(field(3, (120, 120)), 0.5, 8.0, 0.6)
    logs = np.log(cot[cot > 0])
    assert logs.std() == pytest.approx(0.6, abs=0.005)
    assert np.median(logs) == pytest.approx(logs.mean(), abs=0.005)


@pytest.mark.parametrize("wrong", [(-0.1, 1, 1), (1.1, 1, 1), (0.5, -1, 1), (0.5, 1, np.nan)])
def test_a_cloud_that_cannot_be_is_refused(wrong):
    with pytest.raises(SimulationError, match="expected 0 <= cover <= 1"):
        cloud_thickness(field(), *wrong)
