from collections import Counter

import numpy as np
import pytest

from spark_cot.errors import SimulationError
from spark_cot.simulate.world.cover import BUILT
from spark_cot.simulate.world.sampler import (
    BLOCK_ROWS,
    LOGARITHMIC_SHARE,
    MAX_COT,
    NEIGHBOUR_SHARE,
    PLUME_SHARE,
    SIDES_GAIN,
    SIDES_SHARE,
    UNEVEN_SHARE,
    UNRELATED_SHARE,
    draw_block,
)
from spark_cot.simulate.world.states import (
    CLEAR,
    ICE,
    ICE_OVER_WATER,
    MIXED_PHASE,
    WATER,
    States,
    standard_states,
)
from spark_cot.simulate.world.surfaces import GROUPS, SNOW, surface_library

BLOCKS = 80


@pytest.fixture(scope="module")
def states() -> States:
    blocks = [draw_block(5, block) for block in range(BLOCKS)]
    return States._make(np.concatenate(column) for column in zip(*blocks, strict=True))


def test_a_block_is_a_function_of_seed_and_block():
    for first, again in zip(draw_block(5, 3), draw_block(5, 3), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(draw_block(5, 3).sun_zenith, draw_block(5, 4).sun_zenith)
    assert not np.array_equal(draw_block(5, 3).sun_zenith, draw_block(6, 3).sun_zenith)


def test_quantities_do_not_share_their_streams():
    states = draw_block(1, 0)
    assert abs(np.corrcoef(states.angstrom, states.aerosol_albedo)[0, 1]) < 0.25


def test_states_have_physical_meaning(states):
    states.check()
    assert states.sun_zenith.min() >= 18
    assert states.sun_zenith.max() <= 80
    assert states.view_zenith.max() <= 11.5
    assert states.cot_in_cloud.max() <= MAX_COT


def test_clouds_stand_in_order_above_the_ground(states):
    ground = states.surface_height
    water = np.isin(states.cloud_type, (WATER, ICE_OVER_WATER, MIXED_PHASE))
    ice = np.isin(states.cloud_type, (ICE, ICE_OVER_WATER))
    both = states.cloud_type == ICE_OVER_WATER
    assert np.all((states.water_top > states.water_base)[water])
    assert np.all((states.water_base >= ground)[water])
    assert np.all((states.ice_top >= states.ice_base + 0.299)[ice])
    assert np.all((states.ice_base >= ground + 0.299)[ice])
    assert np.all((states.ice_base >= states.water_top + 0.299)[both])


def test_shares_of_cloud_types(states):
    shares = np.bincount(states.cloud_type) / states.cloud_type.size
    np.testing.assert_allclose(shares, (0.25, 0.25, 0.25, 0.125, 0.125), atol=0.015)


def test_thickness_belongs_to_the_cloud_type(states):
    assert np.all(states.cot_in_cloud[states.cloud_type == CLEAR] == 0)
    assert np.all(states.ice_cot[states.cloud_type == WATER] == 0)
    assert np.all(states.water_cot[states.cloud_type == ICE] == 0)
    mixed = np.isin(states.cloud_type, (ICE_OVER_WATER, MIXED_PHASE))
    assert np.all((states.water_cot[mixed] > 0) & (states.ice_cot[mixed] > 0))
    cloudy = states.cot_in_cloud[states.cloud_type != CLEAR]
    assert np.mean(cloudy < 1) == pytest.approx(
        LOGARITHMIC_SHARE * np.log(20) / np.log(1000) + 0.02 * (1 - LOGARITHMIC_SHARE), abs=0.02
    )


def test_there_is_fog_thin_cirrus_and_partial_cover(states):
    fog = (states.cloud_type == WATER) & (states.water_base == states.surface_height)
    assert np.mean(fog[states.cloud_type == WATER]) == pytest.approx(0.08, abs=0.02)
    assert np.any((states.cloud_type == ICE) & (states.ice_cot < 0.3) & (states.ice_top > 10))
    partial = (states.cloud_fraction > 0) & (states.cloud_fraction < 1)
    cloudy = states.cloud_type != CLEAR
    assert np.mean(partial[cloudy]) == pytest.approx(0.10, abs=0.015)
    np.testing.assert_allclose(states.cot, states.cloud_fraction * states.cot_in_cloud)


def test_snow_lies_under_clear_and_cloudy_sky(states):
    snow = np.isin(surface_library().classes[states.surface], SNOW)
    assert snow.mean() > 0.15
    assert 0.2 < np.mean(states.cloud_type[snow] == CLEAR) < 0.3


def test_pure_surfaces_name_one_row_twice(states):
    pure = states.surface_share == 1
    built = np.isin(surface_library().classes[states.surface], BUILT)
    expected = 1 - UNRELATED_SHARE - NEIGHBOUR_SHARE
    assert pure[~built].mean() == pytest.approx(expected, abs=0.02)
    assert pure[built].mean() < 0.02
    np.testing.assert_array_equal(states.surface[pure], states.second_surface[pure])


def test_cells_of_all_sizes_see_two_surfaces_in_even_or_in_other_shares(states):
    mixed = states.surface != states.second_surface
    shares = [states.surface_share, states.surface_share_20m, states.surface_share_60m]
    even = (shares[0] == shares[1]) & (shares[0] == shares[2])
    built = np.isin(surface_library().classes[states.surface], BUILT)
    assert even[~mixed].all()
    assert even[mixed & ~built].mean() == pytest.approx(1 - UNEVEN_SHARE, abs=0.03)
    assert not even[mixed & built].any()
    for share in shares:
        assert share.min() >= 0
        assert share.max() <= 1


def test_neighbours_are_of_groups_that_lie_beside_each_other():
    blocks = [draw_block(9, block) for block in range(20)]
    first, second = (
        surface_library().classes[np.concatenate([getattr(b, name) for b in blocks])]
        for name in ("surface", "second_surface")
    )
    groups = {name: group for group, classes in GROUPS.items() for name in classes}
    pairs = Counter(
        (groups[str(a)], groups[str(b)])
        for a, b in zip(first[first != second], second[first != second], strict=True)
    )
    assert pairs["water", "water"] > 2 * pairs["water", "bare"] > 0
    assert pairs["water", "bare"] > 3 * pairs["water", "snow"]


def test_regions_change_the_ground_and_nothing_else():
    world, desert = draw_block(3, 1), draw_block(3, 1, "desert")
    grounds = {"surface", "second_surface", "surface_share", "surface_share_20m"}
    for name, a, b in zip(States._fields, world, desert, strict=True):
        if name not in grounds | {"surface_share_60m"}:
            np.testing.assert_array_equal(a, b)
    bare = surface_library().classes[desert.surface]
    assert np.isin(bare, list(GROUPS["bare"])).mean() > 0.6


def test_sides_of_clouds_and_plumes_are_drawn_as_often_as_stated(states):
    cloudy = states.cloud_type != CLEAR
    sides = states.cloud_gain != 1
    assert not sides[~cloudy].any()
    assert sides[cloudy].mean() == pytest.approx(SIDES_SHARE, abs=0.015)
    assert states.cloud_gain.min() >= SIDES_GAIN[0]
    assert states.cloud_gain.max() <= SIDES_GAIN[1]
    assert np.mean(states.plume_depth > 0) == pytest.approx(PLUME_SHARE, abs=0.01)
    assert np.all(states.plume_top >= states.surface_height + 2.5)


def test_low_water_cloud_is_well_covered(states):
    water = (states.cloud_type == WATER) & (states.water_base > states.surface_height)
    top = (states.water_top - states.surface_height)[water]
    assert np.mean(top < 1.5) > 0.35
    assert np.mean(top > 3) > 0.15


def test_states_under_a_clear_sky():
    clear = draw_block(2, 0).without_cloud()
    assert np.all(clear.cot_in_cloud == 0)
    assert np.all(clear.cloud_type == CLEAR)
    assert clear.sun_zenith.size == BLOCK_ROWS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sun_zenith": 95.0}, "sun_zenith is 95 in 3 of 3 rows, expected 0"),
        ({"water_cot": -1.0}, "water_cot is -1"),
        ({"ice_cot": float("nan")}, "ice_cot is nan"),
        ({"cloud_fraction": 1.5}, "cloud_fraction is 1.5"),
        ({"surface": 99_999}, "surface is 99999"),
    ],
)
def test_states_without_meaning_are_refused(change, message):
    with pytest.raises(SimulationError, match=message):
        standard_states(3, **change).check()
