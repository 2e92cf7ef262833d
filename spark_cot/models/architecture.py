"""The shape of a network."""

from __future__ import annotations

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
