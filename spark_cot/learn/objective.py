"""What training minimises."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch

from spark_cot.errors import ModelError
from spark_cot.learn.recipe import Recipe
from spark_cot.models.posterior import Posterior
from spark_cot.models.target import Target

#: COT that parts thin from thick cloud where classes are balanced (Pirinen et al. 2024).
THICK_FROM: Final = 1.25


class Labels(NamedTuple):
    """What a batch should be read as.

    Attributes
    ----------
    goals : torch.Tensor
        ``(rows, outputs)``, or ``(members, rows, outputs)``: the output, or the probability of each
        bin of a posterior.
    weights : torch.Tensor, optional
        ``(rows,)``, by which rows count.
    """

    goals: torch.Tensor
    weights: torch.Tensor | None = None


class Objective:
    """Loss of an ensemble's outputs: cross-entropy of a posterior, squared error of a reading.

    The cross-entropy makes the outputs the probabilities of the bins among the training rows, so
    rows count the same unless the recipe balances classes. Each member's loss is its mean over the
    rows; they are added, so that a member learns as fast in company as alone.

    Parameters
    ----------
    recipe : Recipe
    rows : torch.Tensor
        ``(3,)`` training rows of each class, balanced where the recipe asks for it.

    Raises
    ------
    ModelError
        Classes are to be balanced and one of them has no row.
    """

    def __init__(self, recipe: Recipe, rows: torch.Tensor) -> None:
        self.recipe = recipe
        self.class_weights = _balance(rows) if recipe.balanced else None

    def labels(self, cot: torch.Tensor) -> Labels:
        """Labels of rows ``(rows,)`` of known COT."""
        goals = goals_of(self.recipe.target, cot)
        if self.class_weights is None:
            return Labels(goals)
        return Labels(goals, self.class_weights.to(cot.device)[_class(cot)])

    def __call__(self, outputs: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Loss of ``(members, rows, outputs)``; a scalar."""
        if isinstance(self.recipe.target, Posterior):
            loss = -(labels.goals * outputs.log_softmax(dim=-1)).sum(dim=-1)
        else:
            loss = (outputs - labels.goals).square().sum(dim=-1)
        if labels.weights is not None:
            loss = loss * labels.weights
        return loss.mean(dim=-1).sum()


def goals_of(target: Target | Posterior, cot: torch.Tensor) -> torch.Tensor:
    """Outputs that mean ``(rows,)`` COT, ``(rows, outputs)``: the output, or 1 in COT's bin."""
    if isinstance(target, Posterior):
        inner = torch.tensor(target.knots[1:-1], dtype=cot.dtype, device=cot.device)
        bins = (cot > 0) * (1 + torch.bucketize(cot.contiguous(), inner, right=True))
        return torch.nn.functional.one_hot(bins, len(target.knots)).to(cot.dtype)
    linear = target.kind == "linear"
    return (cot / target.scale if linear else torch.log1p(cot * target.scale))[:, None]


def _class(cot: torch.Tensor) -> torch.Tensor:
    return (cot > 0).long() + (cot >= THICK_FROM).long()


def class_rows(cot: torch.Tensor) -> torch.Tensor:
    """Rows ``(3,)`` that are clear, thin (below `THICK_FROM`) and thick, of ``(n,)`` COT."""
    return torch.bincount(_class(cot), minlength=3)


def _balance(rows: torch.Tensor) -> torch.Tensor:
    if not rows.all():
        raise ModelError(
            f"rows per class (clear, thin, thick) are {rows.tolist()}, balancing needs each",
            cure="Use a table with clear, thin and thick rows, or another recipe",
        )
    return rows.sum() / (3.0 * rows)
