"""What the outputs of a network say of COT: estimate, uncertainty, probabilities of cloud.

A readout takes outputs ``(members, outputs, rows)`` as they leave the last layer, which it may
overwrite, and returns ``(4, rows)`` float32: COT, its standard uncertainty, and the probabilities
(0 to 1) that COT is at or above the thin and the thick threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from spark_cot.models.architecture import Float32
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.posterior import Posterior
from spark_cot.models.target import MAX_LOG_SCALE, Target

Readout = Callable[[torch.Tensor], Float32]

#: Logits so far below the highest are cut off: denormal numbers are slow, and none is 0 or 0 / 0.
_LOWEST_LOGIT: Final = -60.0


def readout(bundle: Bundle, thresholds: Thresholds, device: torch.device) -> Readout:
    """The readout that the target of a bundle asks for."""
    if isinstance(bundle.target, Posterior):
        return _PosteriorReadout(bundle.target, thresholds, device)
    return _PointReadout(bundle.target, thresholds)


def mixture(outputs: torch.Tensor) -> torch.Tensor:
    """Mean of the members' softmax, ``(bins, rows)``; ``outputs`` is overwritten."""
    outputs -= outputs.amax(dim=1, keepdim=True)
    probabilities = outputs.clamp_(min=_LOWEST_LOGIT).exp_()
    probabilities /= len(outputs) * probabilities.sum(dim=1, keepdim=True)
    first, *others = probabilities
    for other in others:
        first += other
    return first


class _PosteriorReadout:
    """Median of a discretised distribution, and the mean squared deviation from it.

    All that is linear in the probabilities comes from one matrix product: mean of COT and of its
    square, shares at or above the thresholds, and half less what lies below each bin.
    """

    def __init__(self, target: Posterior, thresholds: Thresholds, device: torch.device) -> None:
        bins, widths = len(target.knots), np.diff(target.edges, prepend=0)
        shares = [target.share_from(limit) for limit in (thresholds.thin, thresholds.thick)]
        left = 0.5 - np.tri(bins, k=-1)
        self.scale = target.scale
        self.linear = _float32(np.vstack([target.moments, shares, left]), device)
        self.widths = _float32(widths, device)

    def __call__(self, outputs: torch.Tensor) -> Float32:
        probabilities = mixture(outputs)
        linear = self.linear @ probabilities
        mean, square = linear[:2]
        cot = self._median(linear[4:], probabilities)
        variance = (square - 2 * cot * mean + cot.square()).clamp_(min=0)
        return torch.stack([cot, variance.sqrt_(), *linear[2:4]]).cpu().numpy()

    def _median(self, left: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
        """COT ``(rows,)`` with half of the probability on either side; 0 where bin 0 has half.

        A bin adds the share of its width, in log1p(scale COT), that lies below the median: all,
        none, or what is ``left`` of one half where the bin begins.
        """
        below = left.div_(probabilities).clamp_(0, 1)
        return torch.expm1(self.widths @ below) / self.scale


class _PointReadout:
    """Mean over the members, the spread among them, and their own errors if they predict any."""

    def __init__(self, target: Target, thresholds: Thresholds) -> None:
        self.target = target
        limits = np.array([thresholds.thin, thresholds.thick], np.float32)
        self.limits = target.output(limits)[:, None, None]

    def __call__(self, outputs: torch.Tensor) -> Float32:
        found = outputs.cpu().numpy()
        y = np.maximum(found[:, 0], 0)
        cot, above = self.target.cot(y), y - self.limits  # (thresholds, members, rows)
        variance = cot.var(axis=0)
        if found.shape[1] == 1:
            shares = (above >= 0).mean(axis=1)
        else:
            scale = np.exp(np.minimum(found[:, 1], MAX_LOG_SCALE))
            own_std = np.float32(math.sqrt(2)) * scale * self.target.slope(y)
            variance += np.square(own_std).mean(axis=0)
            shares = _laplace_share_above_0(above, scale).mean(axis=1)
        return np.stack([cot.mean(axis=0), np.sqrt(variance), *shares]).astype(np.float32)


def _laplace_share_above_0(centre: Float32, scale: Float32) -> Float32:
    tail = 0.5 * np.exp(-np.abs(centre) / scale)
    return np.where(centre >= 0, 1 - tail, tail)


def _float32(values: NDArray[np.float64], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)
