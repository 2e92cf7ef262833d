"""The shape of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import ModelError

Float32 = NDArray[np.float32]

OUTPUT_ACTIVATIONS: Final = ("relu", "softmax")


@dataclass(frozen=True, slots=True)
class MLP:
    """An ensemble of multilayer perceptrons of one shape.

    Attributes
    ----------
    members : int
        Number of networks; their predictions are averaged.
    widths : tuple[int, ...]
        Inputs, hidden layers and outputs, such as ``(12, 64, 64, 64, 64, 32)``; the target says
        what the outputs mean.
    hidden_activation : str
        ``relu``, the only one there is.
    output_activation : str
        Applied per member, before averaging: ``softmax`` to all outputs, or ``relu`` to the first.

    Raises
    ------
    ModelError
        If the shape describes no network.
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
        if len(self.widths) < 2:
            raise ModelError(f"widths {self.widths} must run from the inputs to the outputs")
        if self.hidden_activation != "relu":
            raise ModelError(f"activation {self.hidden_activation!r} is unknown, expected relu")
        if self.output_activation not in OUTPUT_ACTIVATIONS:
            raise ModelError(
                f"activation {self.output_activation!r} of the output is unknown, "
                f"expected one of {list(OUTPUT_ACTIVATIONS)}"
            )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.widths[0]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.widths[-1]

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
