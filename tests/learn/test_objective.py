"""Losses against plain NumPy, and what they pull towards."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.learn.objective import Labels, Objective, goals_of
from spark_cot.learn.recipe import Recipe
from spark_cot.models.posterior import Posterior
from spark_cot.models.target import Target

COT = torch.tensor([0.0, 0.0, 0.3, 1.25, 4.9, 5.0, 90.0, 0.0])
ROWS = torch.tensor([3, 1, 4])
POSTERIOR = Posterior(4, (0, 0.3, 1, 5, 60))
TARGETS = [Target("linear", 50.0), Target("log1p", 4.0), POSTERIOR]


def outputs(target: Target | Posterior, members: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    shape = (members, len(COT), target.outputs[0])
    return torch.randn(shape, generator=generator) * 0.5 + 0.8


def brute_force(recipe: Recipe, y: NDArray[Any], cot: NDArray[Any]) -> float:
    """Row by row and member by member, from the recipe's docstring."""
    counts = [(cot == 0).sum(), ((cot > 0) & (cot < 1.25)).sum(), (cot >= 1.25).sum()]
    target, total = recipe.target, 0.0
    for member in y:
        for output, truth in zip(member, cot, strict=True):
            if isinstance(target, Posterior):
                inside = [truth >= knot for knot in target.knots[:-1]]
                bin_ = 0 if truth == 0 else sum(inside)
                loss = -np.log(np.exp(output[bin_]) / np.exp(output).sum())
            else:
                linear = target.kind == "linear"
                goal = truth / target.scale if linear else np.log1p(target.scale * truth)
                loss = (output[0] - goal) ** 2
            if recipe.balanced:
                kind = 0 if truth == 0 else 1 if truth < 1.25 else 2
                loss *= len(cot) / (3 * counts[kind])
            total += loss / len(cot)
    return total


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("balanced", [False, True])
def test_losses_against_numpy(recipe: Recipe, target: Target | Posterior, balanced: bool) -> None:
    recipe = replace(recipe, target=target, balanced=balanced)
    objective, y = Objective(recipe, ROWS), outputs(target)
    found = objective(y, objective.labels(COT))
    expected = brute_force(recipe, y.double().numpy(), COT.double().numpy())
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_member_learns_in_company_as_alone(recipe: Recipe, target: Target | Posterior) -> None:
    objective = Objective(replace(recipe, target=target), ROWS)
    labels = objective.labels(COT)
    together = outputs(target).requires_grad_()
    objective(together, labels).backward()
    for member in range(3):
        alone = outputs(target)[member : member + 1].requires_grad_()
        objective(alone, labels).backward()
        assert torch.equal(alone.grad[0], together.grad[member])


def test_balanced_classes_count_the_same(recipe: Recipe) -> None:
    weights = Objective(replace(recipe, balanced=True), ROWS).labels(COT).weights
    sums = [
        float(weights[rows].sum()) for rows in (COT == 0, (COT > 0) & (COT < 1.25), COT >= 1.25)
    ]
    assert sums == pytest.approx([len(COT) / 3] * 3)


def test_probabilities_end_at_the_shares_of_the_rows(recipe: Recipe) -> None:
    objective = Objective(recipe, ROWS)
    logits = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        objective(logits.expand(1, len(COT), 5), objective.labels(COT)).backward()
        optimizer.step()
    expected = objective.labels(COT).goals.mean(dim=0)
    torch.testing.assert_close(logits.detach().softmax(0), expected, atol=0.01, rtol=0)


def test_a_teacher_s_probabilities_are_the_best_outputs(recipe: Recipe) -> None:
    objective, y = Objective(recipe, ROWS), outputs(POSTERIOR).requires_grad_()
    objective(y, Labels(y.detach().softmax(dim=-1))).backward()
    torch.testing.assert_close(y.grad, torch.zeros_like(y), atol=1e-7, rtol=0)


def test_goals_are_those_of_the_target() -> None:
    for target in TARGETS[:2]:
        goals = goals_of(target, COT)[:, 0].numpy()
        np.testing.assert_allclose(goals, target.output(COT.numpy()), rtol=1e-6)
    goals = goals_of(POSTERIOR, COT)
    np.testing.assert_array_equal(goals.argmax(dim=1), POSTERIOR.bins(COT.numpy()))
    assert goals.sum(dim=1).eq(1).all()


@pytest.mark.parametrize("target", TARGETS)
def test_an_absurd_output_has_a_finite_loss(recipe: Recipe, target: Target | Posterior) -> None:
    objective = Objective(replace(recipe, target=target), ROWS)
    y = torch.full((1, len(COT), target.outputs[0]), 200.0)
    y[..., -1] = 1e6
    loss = objective(y.requires_grad_(), objective.labels(COT))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(y.grad).all()


def test_balance_needs_rows_of_each_class(recipe: Recipe) -> None:
    with pytest.raises(ModelError, match=r"\(clear, thin, thick\) are \[3, 0, 2\], balancing"):
        Objective(replace(recipe, balanced=True), torch.tensor([3, 0, 2]))
