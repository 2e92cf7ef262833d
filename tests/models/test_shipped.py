"""The models that ship are what the README says: made by the committed recipes, and good."""

from pathlib import Path

import numpy as np
import pytest

from spark_cot.errors import ModelError
from spark_cot.infer.predictor import Predictor
from spark_cot.learn.recipe import RECIPES
from spark_cot.models.bundle import Bundle, load_bundle
from spark_cot.models.shipped import DEFAULT, SHIPPED, default_model, shipped_model
from spark_cot.msi import ANGLES, BAND_IDS
from spark_cot.safe import blocks, discover, open_scene, read_block, scene_grid, scenes_of
from spark_cot.simulate.dataset import simulate_block

CLEAR = ("20150909", "20190918", "20240120")
CLOUDY = ("20150820", "20240305")


@pytest.fixture(scope="module", params=SHIPPED)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return load_bundle(shipped_model(request.param))


@pytest.fixture(scope="module")
def pixels(shared: Path) -> dict[str, dict[str, np.ndarray]]:
    """Columns of every real scene's valid pixels at 10 m, by date."""
    found = {}
    for product in discover(str(shared / "data" / "safe")).products:
        scene = open_scene(scenes_of(product)[0])
        grid = scene_grid(scene, 10)
        (window,) = blocks(scene, grid)
        reflectance, valid, angles = read_block(scene, grid, window).tile(window)
        columns = dict(zip(BAND_IDS, reflectance[:, valid], strict=True))
        columns |= dict(zip(ANGLES, angles[:, valid], strict=True))
        found[f"{scene.sensing_time:%Y%m%d}"] = columns
    return found


def test_made_by_the_committed_recipe(bundle: Bundle) -> None:
    assert bundle.training["recipe"] == RECIPES[bundle.name].document()


def test_small_enough_to_ship(bundle: Bundle) -> None:
    size = sum(path.stat().st_size for path in shipped_model(bundle.name).iterdir())
    assert size < 700_000


def test_the_student_was_taught_by_the_ensemble_that_ships() -> None:
    assert DEFAULT == "student"
    assert (
        load_bundle(default_model()).training["teacher"] == load_bundle(shipped_model("cot12")).id
    )


def test_the_student_is_as_good_as_its_teacher() -> None:
    student, teacher = (
        load_bundle(default_model()).metrics,
        load_bundle(shipped_model("cot12")).metrics,
    )
    for level, error in student["mae"].items():
        assert error <= 1.03 * teacher["mae"][level]


def test_reads_rows_it_has_never_seen_as_its_scores_promise(bundle: Bundle) -> None:
    rows = simulate_block(seed=99, block=0)
    said = Predictor(bundle).from_columns({n: rows[n].to_numpy() for n in bundle.inputs})
    error = np.abs(said.cot - rows["cot"].to_numpy())
    spread = 3 * error.std() / np.sqrt(len(error))
    assert error.mean() <= bundle.metrics["mae"]["0"] + spread


@pytest.mark.parametrize("date", CLEAR)
def test_clear_scenes_are_clear(bundle: Bundle, pixels, date: str) -> None:
    classes = Predictor(bundle).from_columns(pixels[date]).cloud_class
    assert (classes >= 2).mean() <= 0.01


@pytest.mark.parametrize("date", CLOUDY)
def test_cloudy_scenes_are_cloudy(bundle: Bundle, pixels, date: str) -> None:
    classes = Predictor(bundle).from_columns(pixels[date]).cloud_class
    assert (classes >= 2).mean() >= 0.97


def test_a_name_that_does_not_ship() -> None:
    with pytest.raises(ModelError, match="there are"):
        shipped_model("cot13")
