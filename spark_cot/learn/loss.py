"""Loss of a batch: noise on its rows, the network, and the labels of its outputs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from spark_cot.learn.objective import Objective
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.statistics import TableStatistics
from spark_cot.learn.teacher import Teacher
from spark_cot.learn.world import World
from spark_cot.models.bundle import load_bundle


@dataclass(frozen=True, slots=True)
class BatchLoss:
    """Loss of rows under the recipe's noise.

    Attributes
    ----------
    recipe : Recipe
    objective : Objective
    teacher : Teacher, optional
        Gives the labels in place of the rows' COT.
    means, stds : torch.Tensor
        ``(inputs,)`` of the training table, on the device where the loss is computed.
    autocast : callable
        Gives the context, and with it the precision, of the network's matrix products.
    generator : torch.Generator
        Of the noise; whoever wants the same noise again seeds it.
    """

    recipe: Recipe
    objective: Objective
    teacher: Teacher | None
    means: torch.Tensor
    stds: torch.Tensor
    autocast: Callable[[], AbstractContextManager[object]]
    generator: torch.Generator

    def __call__(
        self, network: nn.Module, batch: torch.Tensor, pixels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Loss, added up over the members; a scalar.

        Parameters
        ----------
        network : torch.nn.Module
            As `learn.network.Ensemble`.
        batch : torch.Tensor
            ``(rows, inputs + 1)``, the last column is the COT.
        pixels : torch.Tensor, optional
            ``(rows, inputs)`` without labels, for the teacher.
        """
        device = self.means.device
        batch = batch.to(device, non_blocking=True)
        x, cot = batch[:, :-1], batch[:, -1]
        if pixels is not None:
            x = torch.cat([x, pixels.to(device)])
        x = self._noisy(x)
        with self.autocast():
            outputs = network((x - self.means) / self.stds).float()
        return self.objective(outputs, self.teacher(x) if self.teacher else self.objective.labels(cot))

    def _noisy(self, x: torch.Tensor) -> torch.Tensor:
        """Rows for every member with noise of its own, ``(members, rows, inputs)``."""
        bands = self.recipe.bands
        x = x.expand(self.recipe.members, *x.shape)
        rho = x[..., : len(bands)]
        noisy = self.recipe.noise.apply(rho, bands, self.means[: len(bands)], self.generator)
        return torch.cat([noisy, x[..., len(bands) :]], dim=-1)


def batch_loss(run: TrainingRun, table: TableStatistics, world: World) -> BatchLoss:
    """The loss of a training run on this rank.

    Raises
    ------
    ModelError
        The teacher cannot be loaded or does not fit the recipe, or a class to balance has no row.
    """
    recipe = run.recipe
    return BatchLoss(
        recipe,
        Objective(recipe, table.class_rows),
        Teacher(load_bundle(run.teacher), recipe, world) if run.teacher else None,
        table.means.to(world.device),
        network_stds(table).to(world.device),
        lambda: world.autocast(run.precision),
        torch.Generator(world.device),
    )


def network_stds(table: TableStatistics) -> torch.Tensor:
    """Standard deviations ``(inputs,)`` to divide by, so above 0 for constant inputs too."""
    return table.stds.clamp(min=1e-6)
