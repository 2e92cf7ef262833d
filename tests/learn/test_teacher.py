from dataclasses import replace

import numpy as np
import pytest
import torch

from spark_cot.errors import ModelError
from spark_cot.infer.predictor import Predictor
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.teacher import Teacher
from spark_cot.learn.world import World
from spark_cot.models.bundle import Bundle
from spark_cot.models.posterior import Posterior


@pytest.fixture
def student(recipe: Recipe) -> Recipe:
    """Of more inputs than the teacher, in another order."""
    return replace(recipe, inputs=("B04", "B11", "B10", "B02", "sun_zenith"), members=2)


@pytest.fixture
def pixels() -> torch.Tensor:
    """Noisy rows of two members, ``(members, rows, inputs)``, in the student's order."""
    rng = np.random.default_rng(2)
    centre, width = (0.3, 0.2, 0.01, 0.3, 45.0), (0.1, 0.1, 0.02, 0.25, 15.0)
    return torch.from_numpy(rng.normal(centre, width, (2, 300, 5)).astype(np.float32))


def test_labels_are_the_predictor_s_probabilities(
    posterior_bundle: Bundle, student: Recipe, pixels: torch.Tensor
) -> None:
    labels = Teacher(posterior_bundle, student, World())(pixels)
    assert labels.goals.shape == (2, 300, 5)
    assert labels.weights is None
    columns = [student.inputs.index(name) for name in posterior_bundle.inputs]
    outside = np.zeros((2, 300), bool)
    for member in range(2):
        features = pixels[member][:, columns].contiguous().numpy()
        predictor = Predictor(posterior_bundle)
        outside[member] = predictor(features).outside
        expected = predictor.probabilities(features).T[~outside[member]]
        goals = labels.goals[member][~outside[member]]
        np.testing.assert_allclose(goals, expected, rtol=1e-4, atol=1e-6)
    assert outside.mean() < 0.1


def test_far_off_pixels_have_finite_labels(posterior_bundle: Bundle, student: Recipe) -> None:
    labels = Teacher(posterior_bundle, student, World())(torch.full((2, 4, 5), 1e4))
    assert torch.isfinite(labels.goals).all()


def test_an_input_that_the_student_lacks_is_named(posterior_bundle: Bundle, recipe: Recipe) -> None:
    blind = replace(recipe, inputs=("B02", "sun_zenith"))
    with pytest.raises(ModelError, match=r"needs inputs \['B10', 'B11'\] that recipe small"):
        Teacher(posterior_bundle, blind, World())


def test_a_teacher_predicts_what_the_student_learns(
    double_bundle: Bundle, posterior_bundle: Bundle, student: Recipe
) -> None:
    other = replace(student, target=Posterior(4, (0, 0.3, 1, 5, 70)))
    for teacher, recipe in (
        (double_bundle, student),
        (posterior_bundle, other),
        (double_bundle, replace(student, target=double_bundle.target)),
    ):
        with pytest.raises(ModelError, match="does not predict the distribution that recipe small"):
            Teacher(teacher, recipe, World())


def test_a_teacher_s_labels_cannot_be_balanced(posterior_bundle: Bundle, student: Recipe) -> None:
    with pytest.raises(ModelError, match="recipe small balances classes, a teacher names none"):
        Teacher(posterior_bundle, replace(student, balanced=True), World())
