import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.world.surfaces import CLASS_SHARES, SNOW, surface_library


def test_every_class_has_members_and_shares_add_up():
    library = surface_library()
    assert set(library.classes) == set(CLASS_SHARES)
    assert sum(CLASS_SHARES.values()) == pytest.approx(1)
    assert sum(CLASS_SHARES[name] for name in SNOW) >= 0.15


def test_reflectance_is_physical_and_ids_unique():
    library = surface_library()
    assert library.reflectance.shape == (library.ids.size, len(BAND_IDS))
    assert library.reflectance.min() >= 0
    assert library.reflectance.max() <= 1
    assert np.unique(library.ids).size == library.ids.size


def test_classes_look_like_their_names():
    library = surface_library()
    medians = {
        name: dict(
            zip(BAND_IDS, np.median(library.reflectance[library.members(name)], 0), strict=True)
        )
        for name in CLASS_SHARES
    }
    assert medians["snow_ice"]["B03"] > 0.9 > 0.2 > medians["snow_ice"]["B11"]
    assert medians["vegetation"]["B8A"] > 4 * medians["vegetation"]["B04"]
    assert max(medians["water"].values()) < 0.05


def test_unknown_surface_is_named():
    with pytest.raises(SimulationError, match="unknown surface 'moon'"):
        surface_library().find("moon")
    with pytest.raises(SimulationError, match="unknown surface class 'moon'; expected one of veg"):
        surface_library().members("moon")


def test_known_surface_is_found():
    library = surface_library()
    np.testing.assert_array_equal(library.find(library.ids[7]), library.reflectance[7])


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_any_pair_of_uniform_numbers_draws_a_surface(a, b):
    row = surface_library().draw(np.array([a]), np.array([b]))
    assert 0 <= row[0] < surface_library().ids.size


def test_drawn_classes_follow_their_shares():
    rng = np.random.default_rng(1)
    rows = surface_library().draw(rng.random(40_000), rng.random(40_000))
    drawn = surface_library().classes[rows]
    for name, share in CLASS_SHARES.items():
        assert np.mean(drawn == name) == pytest.approx(share, abs=0.01)
