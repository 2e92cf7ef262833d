"""The course of a training run, as a table and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from spark_cot.errors import TrainingError


def write_history(folder: Path, history: Sequence[Mapping[str, float]], *, draw: bool) -> None:
    """Write ``metrics.csv`` and, with ``draw``, ``curves.png``; one row or point per epoch.

    Parameters
    ----------
    folder : Path
    history : sequence of mappings
        ``step``, ``train_loss``, ``validation_loss``, ``learning_rate``, ``rows_per_s`` and
        ``wait_share``, the share of the time spent waiting for data.
    draw : bool

    Raises
    ------
    TrainingError
        The folder cannot be written.
    """
    table = io.StringIO()
    writer = csv.DictWriter(table, ["epoch", *history[0]])
    writer.writeheader()
    writer.writerows({"epoch": i, **entry} for i, entry in enumerate(history, start=1))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.csv").write_text(table.getvalue())
        if draw:
            _curves(history).savefig(folder / "curves.png")
    except OSError as error:
        raise TrainingError(
            f"metrics cannot be written: {error.strerror}",
            str(folder),
            "Free space and run again with --resume",
        ) from error


def _curves(history: Sequence[Mapping[str, float]]) -> Figure:
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    steps = [entry["step"] for entry in history]
    axes.plot(steps, [entry["train_loss"] for entry in history], color="#8FA3B0", label="training")
    validation = [entry["validation_loss"] for entry in history]
    axes.plot(steps, validation, color="#1F5F8B", label="validation")
    best = min(range(len(history)), key=validation.__getitem__)
    axes.plot(steps[best], validation[best], "o", color="#C8553D", label="best")
    axes.set(xlabel="step", ylabel="loss per member")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
