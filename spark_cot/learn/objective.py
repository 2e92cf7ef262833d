"""What training minimises."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch

from spark_cot.errors import ModelError
from spark_cot.learn.recipe import Recipe
from spark_cot.models.target import Target

#: COT below which a row counts `Recipe.thin_weight` times.
THIN_BELOW: Final = 5.0
#: COT that parts thin from thick cloud where classes are balanced (Pirinen et al. 2024).
THICK_FROM: Final = 1.25
#: Weight of the error scale's own loss. It pulls at the common layers and should not lead.
_SCALE_WEIGHT: Final = 0.3
#: Outputs beyond this mean a COT no cloud has; exp of larger ones would end in infinities.
_MOST_LOG1P: Final = 9.0


class Labels(NamedTuple):
    """What a batch should be read as.

    Attributes
    ----------
    cot : torch.Tensor
        ``(rows,)`` COT at 550 nm, or ``(members, rows)``.
    log_scale : torch.Tensor, optional
        Of the same shape: the error scale a teacher predicts, in the target's unit.
    """

    cot: torch.Tensor
    log_scale: torch.Tensor | None = None


class Objective:
    """Loss of an ensemble's outputs.

    Each member's loss is its mean over the rows; they are added, so that a member learns as fast
    in company as alone.

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

    def __call__(self, outputs: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Loss of ``(members, rows, outputs)``; a scalar."""
        recipe, target = self.recipe, self.recipe.target
        y, goal = outputs[..., 0], output_of(target, labels.cot)
        error = y - goal
        loss = error.square() if recipe.loss == "squared" else error.abs()
        if recipe.cot_weight:
            loss = loss + recipe.cot_weight * (cot_of(target, y) - labels.cot).abs()
        loss = loss * self._weights(labels.cot)
        if recipe.predict_error:
            loss = loss + _SCALE_WEIGHT * _scale_loss(outputs[..., 1], error.detach(), labels)
        return loss.mean(dim=-1).sum()

    def _weights(self, cot: torch.Tensor) -> torch.Tensor:
        weights = torch.where(cot < THIN_BELOW, self.recipe.thin_weight, 1.0)
        if self.class_weights is not None:
            weights = weights * self.class_weights.to(cot.device)[_class(cot)]
        return weights


def _scale_loss(log_scale: torch.Tensor, error: torch.Tensor, labels: Labels) -> torch.Tensor:
    """Likelihood of Laplace errors, or distance from the teacher's scale.

    The error is taken as given: rows that are hard to read still count in full for the reading
    (Seitzer et al. 2022, "On the pitfalls of heteroscedastic uncertainty estimation").
    """
    if labels.log_scale is not None:
        return (log_scale - labels.log_scale).abs()
    return error.abs() * torch.exp(-log_scale) + log_scale


def cot_of(target: Target, output: torch.Tensor) -> torch.Tensor:
    """COT of outputs, as `Target.cot`, with gradients."""
    if target.kind == "linear":
        return output * target.scale
    return torch.expm1(output.clamp(max=_MOST_LOG1P)) / target.scale


def output_of(target: Target, cot: torch.Tensor) -> torch.Tensor:
    """Output that means a COT, as `Target.output`."""
    return cot / target.scale if target.kind == "linear" else torch.log1p(cot * target.scale)


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
