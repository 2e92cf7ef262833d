import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_cot.errors import SimulationError
from spark_cot.simulate.transfer import solver
from spark_cot.simulate.transfer.solver import (
    PRODUCTION,
    Accuracy,
    Geometry,
    Layer,
    PhaseFunction,
    reflectance,
)

CLOUD = PhaseFunction.henyey_greenstein(0.85)
NADIR = Geometry(40.0, 5.0, 90.0)

zeniths = st.floats(0, 80)
azimuths = st.floats(0, 360)
depths = st.floats(0, 50)
shares = st.floats(0, 1)


def test_the_example_of_the_documentation():
    assert doctest.testmod(solver).failed == 0


def test_bare_ground_is_seen_as_it_is():
    assert reflectance([], 0.3, NADIR) == 0.3


@given(zeniths, zeniths, azimuths, depths, shares, st.floats(0.0, 0.86), shares)
@settings(max_examples=60, deadline=None)
def test_reflectance_is_finite_and_reciprocal(sun, view, azimuth, tau, albedo, g, surface):
    layers = [
        Layer(0.1, 1.0, PhaseFunction.rayleigh()),
        Layer(tau, albedo, PhaseFunction.henyey_greenstein(g)),
    ]
    there = reflectance(layers, surface, Geometry(sun, view, azimuth))
    back = reflectance(layers, surface, Geometry(view, sun, azimuth))
    assert np.isfinite(there)
    assert there == pytest.approx(back, rel=1e-10, abs=1e-14)


@given(zeniths, st.floats(0, 12), azimuths, depths, st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_layers_of_the_same_kind_add_up(sun, view, azimuth, tau, split):
    geometry = Geometry(sun, view, azimuth)
    whole = reflectance([Layer(tau, 0.99, CLOUD)], 0.1, geometry)
    parts = [Layer(tau * split, 0.99, CLOUD), Layer(tau * (1 - split), 0.99, CLOUD)]
    assert reflectance(parts, 0.1, geometry) == pytest.approx(whole, rel=2e-3)


@given(zeniths, st.floats(0, 12), azimuths, st.floats(0.1, 5), st.floats(0.5, 0.999))
@settings(max_examples=30, deadline=None)
def test_absorption_darkens_and_ground_brightens(sun, view, azimuth, tau, albedo):
    geometry = Geometry(sun, view, azimuth)
    clear = reflectance([Layer(tau, 1.0, CLOUD)], 0.5, geometry)
    absorbing = reflectance([Layer(tau, albedo, CLOUD)], 0.5, geometry)
    dark_ground = reflectance([Layer(tau, albedo, CLOUD)], 0.2, geometry)
    assert dark_ground < absorbing < clear


def test_isotropic_scattering_does_not_know_the_azimuth():
    layer = [Layer(3.0, 0.9, PhaseFunction.isotropic())]
    values = [reflectance(layer, 0.2, Geometry(60.0, 10.0, phi)) for phi in (0, 45, 180)]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


def test_forward_azimuth_is_zero():
    """Thin forward-scattering haze is brighter looking towards the sun's side."""
    haze = [Layer(0.05, 1.0, PhaseFunction.henyey_greenstein(0.7))]
    assert Geometry(70.0, 60.0, 0.0).cos_scattering > Geometry(70.0, 60.0, 180.0).cos_scattering
    forward, backward = (reflectance(haze, 0.0, Geometry(70.0, 60.0, phi)) for phi in (0, 180))
    assert forward > 2 * backward


def test_a_view_at_a_node_of_the_quadrature_is_no_exception():
    node = float(PRODUCTION.arguments[0][4])
    at = float(np.rad2deg(np.arccos(node)))
    values = [
        reflectance([Layer(5.0, 0.99, CLOUD)], 0.1, Geometry(at + shift, at, 30.0))
        for shift in (-1e-7, 0.0, 1e-7)
    ]
    np.testing.assert_allclose(values, values[1], rtol=1e-6)


def test_tabulated_phase_function_is_the_analytic_one():
    degrees = np.linspace(0, 180, 3601)
    values = CLOUD.value(np.cos(np.deg2rad(degrees)))
    table = PhaseFunction.tabulated(CLOUD.moments(60), degrees, values)
    analytic = reflectance([Layer(8.0, 1.0, CLOUD)], 0.1, NADIR)
    assert reflectance([Layer(8.0, 1.0, table)], 0.1, NADIR) == pytest.approx(analytic, rel=1e-6)


@pytest.mark.parametrize("sun", [90.0, 95.0, -1.0, float("nan")])
def test_a_sun_below_the_horizon_is_refused(sun):
    with pytest.raises(SimulationError, match=r"sun_zenith is .*expected 0 <= sun_zenith < 90"):
        Geometry(sun, 0.0, 0.0)


def test_negative_thickness_is_refused():
    with pytest.raises(SimulationError, match="optical depth is -1, expected a finite number >= 0"):
        Layer(-1.0, 1.0, CLOUD)


@pytest.mark.parametrize("albedo", [-0.1, 1.1, float("nan")])
def test_impossible_albedos_are_refused(albedo):
    with pytest.raises(SimulationError, match="single-scattering albedo"):
        Layer(1.0, albedo, CLOUD)
    with pytest.raises(SimulationError, match="surface albedo"):
        reflectance([], albedo, NADIR)


@pytest.mark.parametrize("wrong", [{"nodes": 4}, {"modes": 13}, {"modes": 0}, {"thin": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SimulationError, match="expected at least 6 nodes"):
        Accuracy(**wrong)
