"""The ensemble as a PyTorch module: all members at once, in batched products."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn

from spark_cot.models.architecture import MLP, Float32
from spark_cot.models.bundle import Bundle


class Ensemble(nn.Module):
    """Multilayer perceptrons of one shape, trained side by side.

    Members share batches but not weights or noise: one batched product per layer serves them all,
    which costs far less than training them one after the other.

    Parameters
    ----------
    architecture : MLP
    seed : int
        Of the initial weights, uniform within 1 / sqrt(fan in), as in ``torch.nn.Linear``.
    """

    def __init__(self, architecture: MLP, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def initial(*shape: int, fan_in: int) -> nn.Parameter:
            bound = 1 / math.sqrt(fan_in)
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        members = architecture.members
        sizes = list(pairwise(architecture.widths))
        self.weights = nn.ParameterList(initial(members, i, o, fan_in=i) for i, o in sizes)
        self.biases = nn.ParameterList(initial(members, 1, o, fan_in=i) for i, o in sizes)

    @classmethod
    def of(cls, bundle: Bundle) -> Ensemble:
        """The network of a bundle, with its weights."""
        network = cls(bundle.architecture, seed=0)
        layers = zip(network.weights, network.biases, strict=True)
        for layer, (weight, bias) in enumerate(layers, start=1):
            weight.data = torch.tensor(bundle.weights[f"layer{layer}.weight"]).mT.contiguous()
            bias.data = torch.tensor(bundle.weights[f"layer{layer}.bias"])[:, None]
        return network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of standardised inputs.

        Parameters
        ----------
        x : torch.Tensor
            ``(members, rows, inputs)``.

        Returns
        -------
        torch.Tensor
            ``(members, rows, outputs)`` as they leave the last layer, without an activation.
        """
        first, *others = zip(self.weights, self.biases, strict=True)
        h = torch.baddbmm(first[1], x, first[0])
        for weight, bias in others:
            h = torch.baddbmm(bias, h.relu(), weight)
        return h

    def tensors(self) -> dict[str, Float32]:
        """Weights as a bundle keeps them; see ``MLP.shapes``."""
        named: dict[str, Float32] = {}
        for layer, (weight, bias) in enumerate(
            zip(self.weights, self.biases, strict=True), start=1
        ):
            named[f"layer{layer}.weight"] = _array(weight.mT)
            named[f"layer{layer}.bias"] = _array(bias[:, 0])
        return named


def _array(tensor: torch.Tensor) -> Float32:
    array: Float32 = tensor.detach().float().cpu().contiguous().clone().numpy()
    return array
