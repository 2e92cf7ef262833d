import json
from dataclasses import replace

import pytest

from spark_cot.errors import ModelError
from spark_cot.learn.noise import Noise
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.msi import ANGLES, BAND_IDS


def test_the_published_recipe_is_that_of_the_paper() -> None:
    published = RECIPES["published"]
    assert published.inputs == tuple(band for band in BAND_IDS if band != "B01")
    assert published.architecture.widths == (12, 64, 64, 64, 64, 1)
    assert (published.members, published.balanced) == (10, True)
    assert (published.target.kind, published.target.scale) == ("linear", 50.0)
    assert published.noise.additive == 0.03
    assert "B10" not in RECIPES["published-without-b10"].inputs


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_own_name_and_a_document_that_json_keeps(name: str) -> None:
    document = RECIPES[name].document()
    assert document["name"] == name
    assert json.loads(json.dumps(document)) == document


def test_any_field_changes_the_document(recipe: Recipe) -> None:
    other = replace(recipe, noise=replace(recipe.noise, gain=0.5))
    assert other.document() != recipe.document()
    assert replace(recipe, seed=4).document() != recipe.document()


def test_other_bands_keep_the_angles() -> None:
    recipe = RECIPES["cot12"].with_bands(["B04", "B03"])
    assert recipe.inputs == ("B04", "B03", *ANGLES)
    assert recipe.architecture.widths == (5, 128, 128, 128, 128, 32)
    assert recipe.name == "cot12-2-bands"


def test_ten_bands_are_those_that_harmonised_data_have() -> None:
    assert not {"B01", "B09", "B10"} & set(RECIPES["cot10"].inputs)
    assert len(RECIPES["cot10"].bands) == 10


@pytest.mark.parametrize(("name", "level"), [("cot12", 0.02), ("student", 0.02), ("cot6", 0.04)])
def test_noise_of_the_recipes(name: str, level: float) -> None:
    assert RECIPES[name].noise == Noise(level=level, gain=0.02, detector=1.0, floor=0.0005)


def test_a_student_can_learn_from_the_ensemble() -> None:
    assert RECIPES["student"].target == RECIPES["cot12"].target


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        ("sun_zenith",),
        ("B02", "B99"),
        ("sun_zenith", "B02"),
        ("B02", "B03", "B02"),
        ("B02", "cot"),
    ],
)
def test_inputs_are_bands_then_angles_each_once(inputs: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=r"recipe wrong: inputs .* must be bands of"):
        Recipe("wrong", inputs)


@pytest.mark.parametrize("field", ["members", "batch_rows", "steps", "patience"])
def test_counts_are_one_or_more(recipe: Recipe, field: str) -> None:
    with pytest.raises(ModelError, match="must be 1 or more"):
        replace(recipe, **{field: 0})
