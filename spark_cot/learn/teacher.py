"""A bundle as the source of labels: a small network learns to predict as a large one does."""

from __future__ import annotations

import math

import torch

from spark_cot.errors import ModelError
from spark_cot.learn.network import Ensemble
from spark_cot.learn.objective import Labels, cot_of
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.world import World
from spark_cot.models.bundle import Bundle
from spark_cot.models.target import MAX_LOG_SCALE, Target


class Teacher:
    """Labels from a bundle's predictions on the very rows, noise included, that the student sees.

    Parameters
    ----------
    bundle : Bundle
    recipe : Recipe
        Of the student, whose inputs hold those of the teacher.
    world : World

    Raises
    ------
    ModelError
        The teacher needs an input that the student does not have, or predicts no error where the
        student is to.
    """

    def __init__(self, bundle: Bundle, recipe: Recipe, world: World) -> None:
        missing = [name for name in bundle.inputs if name not in recipe.inputs]
        if missing:
            raise ModelError(
                f"teacher needs inputs {missing} that recipe {recipe.name} does not have",
                f"model {bundle.id}",
                "Choose a teacher of the same bands, or another recipe",
            )
        if recipe.predict_error and not bundle.architecture.predicts_error:
            raise ModelError(
                f"teacher predicts no error, recipe {recipe.name} wants to learn one",
                f"model {bundle.id}",
            )
        self.bundle, self.recipe = bundle, recipe
        self.columns = [recipe.inputs.index(name) for name in bundle.inputs]
        self.network = Ensemble.of(bundle).to(world.device)
        self.means = torch.tensor(bundle.means, device=world.device)
        self.stds = torch.tensor(bundle.stds, device=world.device)

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> Labels:
        """Labels of ``(members, rows, inputs)`` reflectances and angles, one set per member."""
        x = (x[..., self.columns] - self.means) / self.stds
        members = [self._labels(rows) for rows in x]
        scales = [labels.log_scale for labels in members if labels.log_scale is not None]
        cot = torch.stack([labels.cot for labels in members])
        return Labels(cot, torch.stack(scales) if scales else None)

    def _labels(self, x: torch.Tensor) -> Labels:
        """Mean COT over the teacher's members, and the log of its uncertainty as a scale."""
        outputs = self.network(x.expand(self.bundle.architecture.members, -1, -1))
        target = self.bundle.target
        y = outputs[..., 0].clamp(min=0)
        members = cot_of(target, y)
        cot = members.mean(dim=0)
        if not self.recipe.predict_error:
            return Labels(cot)
        log_scale = outputs[..., 1].clamp(max=MAX_LOG_SCALE)
        own = math.sqrt(2) * log_scale.exp() * _slope(target, members)
        variance = members.var(dim=0, correction=0) + own.square().mean(dim=0)
        slope = _slope(self.recipe.target, cot)
        return Labels(cot, 0.5 * variance.log() - slope.log() - 0.5 * math.log(2))


def _slope(target: Target, cot: torch.Tensor) -> torch.Tensor:
    """Change of COT per change of the output where it means ``cot``."""
    if target.kind == "linear":
        return torch.full_like(cot, target.scale)
    return cot + 1 / target.scale  # exp(y) / scale, with exp(y) = 1 + scale COT
