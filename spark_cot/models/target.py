"""What a network's outputs mean: a COT, or a distribution of COT."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from spark_cot.errors import ModelError
from spark_cot.models.architecture import Float32
from spark_cot.models.posterior import KIND as POSTERIOR
from spark_cot.models.posterior import Posterior

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
    """What the output y >= 0 of a network means that reads one COT.

    A second output is the natural logarithm of the scale b of y's error, taken as Laplace
    distributed: standard deviation sqrt(2) b.

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

    activation: ClassVar[str] = "relu"
    outputs: ClassVar[tuple[int, ...]] = (1, 2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(self.scale))
        if self.kind not in _UNITS:
            raise ModelError(
                f"target kind {self.kind!r} is unknown, "
                f"expected one of {sorted([*_UNITS, POSTERIOR])}"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ModelError(f"target scale must be above zero, found {self.scale}")

    @property
    def document(self) -> dict[str, Any]:
        """The target as JSON values."""
        return {"kind": self.kind, "scale": self.scale}

    def cot(self, output: Float32) -> Float32:
        """COT at 550 nm of network outputs; any shape, float32."""
        return _UNITS[self.kind].cot(output, self.scale)

    def slope(self, output: Float32) -> Float32:
        """Change of COT per change of the output, at ``output``; any shape, float32."""
        return _UNITS[self.kind].slope(output, self.scale)

    def output(self, cot: Float32) -> Float32:
        """The output that means ``cot``, the inverse of `cot`; any shape, float32."""
        return _UNITS[self.kind].output(cot, self.scale)


def target_of(document: Mapping[str, Any]) -> Target | Posterior:
    """The target that ``document`` of one describes.

    Raises
    ------
    KeyError
        If a key is missing.
    ModelError
        If it describes none.
    """
    if document["kind"] == POSTERIOR:
        return Posterior(document["scale"], document["knots"])
    return Target(document["kind"], document["scale"])
