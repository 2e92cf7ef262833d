"""Whether simulated rows teach: a small network trained on them, tested on rows held out."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from spark_cot.simulate.validate.report import Check
from spark_cot.simulate.validate.rows import (
    ENSEMBLE_INPUTS,
    ENSEMBLE_SCALE,
    benchmark_stratum,
    has_surface,
)
from spark_cot.simulate.world.surfaces import SNOW

#: Noise as a share of each band's mean, drawn anew for every batch.
NOISE: Final = 0.03
THICK_ENOUGH: Final = 1.25

_WIDTH: Final = 64
_STEPS: Final = 40_000
_BATCH: Final = 512
_RATE: Final = 2e-3


def learning_checks(table: pa.Table, steps: int = _STEPS) -> list[Check]:
    """Error of the network with and without noise, false alarms over clear snow-free ground.

    Rows of the benchmark stratum; those of the ``test`` split are held out. 80,000 rows and
    40,000 steps take some two minutes.
    """
    chosen = table.filter(pa.array(benchmark_stratum(table)))
    held_out = chosen["split"].to_numpy().astype(str) == "test"
    x = np.stack([chosen[band].to_numpy() for band in ENSEMBLE_INPUTS], axis=-1)
    cot = chosen["cot"].to_numpy()
    mean, std = x[~held_out].mean(axis=0), x[~held_out].std(axis=0)
    network = train(x[~held_out], cot[~held_out], mean, std, steps)

    def predict(noise: float) -> NDArray[np.float32]:
        rng = np.random.default_rng(0)
        seen = x[held_out] + noise * mean * rng.standard_normal(x[held_out].shape)
        with torch.inference_mode():
            out = network(torch.from_numpy(((seen - mean) / std).astype(np.float32)))
        return np.asarray(np.maximum(out[:, 0].numpy() * ENSEMBLE_SCALE, 0))

    clear = (cot[held_out] == 0) & ~has_surface(chosen, SNOW)[held_out]
    alarms = float((predict(0.0)[clear] > THICK_ENOUGH).mean())
    errors = {noise: float(np.abs(predict(noise) - cot[held_out]).mean()) for noise in (0.0, 0.05)}
    label = f"network trained on {(~held_out).sum()} rows"
    return [
        Check(f"{label}: mean absolute error", errors[0.0], most=2.1),
        Check(f"{label}: mean absolute error at 5 % noise", errors[0.05], most=2.9),
        Check(f"{label}: clear snow-free rows above COT 1.25", alarms, most=0.02),
    ]


def train(
    x: NDArray[np.float32],
    cot: NDArray[np.float32],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    steps: int,
) -> nn.Module:
    """A 12-64-64-64-64-1 network: Adam, rate falling with a cosine, squared error, noise."""
    torch.manual_seed(0)
    widths = (x.shape[1], *(_WIDTH,) * 4)
    hidden = [part for i, o in pairwise(widths) for part in (nn.Linear(i, o), nn.ReLU())]
    network = nn.Sequential(*hidden, nn.Linear(_WIDTH, 1))
    optimizer = torch.optim.Adam(network.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    inputs, target = torch.from_numpy((x - mean) / std), torch.from_numpy(cot / ENSEMBLE_SCALE)
    noise = torch.from_numpy(NOISE * mean / std)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (_BATCH,))
        batch = inputs[rows] + noise * torch.randn(_BATCH, inputs.shape[1])
        loss = nn.functional.mse_loss(network(batch)[:, 0], target[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network
