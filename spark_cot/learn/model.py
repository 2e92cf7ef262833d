"""What a bundle describes: the network's architecture, what its output means, the thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

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
        Inputs, hidden layers and the one output, such as ``(12, 64, 64, 64, 64, 1)``.
    hidden_activation, output_activation : str
        ``relu``, the only one there is. The output's is applied per member, before averaging.

    Raises
    ------
    ModelError
        If the shape describes no network with one output.
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
        if len(self.widths) < 2 or self.widths[-1] != 1:
            raise ModelError(f"widths {self.widths} must run from the inputs to one output, COT")
        activations = {self.hidden_activation, self.output_activation}
        if activations != {"relu"}:
            raise ModelError(f"activations {sorted(activations)} are unknown, expected relu")

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.widths[0]

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

_COT_OF_OUTPUT: Final[dict[str, Callable[[Float32, float], Float32]]] = {
    "linear": lambda y, scale: y * np.float32(scale),
    "log1p": lambda y, scale: np.expm1(y) / np.float32(scale),
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
        if self.kind not in _COT_OF_OUTPUT:
            raise ModelError(
                f"target kind {self.kind!r} is unknown, expected one of {sorted(_COT_OF_OUTPUT)}"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ModelError(f"target scale must be above zero, found {self.scale}")

    def cot(self, output: Float32) -> Float32:
        """COT at 550 nm of network outputs; any shape, float32."""
        return _COT_OF_OUTPUT[self.kind](output, self.scale)


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
