import miepython
import numpy as np
import pytest

from spark_cot.simulate.scattering.droplets import (
    EFFECTIVE_RADII,
    VARIANCE,
    droplets,
    refractive_index,
)
from spark_cot.simulate.scattering.mie import efficiencies, gamma_weights, intensity


@pytest.mark.parametrize("index", [1.33 - 0j, 1.318 - 1e-4j, 1.29 - 0.2j])
@pytest.mark.parametrize("size", [0.1, 1.0, 20.523, 300.0, 1200.0])
def test_efficiencies_agree_with_miepython(index, size):
    extinction, scattering = efficiencies(np.array([size]), index)
    expected = miepython.efficiencies_mx(index, size)
    assert extinction[0] == pytest.approx(expected[0], rel=1e-9)
    assert scattering[0] == pytest.approx(expected[1], rel=1e-9)


def test_small_spheres_scatter_like_rayleigh():
    mu = np.array([0.0, 0.3, 0.9, 1.0])
    forward, backward = intensity(np.array([1e-3]), 1.33 - 0j, mu)
    shape = (1 + mu**2) / 2
    np.testing.assert_allclose(forward[0] / forward[0, -1], shape, rtol=1e-5)
    np.testing.assert_allclose(backward[0] / backward[0, -1], shape, rtol=1e-5)


def test_intensity_integrates_to_the_scattering_efficiency():
    x, w = np.polynomial.legendre.leggauss(400)
    size = np.array([50.0])
    forward, backward = intensity(size, 1.33 - 1e-3j, x[200:])
    total = (forward[0] + backward[0]) @ w[200:]
    _, scattering = efficiencies(size, 1.33 - 1e-3j)
    assert total / size[0] ** 2 == pytest.approx(scattering[0], rel=1e-9)


def test_gamma_distribution_has_its_effective_radius_and_variance():
    radius = np.geomspace(0.05, 200, 4000)
    n = gamma_weights(radius, 10.0, VARIANCE)
    effective = (n @ radius**3) / (n @ radius**2)
    variance = (n @ ((radius - effective) ** 2 * radius**2)) / (n @ radius**2) / effective**2
    assert effective == pytest.approx(10, rel=1e-6)
    assert variance == pytest.approx(VARIANCE, rel=1e-6)


#: g at effective radii 5, 10 and 20 um from miepython, variance .10, band centres of S2A.
ASYMMETRY = {
    492.7: (0.8502, 0.8638, 0.8717),
    864.7: (0.8374, 0.8591, 0.8706),
    1613.7: (0.8036, 0.8467, 0.8680),
    2202.4: (0.7983, 0.8428, 0.8724),
}


@pytest.mark.parametrize("wavelength", ASYMMETRY)
def test_asymmetry_of_droplet_clouds(wavelength):
    drops = droplets(wavelength, np.array([5.0, 10.0, 20.0]))
    np.testing.assert_allclose(drops.moments[:, 1], ASYMMETRY[wavelength], atol=0.003)
    np.testing.assert_allclose(drops.moments[:, 0], 1, atol=1e-12)


def test_absorption_of_droplets_in_the_short_wave_infrared():
    drops = droplets(2202.4, np.array([5.0, 10.0, 20.0]))
    np.testing.assert_allclose(1 - drops.albedo, (8.463e-3, 1.792e-2, 3.333e-2), rtol=0.03)


def test_moments_describe_the_tabulated_phase_function():
    drops = droplets(2202.4, EFFECTIVE_RADII[:1], 300)
    orders = 2 * np.arange(300) + 1
    mu = np.cos(np.deg2rad([60.0, 120.0, 175.0]))
    series = np.polynomial.legendre.legval(mu, orders * drops.moments[0])
    np.testing.assert_allclose(series, drops.phase[0, [120, 240, 350]], rtol=1e-6)


def test_ice_absorbs_more_than_water_at_1600_nm():
    water, ice = (refractive_index(np.array([1613.7]), p)[0] for p in ("water", "ice"))
    assert -ice.imag > 2 * -water.imag > 0
