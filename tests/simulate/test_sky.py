"""Tabulated skies against the simulator itself, over all kinds of ground and thickness."""

import numpy as np
import pytest

from spark_cot.demo.scenes import SCENES
from spark_cot.errors import SimulationError
from spark_cot.simulate.column import ground_reflectance, simulate
from spark_cot.simulate.sky import THICKEST, THINNEST, Sky
from spark_cot.simulate.world.states import standard_states
from spark_cot.simulate.world.surfaces import surface_library

COLUMNS = 80


def random_columns(atmosphere, seed):
    """Columns of one sky over any two surfaces of the library, under any thickness."""
    rng = np.random.default_rng(seed)
    cot = np.exp(rng.uniform(np.log(THINNEST), np.log(THICKEST), COLUMNS))
    surface, second = rng.integers(0, surface_library().ids.size, (2, COLUMNS))
    columns = atmosphere.take(np.zeros(COLUMNS, np.intp))._replace(
        water_cot=cot * atmosphere.water_cot,
        ice_cot=cot * atmosphere.ice_cot,
        surface=surface,
        second_surface=second,
        surface_share=rng.random(COLUMNS),
        surface_gain=rng.lognormal(0, 0.1, COLUMNS),
    )
    return cot, columns


def tabulated(sky, columns, cot):
    ground = ground_reflectance(columns)
    return np.stack([sky.reflectance(b, ground[:, b], cot) for b in range(13)], axis=-1)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title.replace(" ", "-"))
def test_reflectance_is_that_of_the_simulator(scene, optics):
    sky = Sky.of(scene.atmosphere, optics)
    cot, columns = random_columns(scene.atmosphere, 5)
    error = tabulated(sky, columns, cot) - simulate(columns, optics)
    assert np.abs(error).max() < 0.001
    clear = tabulated(sky, columns, np.zeros(COLUMNS))
    assert np.abs(clear - simulate(columns.without_cloud(), optics)).max() < 0.001


def test_more_light_comes_back_from_brighter_ground_and_never_beyond_the_table(optics):
    sky = Sky.of(standard_states(1, cloud_type=1, water_cot=1.0), optics)
    albedo = np.linspace(-0.1, 1.1, 50)
    for band in range(13):
        rho = sky.reflectance(band, albedo, np.full(50, 2.0))
        assert (np.diff(rho) >= -1e-12).all()
        black, white = sky.reflectance(band, sky.grounds[[0, 2], band], np.full(2, 2.0))
        assert rho.min() == pytest.approx(black)
        assert rho.max() == pytest.approx(white)


def test_a_sky_needs_a_cloud_and_a_table_has_an_end(optics):
    with pytest.raises(SimulationError, match="no cloud"):
        Sky.of(standard_states(1), optics)
    sky = Sky.of(standard_states(1, cloud_type=1, water_cot=1.0), optics)
    with pytest.raises(SimulationError, match="expected at most 200"):
        sky.reflectance(0, np.zeros(2), np.array([0, 201.0]))
