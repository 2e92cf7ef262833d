"""State of a training run on disk: one file, replaced whole, with nothing pickled in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from spark_cot.errors import TrainingError
from spark_cot.storage import replacing


@dataclass(slots=True)
class TrainingState:
    """How far a training run has come.

    Attributes
    ----------
    step : int
        Steps taken.
    best_loss : float
        Lowest validation loss so far.
    best_epoch : int
        Epoch of that loss, counted from 0; -1 before the first.
    loss_sum : float
        Sum of the training losses of the current epoch.
    history : list of dict
        One entry per finished epoch; see `learn.history`.
    """

    step: int = 0
    best_loss: float = float("inf")
    best_epoch: int = -1
    loss_sum: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def write(
    path: Path,
    configuration: Mapping[str, Any],
    state: TrainingState,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Replace the checkpoint at ``path``; whatever happens, a whole one is there.

    Parameters
    ----------
    path : Path
    configuration : mapping
        What decides the weights, as JSON values; only a run with the same may go on from here.
    state : TrainingState
    tensors : mapping
        Weights and state of the optimiser.

    Raises
    ------
    TrainingError
        The disk is full or cannot be written; the previous checkpoint is untouched.
    """
    metadata = {"configuration": json.dumps(configuration), "state": json.dumps(asdict(state))}
    content = safetensors.torch.save(dict(tensors), metadata)
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise TrainingError(
            f"checkpoint cannot be written: {error.strerror}",
            str(path),
            "The previous one is intact: free space and run again with --resume",
        ) from error


def read(
    path: Path, configuration: Mapping[str, Any]
) -> tuple[TrainingState, dict[str, torch.Tensor]]:
    """State and tensors of a checkpoint.

    Raises
    ------
    TrainingError
        It is damaged, of another version of spark_cot, or of another configuration; the message
        names what differs.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found, state = json.loads(metadata["configuration"]), json.loads(metadata["state"])
    except KeyError as error:
        raise TrainingError(
            f"is no checkpoint of this version: it lacks {error}",
            str(path),
            "Go on with the version that wrote it, or start from the beginning without --resume",
        ) from error
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise TrainingError(
            f"is no checkpoint: {error}", str(path), "Remove it and start from the beginning"
        ) from error
    asked = json.loads(json.dumps(configuration))
    differing = [key for key in sorted({*found, *asked}) if found.get(key) != asked.get(key)]
    if differing:
        listed = "; ".join(f"{key}: {found.get(key)}, now {asked.get(key)}" for key in differing)
        raise TrainingError(
            f"is of another configuration: {listed}",
            str(path),
            "Train with the same options, or without --resume",
        )
    return TrainingState(**state), tensors
