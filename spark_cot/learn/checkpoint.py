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
class Progress:
    """How far a run has come.

    Attributes
    ----------
    step : int
        Steps taken.
    best_loss : float
        Lowest validation loss so far.
    best_epoch : int
        When that was.
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
    path: Path, making: Mapping[str, Any], progress: Progress, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Replace the checkpoint at ``path``; whatever happens, a whole one is there.

    Parameters
    ----------
    path : Path
    making : mapping
        What decides the run, as JSON values; only a run of the same making may go on from here.
    progress : Progress
    tensors : mapping
        Weights and state of the optimiser.

    Raises
    ------
    TrainingError
        The disk is full or cannot be written; the previous checkpoint is untouched.
    """
    metadata = {"making": json.dumps(making), "progress": json.dumps(asdict(progress))}
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


def read(path: Path, making: Mapping[str, Any]) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Progress and tensors of a checkpoint.

    Raises
    ------
    TrainingError
        It is damaged, or of a run of another making; the message names what differs.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found, progress = json.loads(metadata["making"]), json.loads(metadata["progress"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"is no checkpoint: {error}", str(path), "Remove it and start from the beginning"
        ) from error
    asked = json.loads(json.dumps(making))
    differing = [key for key in sorted({*found, *asked}) if found.get(key) != asked.get(key)]
    if differing:
        listed = "; ".join(f"{key}: {found.get(key)}, now {asked.get(key)}" for key in differing)
        raise TrainingError(
            f"is of another configuration: {listed}",
            str(path),
            "Train with the same options, or without --resume",
        )
    return Progress(**progress), tensors
