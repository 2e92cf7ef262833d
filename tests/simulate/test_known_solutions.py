import numpy as np
import pytest

from spark_cot.simulate.transfer.kernel import column_reflectance
from spark_cot.simulate.transfer.solver import (
    PRODUCTION,
    Geometry,
    Layer,
    PhaseFunction,
    reflectance,
)
from spark_cot.simulate.validate.published import SLAB_TRANSMITTANCE, h_function
from spark_cot.simulate.validate.reference import (
    convergence_checks,
    disort_differences,
    disort_reflectance,
    mie_clouds,
)
from spark_cot.simulate.validate.transfer import (
    disort_test_1,
    energy,
    h_function_layers,
    isotropic,
    limits,
    plane_albedo,
    reciprocity,
    slab_transmittance,
    zenith,
)


@pytest.mark.parametrize("check", [disort_test_1, h_function_layers, energy, reciprocity])
def test_solver_reaches_its_bar(check):
    result = check()
    assert result.passed, result


def test_limits_are_reached():
    for check in limits():
        assert check.passed, check


@pytest.mark.parametrize("tau", [0.5, 3.0])
def test_slab_of_heaslet_and_warming(tau):
    assert slab_transmittance(tau) == pytest.approx(SLAB_TRANSMITTANCE[tau], abs=3e-4)


def test_h_function_is_chandrasekhars():
    """Table XI of Chandrasekhar 1960, and the integral of H."""
    np.testing.assert_allclose(
        h_function(0.9, np.array([0.1, 0.5, 1.0])), (1.17214, 1.55603, 1.85010), rtol=5e-6
    )
    x, w = np.polynomial.legendre.leggauss(200)
    integral = h_function(0.9, (x + 1) / 2) @ w / 2
    assert integral == pytest.approx(2 / 0.9 * (1 - np.sqrt(0.1)), rel=1e-6)


def test_absorption_is_missing_from_the_plane_albedo():
    tau, g = np.array([5.0]), np.array([0.8])
    assert plane_albedo(tau, g, 0.6) == pytest.approx(1, abs=2e-4)
    assert isotropic(5.0, 0.9, 0.6, 0.6) < isotropic(5.0, 1.0, 0.6, 0.6)


def test_disort_with_two_lobed_clouds():
    differences = disort_differences(None, 5, 48, 11, PRODUCTION)
    assert np.abs(differences).max() < 5e-3


def test_disort_with_droplets():
    differences = disort_differences(mie_clouds()[-2:], 3, 64, 12, PRODUCTION)
    assert np.abs(differences).max() < 1e-2


def test_disort_seen_obliquely():
    """Far from nadir all modes count; the default setting sums them."""
    layers = [
        Layer(0.1, 1.0, PhaseFunction.rayleigh()),
        Layer(5.0, 0.999, PhaseFunction.henyey_greenstein(0.8)),
    ]
    nodes = (np.polynomial.legendre.leggauss(24)[0] + 1) / 2
    geometry = Geometry(60.0, zenith(nodes[12]), 40.0)
    expected = disort_reflectance(layers, 0.2, geometry, 48)
    assert reflectance(layers, 0.2, geometry) == pytest.approx(expected, rel=5e-3)
    assert reflectance(layers, 0.2, geometry, PRODUCTION) != pytest.approx(expected, rel=5e-3)


def test_six_nodes_agree_with_twenty():
    for check in convergence_checks(8):
        assert check.passed, check


def test_single_layer_without_scattering_is_attenuation():
    chi = np.zeros((1, PRODUCTION.moments))
    chi[0, 0] = 1
    rho = column_reflectance(
        np.array([0.7]), np.zeros(1), chi, np.ones(1), 0.4, 0.5, 0.9, 0.0, *PRODUCTION.arguments
    )
    assert rho == pytest.approx(0.4 * np.exp(-0.7 * (1 / 0.5 + 1 / 0.9)), rel=1e-12)
