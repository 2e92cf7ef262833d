import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.world.cover import NEIGHBOURS, neighbour_shares
from spark_cot.simulate.world.surfaces import (
    GROUPS,
    REGIONS,
    SNOW,
    class_shares,
    surface_library,
)


def medians(name: str) -> dict[str, float]:
    library = surface_library()
    spectra = library.reflectance[library.members(name)]
    return dict(zip(BAND_IDS, np.median(spectra, axis=0), strict=True))


def test_every_class_has_members_and_a_group():
    classes = {name for group in GROUPS.values() for name in group}
    assert set(surface_library().classes) == classes == set(class_shares())


@pytest.mark.parametrize("shares", [*GROUPS.values(), *REGIONS.values(), *NEIGHBOURS.values()])
def test_shares_add_up(shares):
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("region", REGIONS)
def test_classes_of_a_region_have_the_shares_of_their_groups(region):
    shares = class_shares(region)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(shares[name] for name in SNOW) == pytest.approx(REGIONS[region]["snow"])


def test_the_world_has_the_snow_that_models_need():
    assert sum(class_shares()[name] for name in SNOW) >= 0.15


def test_unknown_region_is_named():
    with pytest.raises(SimulationError, match="unknown region 'mars', expected one of world"):
        class_shares("mars")


@pytest.mark.parametrize("name", class_shares())
def test_what_lies_beside_a_surface_is_most_often_of_its_group(name):
    shares = neighbour_shares(name)
    assert sum(shares.values()) == pytest.approx(1)
    own = next(group for group, classes in GROUPS.items() if name in classes)
    assert sum(shares[c] for c in GROUPS[own]) > 0.5
    others = {c for group in NEIGHBOURS[own] for c in GROUPS[group]}
    assert {c for c, share in shares.items() if share} == others


def test_reflectance_is_physical_and_ids_unique():
    library = surface_library()
    assert library.reflectance.shape == (library.ids.size, len(BAND_IDS))
    assert library.reflectance.min() >= 0
    assert library.reflectance.max() <= 1
    assert np.unique(library.ids).size == library.ids.size


def test_classes_look_like_their_names():
    assert medians("snow_ice")["B03"] > 0.9 > 0.2 > medians("snow_ice")["B11"]
    assert medians("vegetation")["B8A"] > 4 * medians("vegetation")["B04"]
    assert max(medians("water").values()) < 0.05
    assert medians("turbid_water")["B04"] > 4 * medians("water")["B04"]
    assert medians("green_water")["B03"] > 1.5 * medians("green_water")["B02"]
    assert medians("burnt")["B12"] > medians("burnt")["B8A"] > medians("burnt")["B02"]
    assert medians("melt_pond")["B02"] > 3 * medians("melt_pond")["B8A"] / 2
    assert medians("sea_ice")["B02"] > 0.5 > 0.05 > medians("sea_ice")["B11"]
    assert medians("pale_soil")["B02"] > 1.3 * medians("soil")["B02"]


def test_forest_is_dark_as_closed_forest_is():
    """Against a European forest whose reflectance was found from clear scenes."""
    forest = (
        0.019, 0.018, 0.034, 0.020, 0.059, 0.206, 0.257,
        0.266, 0.283, 0.280, 0.220, 0.126, 0.055,
    )  # fmt: skip
    library = surface_library()
    low, high = np.percentile(library.reflectance[library.members("forest")], (5, 95), axis=0)
    assert np.all((low < forest) & (forest < high))


def test_wet_soil_is_darker_than_dry_and_most_where_water_absorbs():
    dry, wet = medians("soil"), medians("wet_soil")
    assert all(wet[band] < dry[band] for band in BAND_IDS)
    assert wet["B12"] / dry["B12"] < wet["B8A"] / dry["B8A"]


def test_snow_under_trees_lies_between_forest_and_snow():
    forest, mixed, snow = (medians(name)["B02"] for name in ("forest", "snow_canopy", "snow_ice"))
    assert forest < mixed < snow


def test_unknown_surface_is_named():
    with pytest.raises(SimulationError, match="unknown surface 'moon'"):
        surface_library().find("moon")
    with pytest.raises(SimulationError, match="unknown surface class 'moon'; expected one of for"):
        surface_library().members("moon")


def test_known_surface_is_found():
    library = surface_library()
    np.testing.assert_array_equal(library.find(library.ids[7]), library.reflectance[7])


@given(
    st.sampled_from(list(REGIONS)),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
)
def test_any_pair_of_uniform_numbers_draws_a_surface_of_the_region(region, a, b):
    shares = class_shares(region)
    row = surface_library().draw(shares, np.array([a]), np.array([b]))
    assert shares[str(surface_library().classes[row[0]])] > 0


def test_drawn_classes_follow_their_shares():
    rng = np.random.default_rng(1)
    rows = surface_library().draw(class_shares(), rng.random(40_000), rng.random(40_000))
    drawn = surface_library().classes[rows]
    for name, share in class_shares().items():
        assert np.mean(drawn == name) == pytest.approx(share, abs=0.01)
