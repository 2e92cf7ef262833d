"""What a network's outputs mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from spark_cot.errors import ModelError
from spark_cot.models.architecture import Float32

#: Far from anything a model has seen, its predicted error may overflow; so large says enough.
MAX_LOG_SCALE: Final = 5.0


class _Unit(NamedTuple):
    """A target's functions of (value, scale): COT of an output, its slope, and the inverse."""

    cot: Callable[[Float32, float], Float32]
    slope: Callable[[Float32, float], Float32]
    output: Callable[[Float32, float], Float32]


_UNITS: Final = {
    "linear": _Unit(
        cot=lambda y, scale: y * np.float32(scale),
        slope=lambda y, scale: np.full_like(y, scale),
        output=lambda cot, scale: cot / np.float32(scale),
    ),
    "log1p": _Unit(
        cot=lambda y, scale: np.divide(np.expm1(y), np.float32(scale)),
        slope=lambda y, scale: np.divide(np.exp(y), np.float32(scale)),
        output=lambda cot, scale: np.log1p(cot * np.float32(scale)),
    ),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What the network's output y >= 0 means.

    Attributes
    ----------
    kind : str
        ``linear``: COT = scale y, or ``log1p``: COT = (exp(y) - 1) / scale.
    scale : float
        Above zero; 50 for the published models.

    Raises
    ------
    ModelError
        If the kind is unknown or the scale not above zero.
    """

    kind: str
    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(self.scale))
        if self.kind not in _UNITS:
            raise ModelError(
                f"target kind {self.kind!r} is unknown, expected one of {sorted(_UNITS)}"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ModelError(f"target scale must be above zero, found {self.scale}")

    def cot(self, output: Float32) -> Float32:
        """COT at 550 nm of network outputs; any shape, float32."""
        return _UNITS[self.kind].cot(output, self.scale)

    def slope(self, output: Float32) -> Float32:
        """Change of COT per change of the output, at ``output``; any shape, float32."""
        return _UNITS[self.kind].slope(output, self.scale)

    def output(self, cot: Float32) -> Float32:
        """The output that means ``cot``, the inverse of `cot`; any shape, float32."""
        return _UNITS[self.kind].output(cot, self.scale)
