"""What a bundle describes: the network's architecture, what its output means, the thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import ModelError

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MLP:
    """An ensemble of multilayer perceptrons of one shape.

    Attributes
    ----------
    members : int
        Number of networks; their COTs are averaged.
    widths : tuple[int, ...]
        Inputs, hidden layers and outputs, such as ``(12, 64, 64, 64, 64, 1)``. The first output is
        the COT in the unit of the target; a second one is the natural logarithm of the scale b of
        its error, taken as Laplace distributed in that unit: standard deviation sqrt(2) b.
    hidden_activation, output_activation : str
        ``relu``, the only one there is. The output's is applied per member to the first output,
        before averaging.

    Raises
    ------
    ModelError
        If the shape describes no network with one or two outputs.
    """

    members: int
    widths: tuple[int, ...]
    hidden_activation: str = "relu"
    output_activation: str = "relu"

    kind: ClassVar[str] = "mlp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        counts = (self.members, *self.widths)
        if not all(isinstance(count, int) and count > 0 for count in counts):
            raise ModelError(f"members and widths must be positive integers, found {counts}")
        if len(self.widths) < 2 or self.widths[-1] not in (1, 2):
            raise ModelError(
                f"widths {self.widths} must run from the inputs to one output, COT, or two, "
                "COT and the scale of its error"
            )
        activations = {self.hidden_activation, self.output_activation}
        if activations != {"relu"}:
            raise ModelError(f"activations {sorted(activations)} are unknown, expected relu")

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.widths[0]

    @property
    def predicts_error(self) -> bool:
        """Whether there is a second output, the scale of the error."""
        return self.widths[-1] == 2

    @property
    def layers(self) -> int:
        """Number of weight matrices per member."""
        return len(self.widths) - 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor names to shapes: weights (members, out, in) and biases (members, out)."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (fan_in, fan_out) in enumerate(
            zip(self.widths, self.widths[1:], strict=False), start=1
        ):
            shapes[f"layer{layer}.weight"] = (self.members, fan_out, fan_in)
            shapes[f"layer{layer}.bias"] = (self.members, fan_out)
        return shapes


#: Every architecture a bundle may name, by its ``kind``.
ARCHITECTURES: Final = {MLP.kind: MLP}


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


@dataclass(frozen=True, slots=True)
class Thresholds:
    """COT at 550 nm from which a pixel is thin cloud and from which it is thick cloud.

    Raises
    ------
    ModelError
        Unless ``0 < thin <= thick``.
    """

    thin: float
    thick: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "thin", float(self.thin))
        object.__setattr__(self, "thick", float(self.thick))
        if not (0 < self.thin <= self.thick < math.inf):
            raise ModelError(
                f"thresholds must be 0 < thin <= thick, found thin {self.thin}, thick {self.thick}",
                cure="Give two COT values at 550 nm, such as 0.75 and 1.25",
            )
