"""What changes from step to step: weights, optimiser, and how far the run has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from spark_cot.learn.checkpoint import TrainingState
from spark_cot.learn.network import Ensemble
from spark_cot.learn.recipe import Recipe

#: State that Adam keeps of each parameter.
_ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass(slots=True)
class Learner:
    """All that a checkpoint holds.

    Attributes
    ----------
    ensemble : Ensemble
    optimizer : torch.optim.Adam
        Of the ensemble's parameters.
    best : dict[str, torch.Tensor]
        Weights of the lowest validation loss so far, by parameter.
    state : TrainingState
    """

    ensemble: Ensemble
    optimizer: torch.optim.Adam
    best: dict[str, torch.Tensor]
    state: TrainingState = field(default_factory=TrainingState)


def new_learner(recipe: Recipe, device: torch.device) -> Learner:
    """A learner with the initial weights of the recipe's seed."""
    ensemble = Ensemble(recipe.architecture, recipe.seed).to(device)
    optimizer = torch.optim.Adam(ensemble.parameters(), fused=True)
    return Learner(ensemble, optimizer, copied_weights(ensemble))


def copied_weights(ensemble: Ensemble) -> dict[str, torch.Tensor]:
    """A copy of the weights, by parameter."""
    return {name: tensor.detach().clone() for name, tensor in ensemble.named_parameters()}


def keep_if_best(learner: Learner, loss: float) -> None:
    """Keep a copy of the weights if the validation loss of the epoch just ended is the lowest."""
    state = learner.state
    if loss < state.best_loss:
        state.best_loss, state.best_epoch = loss, len(state.history) - 1
        learner.best = copied_weights(learner.ensemble)


def take_best(learner: Learner) -> None:
    """Put the best weights into the ensemble."""
    for name, parameter in learner.ensemble.named_parameters():
        parameter.data.copy_(learner.best[name])


def tensors_of(learner: Learner) -> dict[str, torch.Tensor]:
    """Weights, best weights and state of the optimiser, as a checkpoint names them."""
    tensors = {f"best.{name}": tensor for name, tensor in learner.best.items()}
    for name, parameter in learner.ensemble.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach()
        for key, value in learner.optimizer.state[parameter].items():
            tensors[f"{key}.{name}"] = value
    return tensors


def restore(learner: Learner, state: TrainingState, tensors: Mapping[str, torch.Tensor]) -> None:
    """Make the learner what it was when `tensors_of` gave these tensors."""
    learner.state = state
    for name, parameter in learner.ensemble.named_parameters():
        learner.best[name] = tensors[f"best.{name}"].to(parameter.device)
        parameter.data.copy_(tensors[f"weight.{name}"])
        learner.optimizer.state[parameter] = {
            key: tensors[f"{key}.{name}"].to(parameter.device) for key in _ADAM
        }
