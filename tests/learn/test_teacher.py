import math
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
from spark_cot.models.target import Target


@pytest.fixture
def student(recipe: Recipe) -> Recipe:
    """Of more inputs than the teachers, in another order."""
    return replace(recipe, inputs=("B04", "B11", "B10", "B02", "sun_zenith"), members=2)


@pytest.fixture
def pixels() -> torch.Tensor:
    """Noisy rows of two members, ``(members, rows, inputs)``, in the student's order."""
    rng = np.random.default_rng(2)
    centre, width = (0.3, 0.2, 0.01, 0.3, 45.0), (0.1, 0.1, 0.02, 0.25, 15.0)
    return torch.from_numpy(rng.normal(centre, width, (2, 300, 5)).astype(np.float32))


def features(bundle: Bundle, student: Recipe, rows: torch.Tensor) -> np.ndarray:
    return rows[:, [student.inputs.index(name) for name in bundle.inputs]].contiguous().numpy()


@pytest.mark.parametrize("target", [Target("log1p", 4.0), Target("linear", 50.0)])
@pytest.mark.parametrize("own", [Target("log1p", 4.0), Target("linear", 10.0)])
def test_labels_are_the_predictor_s(
    double_bundle: Bundle, student: Recipe, pixels: torch.Tensor, target: Target, own: Target
) -> None:
    teacher, student = replace(double_bundle, target=own), replace(student, target=target)
    labels = Teacher(teacher, student, World())(pixels)
    assert labels.cot.shape == labels.log_scale.shape == (2, 300)
    for member in range(2):
        prediction = Predictor(teacher)(features(teacher, student, pixels[member]))
        np.testing.assert_allclose(labels.cot[member], prediction.cot, rtol=2e-5, atol=1e-5)
        # Scale b of a Laplace deviate in the student's unit: std = sqrt(2) b dCOT/dy.
        slope = target.slope(target.output(prediction.cot))
        std = math.sqrt(2) * np.exp(labels.log_scale[member].numpy()) * slope
        np.testing.assert_allclose(std, prediction.cot_std, rtol=1e-4)


def test_a_teacher_without_errors_gives_readings_alone(
    single_bundle: Bundle, student: Recipe, pixels: torch.Tensor
) -> None:
    labels = Teacher(single_bundle, replace(student, predict_error=False), World())(pixels)
    assert labels.log_scale is None
    prediction = Predictor(single_bundle)(features(single_bundle, student, pixels[1]))
    assert np.median(prediction.cot) > 0.1
    np.testing.assert_allclose(labels.cot[1], prediction.cot, rtol=2e-5, atol=1e-5)


def test_far_off_pixels_have_finite_labels(double_bundle: Bundle, student: Recipe) -> None:
    labels = Teacher(double_bundle, student, World())(torch.full((2, 4, 5), 1e4))
    assert torch.isfinite(labels.cot).all()
    assert torch.isfinite(labels.log_scale).all()


def test_an_input_that_the_student_lacks_is_named(double_bundle: Bundle, recipe: Recipe) -> None:
    blind = replace(recipe, inputs=("B02", "sun_zenith"))
    with pytest.raises(ModelError, match=r"needs inputs \['B10', 'B11'\] that recipe small"):
        Teacher(double_bundle, blind, World())


def test_a_teacher_of_readings_cannot_teach_errors(single_bundle: Bundle, student: Recipe) -> None:
    with pytest.raises(ModelError, match="predicts no error, recipe small wants to learn one"):
        Teacher(single_bundle, student, World())
