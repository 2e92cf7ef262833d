import numpy as np
import pytest

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.column import boundaries, ground_reflectance, simulate
from spark_cot.simulate.gas.absorption import TERM_BAND, TERM_WEIGHT
from spark_cot.simulate.plots import typical_surface
from spark_cot.simulate.world.sampler import draw_block
from spark_cot.simulate.world.states import ICE, ICE_OVER_WATER, MIXED_PHASE, WATER, standard_states

BAND = {band: index for index, band in enumerate(BAND_IDS)}


def over(surface_class, count, **changes):
    row = typical_surface(surface_class)
    return standard_states(count, surface=row, second_surface=row, **changes)


def test_every_solution_belongs_to_a_band():
    assert TERM_BAND.size == 28
    for band in range(len(BAND_IDS)):
        assert TERM_WEIGHT[band == TERM_BAND].sum() == pytest.approx(1)


def test_boundaries_descend_to_the_ground():
    states = draw_block(3, 0)
    heights = boundaries(states)
    assert np.all(np.diff(heights, axis=1) <= 1e-12)
    np.testing.assert_array_equal(heights[:, -1], states.surface_height)


def test_ground_is_mixed_and_scaled():
    states = standard_states(1, surface=3, second_surface=9, surface_share=0.25, surface_gain=1.1)
    pure = [ground_reflectance(standard_states(1, surface=i, second_surface=i)) for i in (3, 9)]
    np.testing.assert_allclose(
        ground_reflectance(states), 1.1 * (0.25 * pure[0] + 0.75 * pure[1]), rtol=1e-12
    )


def test_blue_sky_over_dark_ground(optics):
    rho = simulate(over("water", 1), optics)[0]
    ground = ground_reflectance(over("water", 1))[0]
    assert rho[BAND["B01"]] > rho[BAND["B02"]] > rho[BAND["B04"]] > rho[BAND["B8A"]]
    assert rho[BAND["B01"]] > ground[BAND["B01"]] + 0.05


def test_cirrus_band_is_dark_without_high_cloud(optics):
    clear = simulate(over("sand_rock_bright", 1), optics)[0]
    low = simulate(over("sand_rock_bright", 1, cloud_type=WATER, water_cot=20.0), optics)[0]
    high = simulate(over("sand_rock_bright", 1, cloud_type=ICE, ice_cot=20.0), optics)[0]
    assert clear[BAND["B10"]] < 0.01
    assert low[BAND["B10"]] < 0.05
    assert high[BAND["B10"]] > 0.4


def test_ice_is_darker_than_water_in_the_short_wave_infrared(optics):
    water = simulate(over("water", 1, cloud_type=WATER, water_cot=30.0), optics)[0]
    ice = simulate(over("water", 1, cloud_type=ICE, ice_cot=30.0), optics)[0]
    for band in ("B11", "B12"):
        assert ice[BAND[band]] < 0.85 * water[BAND[band]]
    assert ice[BAND["B02"]] == pytest.approx(water[BAND["B02"]], rel=0.25)


def test_clouds_brighten_with_thickness_over_dark_ground(optics):
    cot = np.geomspace(0.1, 50, 12)
    for change in ({"cloud_type": WATER, "water_cot": cot}, {"cloud_type": ICE, "ice_cot": cot}):
        rho = simulate(over("water", cot.size, **change), optics)
        assert np.all(np.diff(rho[:, BAND["B02"]]) > 0)
        assert np.all(np.diff(rho[:, BAND["B8A"]]) > 0)


def test_water_vapour_above_a_cloud_shrinks_with_its_height(optics):
    top = np.array([1.0, 2.0, 4.0, 6.0])
    states = over("water", 4, cloud_type=WATER, water_cot=30.0, water_top=top, water_base=top - 0.5)
    rho = simulate(states, optics)
    assert np.all(np.diff(rho[:, BAND["B09"]] / rho[:, BAND["B8A"]]) > 0)


def test_higher_ground_has_less_air_and_vapour_above(optics):
    rho = simulate(over("water", 2, surface_height=np.array([0.0, 4.0])), optics)
    assert rho[1, BAND["B01"]] < rho[0, BAND["B01"]]
    dry = simulate(over("snow_ice", 2, surface_height=np.array([0.0, 4.0])), optics)
    assert dry[1, BAND["B09"]] > 1.2 * dry[0, BAND["B09"]]


def test_partial_cover_is_the_mean_of_cloudy_and_clear(optics):
    cloud = {"cloud_type": WATER, "water_cot": 10.0}
    states = over("canopy", 3, cloud_fraction=np.array([1.0, 0.3, 0.0]), **cloud)
    whole, partial, none = simulate(states, optics)
    clear = simulate(over("canopy", 1), optics)[0]
    np.testing.assert_allclose(partial, 0.3 * whole + 0.7 * clear, rtol=1e-12)
    np.testing.assert_allclose(none, clear, rtol=1e-12)


def test_a_mixed_cloud_lies_between_water_and_ice(optics):
    water, mixed, ice = (
        simulate(over("water", 1, cloud_type=MIXED_PHASE, water_cot=w, ice_cot=20 - w), optics)[0]
        for w in (20.0, 10.0, 0.0)
    )
    b11 = BAND["B11"]
    assert ice[b11] < mixed[b11] < water[b11]


def test_ice_over_water_shows_both(optics):
    both = over("water", 1, cloud_type=ICE_OVER_WATER, water_cot=20.0, ice_cot=1.0)
    low = over("water", 1, cloud_type=WATER, water_cot=20.0)
    with_ice, alone = simulate(both, optics)[0], simulate(low, optics)[0]
    assert with_ice[BAND["B10"]] > alone[BAND["B10"]] + 0.02
    assert with_ice[BAND["B11"]] < alone[BAND["B11"]]


def test_a_row_does_not_depend_on_its_neighbours(optics):
    states = draw_block(4, 0).take(np.arange(12))
    together = simulate(states, optics)
    alone = simulate(states.take(np.array([7])), optics)[0]
    np.testing.assert_allclose(together[7], alone, rtol=1e-12)


def test_the_exact_backscattering_angle_is_no_exception(optics):
    angles = {"sun_zenith": 10.0, "view_zenith": 10.0, "relative_azimuth": 180.0}
    rho = simulate(over("water", 1, cloud_type=WATER, water_cot=5.0, **angles), optics)
    near = simulate(
        over("water", 1, cloud_type=WATER, water_cot=5.0, **(angles | {"view_zenith": 10.001})),
        optics,
    )
    np.testing.assert_allclose(rho, near, rtol=1e-3)


def test_a_sun_below_the_horizon_is_refused(optics):
    with pytest.raises(SimulationError, match="sun_zenith"):
        simulate(standard_states(1, sun_zenith=91.0), optics)
