import numpy as np
import pytest

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.simulate.column import boundaries, ground_reflectance, simulate
from spark_cot.simulate.gas.absorption import TERM_BAND, TERM_WEIGHT
from spark_cot.simulate.plots import typical_surface
from spark_cot.simulate.world.sampler import BLOCK_ROWS, draw_block
from spark_cot.simulate.world.states import (
    CLEAR,
    ICE,
    ICE_OVER_WATER,
    MIXED_PHASE,
    WATER,
    standard_states,
)
from spark_cot.simulate.world.surfaces import surface_library
from spark_cot.simulate.world.surfaces.spectra import fresnel_normal
from spark_cot.simulate.world.surfaces.water import waves

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
    shares = dict.fromkeys(("surface_share", "surface_share_20m", "surface_share_60m"), 0.25)
    states = standard_states(1, surface=3, second_surface=9, surface_gain=1.1, **shares)
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


def test_sides_of_thick_cloud_change_it_by_their_gain_and_thin_cloud_hardly(optics):
    cot = np.array([0.1, 0.1, 50.0, 50.0, 0.0, 0.0])
    gain = np.array([1.0, 1.8, 1.0, 1.8, 1.0, 1.8])
    kind = np.where(cot > 0, WATER, CLEAR)
    rho = simulate(over("soil", 6, cloud_type=kind, water_cot=cot, cloud_gain=gain), optics)
    np.testing.assert_allclose(rho[3] / rho[2], 1.8, rtol=1e-4)
    np.testing.assert_allclose(rho[1] / rho[0], 1.8 ** (1 - np.exp(-0.1 / 4)), rtol=1e-12)
    np.testing.assert_array_equal(rho[5], rho[4])


def test_sides_do_not_brighten_the_clear_part_of_a_pixel(optics):
    shared = {"cloud_type": WATER, "water_cot": 50.0, "cloud_fraction": 0.5}
    flat, lit, clear = simulate(
        over("soil", 3, **shared)._replace(
            cloud_gain=np.array([1.0, 1.8, 1.0]), cloud_fraction=np.array([0.5, 0.5, 0.0])
        ),
        optics,
    )
    np.testing.assert_allclose(lit - clear / 2, 1.8 * (flat - clear / 2), rtol=1e-4)


def test_smoke_aloft_hides_what_lies_below_it_and_not_the_ice_above(optics):
    high = {"cloud_type": ICE, "ice_cot": 3.0, "ice_top": 11.0, "ice_base": 9.0}
    smoke = {"plume_angstrom": 1.8, "plume_albedo": 0.8, "plume_top": 5.0}
    bright = simulate(over("snow_ice", 2, plume_depth=np.array([0.0, 1.0]), **smoke), optics)
    assert bright[1, 1] < 0.85 * bright[0, 1]
    ice = simulate(over("water", 2, plume_depth=np.array([0.0, 1.0]), **high, **smoke), optics)
    np.testing.assert_allclose(ice[1, 10], ice[0, 10], rtol=0.03)


def test_layers_stand_in_order_with_and_without_smoke():
    states = draw_block(4, 2)
    for plume in (0.0, 0.5):
        heights = boundaries(states._replace(plume_depth=np.full(BLOCK_ROWS, plume)))
        assert np.all(np.diff(heights, axis=1) <= 1e-9)


def test_bands_see_the_surfaces_of_their_own_cells():
    library = surface_library()
    two = standard_states(
        1,
        surface=np.flatnonzero(library.classes == "roof")[0],
        second_surface=np.flatnonzero(library.classes == "crop")[0],
        surface_share=1.0,
        surface_share_20m=0.5,
        surface_share_60m=0.0,
    )
    found = ground_reflectance(two)[0]
    roof, crop = library.reflectance[[two.surface[0], two.second_surface[0]]]
    sizes = np.array([band.resolution_m for band in BANDS])
    np.testing.assert_allclose(found[sizes == 10], roof[sizes == 10])
    np.testing.assert_allclose(found[sizes == 20], ((roof + crop) / 2)[sizes == 20])
    np.testing.assert_allclose(found[sizes == 60], crop[sizes == 60])


def test_water_glitters_towards_the_sun_alone():
    sea = over("water", 3, sun_zenith=np.array([20.0, 20.0, 60.0]), wind_speed=5.0)
    toward, away, low = ground_reflectance(
        sea._replace(relative_azimuth=np.array([0.0, 180.0, 0.0]), view_zenith=np.full(3, 10.0))
    )[:, 1]
    assert toward > 3 * away
    assert low < 0.2 * toward


def test_glint_adds_up_to_what_all_facets_mirror():
    """Integrated over all views of a flat mirror's sun, glint returns its Fresnel reflectance."""
    mu, weight = np.polynomial.legendre.leggauss(400)
    view = np.rad2deg(np.arccos(0.5 * (mu + 1)))
    azimuth = np.linspace(0, 180, 721)
    grid = np.meshgrid(view, azimuth, indexing="ij")
    shape = grid[0].size
    calm = waves(np.zeros(shape), grid[0].ravel(), grid[1].ravel(), np.full(shape, 2.0))[:, 1]
    radiance = calm.reshape(grid[0].shape).mean(axis=1)
    flux = np.sum(0.5 * weight * radiance * 2 * np.cos(np.deg2rad(view)))
    assert flux == pytest.approx(fresnel_normal()[1], rel=0.05)
