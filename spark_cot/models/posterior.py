"""A discretised predictive distribution of COT."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.models.architecture import Float32

Float64 = NDArray[np.float64]

KIND: Final = "posterior"


@dataclass(frozen=True)
class Posterior:
    """What a network's softmax outputs mean: probabilities of bins of COT at 550 nm.

    The first bin is COT 0 exactly, a point of its own: ground without cloud. The others lie between
    neighbouring knots; within one, u = log1p(scale COT) is uniform. An ensemble's distribution is
    the mean of its members' probabilities (Lakshminarayanan et al. 2017, section 2.4).

    Attributes
    ----------
    scale : float
        Above zero.
    knots : tuple[float, ...]
        COT, rising from 0; as many as there are bins, at least three.

    Raises
    ------
    ModelError
        If the scale or the knots are no such numbers.
    """

    scale: float
    knots: tuple[float, ...]

    activation: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "knots", tuple(map(float, self.knots)))
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ModelError(f"target scale must be above zero, found {self.scale}")
        rising = all(low < high for low, high in pairwise(self.knots))
        if len(self.knots) < 3 or self.knots[0] != 0 or not rising or self.knots[-1] == math.inf:
            raise ModelError(f"knots must rise from 0, three or more, found {list(self.knots)}")

    @property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of outputs that a network may have: one for each bin."""
        return (len(self.knots),)

    @property
    def document(self) -> dict[str, Any]:
        """The target as JSON values."""
        return {"kind": KIND, "scale": self.scale, "knots": list(self.knots)}

    @cached_property
    def edges(self) -> Float64:
        """The knots as log1p(scale COT), ``(bins,)``."""
        edges: Float64 = np.log1p(self.scale * np.array(self.knots))
        return edges

    @cached_property
    def moments(self) -> Float64:
        """Mean of COT and of its square in each bin, ``(2, bins)``.

        With u uniform from a to b, the mean of exp(n u) is (exp(n b) - exp(n a)) / (n (b - a)).
        """
        widths = np.diff(self.edges)
        first, second = (np.diff(np.exp(n * self.edges)) / (n * widths) for n in (1, 2))
        mean = (first - 1) / self.scale
        square = (second - 2 * first + 1) / self.scale**2
        return np.hstack([np.zeros((2, 1)), [mean, square]])

    def share_from(self, cot: float) -> Float64:
        """Share of each bin at or above a COT greater than 0, ``(bins,)``."""
        upper, widths = self.edges[1:], np.diff(self.edges)
        share = np.clip((upper - math.log1p(self.scale * cot)) / widths, 0, 1)
        return np.concatenate([[0.0], share])

    def bins(self, cot: Float32) -> NDArray[np.intp]:
        """Bin of each COT; beyond the last knot the last one."""
        inner = np.searchsorted(self.knots[1:-1], cot, side="right")
        return np.where(cot > 0, 1 + inner, 0)


def even_posterior(scale: float, bins: int, highest: float) -> Posterior:
    """A posterior whose bins, but for the first, are equally wide in log1p(scale COT).

    Parameters
    ----------
    scale : float
    bins : int
        With that of COT 0.
    highest : float
        COT of the last knot.
    """
    edges = np.linspace(0, np.log1p(scale * highest), bins)
    return Posterior(scale, tuple(np.round(np.expm1(edges) / scale, 4)))
