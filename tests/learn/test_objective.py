"""Losses against plain NumPy, and what they pull towards."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.learn.objective import Labels, Objective, cot_of, output_of
from spark_cot.learn.recipe import Recipe
from spark_cot.models.target import Target

COT = torch.tensor([0.0, 0.0, 0.3, 1.25, 4.9, 5.0, 40.0, 0.0])
ROWS = torch.tensor([3, 1, 4])
TARGETS = [Target("linear", 50.0), Target("log1p", 4.0)]


def outputs(members: int = 3, width: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(members, len(COT), width, generator=generator) * 0.5 + 0.8


def brute_force(recipe: Recipe, y: NDArray[Any], cot: NDArray[Any]) -> float:
    """Row by row and member by member, from the recipe's docstring."""
    counts = [(cot == 0).sum(), ((cot > 0) & (cot < 1.25)).sum(), (cot >= 1.25).sum()]
    scale, total = recipe.target.scale, 0.0
    for member in y:
        for output, truth in zip(member, cot, strict=True):
            linear = recipe.target.kind == "linear"
            goal = truth / scale if linear else np.log1p(scale * truth)
            read = output[0] * scale if linear else np.expm1(output[0]) / scale
            error = abs(output[0] - goal)
            loss = error**2 if recipe.loss == "squared" else error
            loss += recipe.cot_weight * abs(read - truth)
            loss *= recipe.thin_weight if truth < 5 else 1
            if recipe.balanced:
                kind = 0 if truth == 0 else 1 if truth < 1.25 else 2
                loss *= len(cot) / (3 * counts[kind])
            if recipe.predict_error:
                loss += 0.3 * (error * np.exp(-output[1]) + output[1])
            total += loss / len(cot)
    return total


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("loss", ["squared", "absolute"])
@pytest.mark.parametrize(
    "changes",
    [
        {"cot_weight": 0.0, "thin_weight": 1.0, "predict_error": False},
        {"cot_weight": 0.05, "thin_weight": 1.0, "predict_error": False},
        {"cot_weight": 0.0, "thin_weight": 3.0, "predict_error": False},
        {"cot_weight": 0.0, "thin_weight": 1.0, "balanced": True, "predict_error": False},
        {"cot_weight": 0.0, "thin_weight": 1.0, "predict_error": True},
        {"cot_weight": 0.05, "thin_weight": 3.0, "balanced": True, "predict_error": True},
    ],
)
def test_losses_against_numpy(
    recipe: Recipe, target: Target, loss: str, changes: dict[str, Any]
) -> None:
    recipe = replace(recipe, target=target, loss=loss, **changes)
    y = outputs(width=2 if recipe.predict_error else 1)
    found = Objective(recipe, ROWS)(y, Labels(COT))
    expected = brute_force(recipe, y.double().numpy(), COT.double().numpy())
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_member_learns_in_company_as_alone(recipe: Recipe) -> None:
    objective = Objective(recipe, ROWS)
    together = outputs().requires_grad_()
    objective(together, Labels(COT)).backward()
    for member in range(3):
        alone = outputs()[member : member + 1].requires_grad_()
        objective(alone, Labels(COT)).backward()
        assert torch.equal(alone.grad[0], together.grad[member])


def test_balanced_classes_count_the_same(recipe: Recipe) -> None:
    weights = Objective(replace(recipe, balanced=True, thin_weight=1.0), ROWS)._weights(COT)
    sums = [
        float(weights[rows].sum()) for rows in (COT == 0, (COT > 0) & (COT < 1.25), COT >= 1.25)
    ]
    assert sums == pytest.approx([len(COT) / 3] * 3)


def test_the_scale_ends_at_the_mean_error(recipe: Recipe) -> None:
    recipe = replace(recipe, cot_weight=0.0)
    y = torch.zeros(1, len(COT), 2)
    y[..., 0] = output_of(recipe.target, COT) + torch.linspace(-0.5, 0.9, len(COT))
    log_scale = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([log_scale], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        column = log_scale.expand(1, len(COT), 1)
        loss = Objective(recipe, ROWS)(torch.cat([y[..., :1], column], dim=-1), Labels(COT))
        loss.backward()
        optimizer.step()
    mean = float(torch.linspace(-0.5, 0.9, len(COT)).abs().mean())
    assert float(log_scale.exp().detach()) == pytest.approx(mean, rel=1e-3)


def test_the_scale_does_not_pull_at_the_reading(recipe: Recipe) -> None:
    gradients = []
    for predict_error in (True, False):
        y = outputs().requires_grad_()
        Objective(replace(recipe, predict_error=predict_error), ROWS)(y, Labels(COT)).backward()
        gradients.append(y.grad[..., 0])
    assert torch.equal(*gradients)


def test_a_teacher_s_scale_is_copied(recipe: Recipe) -> None:
    y = outputs()
    objective = Objective(recipe, ROWS)
    without = Objective(replace(recipe, predict_error=False), ROWS)(y, Labels(COT))
    cot, scale = COT.expand(3, -1), y[..., 1] - 0.2
    assert float(objective(y, Labels(cot, y[..., 1]))) == pytest.approx(float(without))
    apart = float(objective(y, Labels(cot, scale)))
    assert apart == pytest.approx(float(without) + 3 * 0.3 * 0.2, rel=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_units_are_those_of_the_target(target: Target) -> None:
    output = output_of(target, COT)
    np.testing.assert_allclose(output.numpy(), target.output(COT.numpy()), rtol=1e-6)
    np.testing.assert_allclose(cot_of(target, output).numpy(), COT.numpy(), rtol=1e-5, atol=1e-6)


def test_an_absurd_output_has_a_finite_loss(recipe: Recipe) -> None:
    y = torch.full((1, len(COT), 2), 200.0, requires_grad=True)
    loss = Objective(recipe, ROWS)(y, Labels(COT))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(y.grad).all()
    assert (y.grad[..., 0] > 0).all()  # and is pulled back


def test_balance_needs_rows_of_each_class(recipe: Recipe) -> None:
    with pytest.raises(ModelError, match=r"\(clear, thin, thick\) are \[3, 0, 2\], balancing"):
        Objective(replace(recipe, balanced=True), torch.tensor([3, 0, 2]))
