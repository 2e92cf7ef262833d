"""A bundle as the source of labels: a small network learns to predict as a large one does."""

from __future__ import annotations

import torch

from spark_cot.errors import ModelError
from spark_cot.learn.network import Ensemble
from spark_cot.learn.objective import Labels
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.world import World
from spark_cot.models.bundle import Bundle
from spark_cot.models.posterior import Posterior


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
        The teacher needs an input that the student does not have, does not predict the distribution
        that the student is to learn, or classes are to be balanced, which its labels do not name.
    """

    def __init__(self, bundle: Bundle, recipe: Recipe, world: World) -> None:
        where = f"model {bundle.id}"
        missing = [name for name in bundle.inputs if name not in recipe.inputs]
        if missing:
            raise ModelError(
                f"teacher needs inputs {missing} that recipe {recipe.name} does not have",
                where,
                "Choose a teacher of the same bands, or another recipe",
            )
        if bundle.target != recipe.target or not isinstance(bundle.target, Posterior):
            raise ModelError(
                f"teacher does not predict the distribution that recipe {recipe.name} learns",
                where,
                "Train the teacher with this version, or learn from the labels of the table",
            )
        if recipe.balanced:
            raise ModelError(f"recipe {recipe.name} balances classes, a teacher names none", where)
        self.bundle = bundle
        self.columns = [recipe.inputs.index(name) for name in bundle.inputs]
        self.network = Ensemble.of(bundle).to(world.device)
        self.means = torch.tensor(bundle.means, device=world.device)
        self.stds = torch.tensor(bundle.stds, device=world.device)

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> Labels:
        """Labels of ``(members, rows, inputs)`` reflectances and angles, one set per member."""
        x = (x[..., self.columns] - self.means) / self.stds
        return Labels(torch.stack([self._probabilities(rows) for rows in x]))

    def _probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """Mean of the teacher's members' probabilities, ``(rows, bins)``."""
        outputs = self.network(x.expand(self.bundle.architecture.members, -1, -1))
        return outputs.softmax(dim=-1).mean(dim=0)
