"""The envelope of what a model was trained on, and the guard that keeps its inputs inside.

A network says nothing of spectra that it has never seen, and says it with certainty. So an input
outside is evaluated at a point inside that is like it, and is marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import ModelError
from spark_cot.models.architecture import Float32
from spark_cot.msi import ANGLES, BAND_IDS, REFLECTANCE_SCALE

#: Share of the training rows that may lie beyond each end of an envelope.
_TAIL: Final = 0.0005
#: By how much the ends lie beyond those rows, in standard deviations, and the joint limit, as a
#: factor: a sample ends before its world does.
_WIDER: Final = 0.05
_FARTHER: Final = 1.1
#: Variance that is added to the standardised rows, as the noise of training is: simulated bands
#: depend on each other more closely than measured ones.
_NOISE: Final = 0.01
#: Of the factor, after the point: two orders of summation agree in far more.
_DIGITS: Final = 9
#: Reach of a default envelope in standard deviations.
_DEFAULT_REACH: Final = 3.0
#: Farther away all is equally far, so that an uncertainty stays finite.
_FARTHEST: Final = np.float32(100)
#: The least stretch of what is outside by rounding alone.
_JUST_OUTSIDE: Final = np.nextafter(np.float32(1), np.float32(2))
#: A stored reflectance that only says "at least so much"; see `safe.reflectance`.
_SATURATED: Final = np.float32(np.iinfo(np.int16).max / REFLECTANCE_SCALE)

_Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Envelope:
    """The range of a model's inputs, each by itself and all together.

    Attributes
    ----------
    low, high : tuple[float, ...]
        Ends of each input, in its unit and in the order of the model's inputs.
    factor : tuple[tuple[float, ...], ...]
        ``(inputs, inputs)`` W. The distance of an input from the mean of the training rows is
        |W z|, where z is the input standardised with the model's statistics. With W'W the inverse
        of the rows' covariance it is that of Mahalanobis (1936).
    limit : float
        Greatest distance inside.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    factor: tuple[tuple[float, ...], ...]
    limit: float

    def __post_init__(self) -> None:
        # Plain floats, so that an envelope is what its JSON reads back as.
        object.__setattr__(self, "low", tuple(map(float, self.low)))
        object.__setattr__(self, "high", tuple(map(float, self.high)))
        object.__setattr__(self, "factor", tuple(tuple(map(float, row)) for row in self.factor))
        object.__setattr__(self, "limit", float(self.limit))

    def check(self, inputs: Sequence[str], means: Sequence[float]) -> None:
        """Whether it is one of these inputs.

        Raises
        ------
        ModelError
            If counts disagree, the joint term is no finite matrix with a limit above zero, or an
            input's mean is not inside its ends, or no light is allowed in a band.
        """
        count = len(inputs)
        lengths = [len(self.low), len(self.high), len(self.factor), *map(len, self.factor)]
        if set(lengths) != {count}:
            raise ModelError(f"the envelope does not fit {count} inputs: it has {lengths}")
        if not (np.isfinite(self.factor).all() and math.isfinite(self.limit) and self.limit > 0):
            raise ModelError(
                "the envelope's factor must be finite and its limit above zero, found limit "
                f"{self.limit}"
            )
        for name, low, mean, high in zip(inputs, self.low, means, self.high, strict=True):
            if not (-math.inf < low < mean < high < math.inf and (high > 0 or name in ANGLES)):
                raise ModelError(
                    f"the envelope of {name} is {low} to {high}, expected an interval around its "
                    f"mean {mean}"
                )


def default_envelope(means: Sequence[float], stds: Sequence[float]) -> Envelope:
    """The envelope of a model of which only the statistics of its inputs are known.

    Three standard deviations about each mean. The joint term is that of independent inputs with
    a limit beyond the corners of this box: it excludes nothing more.
    """
    middle, reach = np.array(means), _DEFAULT_REACH * np.array(stds)
    corner = _DEFAULT_REACH * math.sqrt(middle.size)
    return _envelope(middle - reach, middle + reach, np.eye(middle.size), _FARTHER * corner)


def trained_envelope(
    rows: NDArray[np.floating[Any]], means: Sequence[float], stds: Sequence[float]
) -> Envelope:
    """The envelope of training rows.

    Each input reaches from its 0.05 % to its 99.95 % quantile and a twentieth of a standard
    deviation beyond; the joint distance to its 99.95 % quantile and a tenth beyond.

    Parameters
    ----------
    rows : numpy.ndarray
        ``(n, inputs)`` rows, or an even sample of them.
    means, stds : Sequence[float]
        The model's statistics of its inputs.
    """
    z = (rows.astype(np.float64) - means) / np.array(stds)
    # Every process must find the same, but BLAS and LAPACK sum in an order of their threads.
    covariance = np.einsum("ni,nj->ij", z, z) / len(z) + _NOISE * np.eye(len(means))
    factor = np.linalg.cholesky(np.linalg.inv(covariance)).T.round(_DIGITS)
    distance = np.sqrt(np.square(np.einsum("ni,ji->nj", z, factor)).sum(axis=1))
    low, high = np.quantile(z, (_TAIL, 1 - _TAIL), axis=0)
    # The mean of an input that is nearly always the same may lie beyond these quantiles.
    return _envelope(
        means + (np.minimum(low, 0) - _WIDER) * stds,
        means + (np.maximum(high, 0) + _WIDER) * stds,
        factor,
        _FARTHER * float(np.quantile(distance, 1 - _TAIL)),
    )


def _envelope(low: _Float64, high: _Float64, factor: _Float64, limit: float) -> Envelope:
    return Envelope(
        tuple(low.tolist()), tuple(high.tolist()), tuple(map(tuple, factor.tolist())), limit
    )


class Guard:
    """Keeps inputs inside an envelope.

    Parameters
    ----------
    envelope : Envelope
    inputs : Sequence[str]
        Columns in the model's order.
    means, stds : Sequence[float]
        The model's statistics of its inputs.
    """

    def __init__(
        self,
        envelope: Envelope,
        inputs: Sequence[str],
        means: Sequence[float],
        stds: Sequence[float],
    ) -> None:
        import torch

        self.low = np.array(envelope.low, np.float32)[:, None]
        self.high = np.array(envelope.high, np.float32)[:, None]
        self.middle, reach = (self.low + self.high) / 2, (self.high - self.low) / 2
        self.reach = np.maximum(reach, np.finfo(np.float32).tiny)
        matrix = np.array(envelope.factor) / np.array(stds) / envelope.limit
        centre = (matrix @ np.array(means))[:, None]
        # PyTorch's product, since NumPy's takes threads that are not the caller's.
        self._product, self._tensor = torch.addmm, torch.from_numpy
        self._matrix = torch.tensor(matrix, dtype=torch.float32)
        self._from_centre = torch.tensor(-centre, dtype=torch.float32)
        self.bands = np.flatnonzero([name in BAND_IDS for name in inputs])

    def __call__(self, features: Float32) -> Float32:
        """Move what lies outside to a point inside, in place.

        What is moved are, in this order: saturated bands, down to where they are as bright as the
        brightest of the others (relative to the ends); all bands, by one common factor, so that
        the brightest fits and the spectrum keeps its shape; and each input, to its nearer end.
        Spectra in proportion, brighter and brighter, so end at one point, and their thickness
        stays. An input that is only jointly outside stays where it is: drawn towards the mean,
        a bright cloud would darken.

        Parameters
        ----------
        features : numpy.ndarray
            ``(inputs, rows)`` float32.

        Returns
        -------
        numpy.ndarray
            ``(rows,)`` float32: 1 inside, and outside how many times as far from the middle as the
            envelope reaches, at most 100. 1 where an input is not finite; such a row stays as it
            is.
        """
        stretch = np.ones(features.shape[1], np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            jointly = self._distance(features)
            rows = np.flatnonzero(~(self._each_inside(features) & (jointly <= 1)))
            x = features[:, rows]
            finite = np.isfinite(x).all(axis=0)
            rows, x = rows[finite], x[:, finite]
            if rows.size:
                alone = (np.abs(x - self.middle) / self.reach).max(axis=0)
                farthest = np.fmax(alone, np.sqrt(jointly[rows]))
                stretch[rows] = np.clip(farthest, _JUST_OUTSIDE, _FARTHEST)
                features[:, rows] = self._nearest(x)
        return stretch

    def _distance(self, x: Float32) -> Float32:
        """Squared joint distance of each row over its limit."""
        offset = self._product(self._from_centre, self._matrix, self._tensor(x))
        distance: Float32 = offset.square_().sum(dim=0).numpy()
        return distance

    def _each_inside(self, x: Float32) -> NDArray[np.bool_]:
        """Rows of which each input is between its ends."""
        inside = np.ones(x.shape[1], bool)
        low, high = self.low[:, 0], self.high[:, 0]
        # Most inputs are inside in all rows, which takes half the time to see.
        for i in np.flatnonzero(~((x.min(axis=1) >= low) & (x.max(axis=1) <= high))):
            inside &= (x[i] >= low[i]) & (x[i] <= high[i])
        return inside

    def _nearest(self, x: Float32) -> Float32:
        high = self.high[self.bands]
        bands = _desaturated(x[self.bands], high)
        x[self.bands] = bands * (high / np.maximum(bands, high)).min(axis=0)
        return np.clip(x, self.low, self.high)


def _desaturated(bands: Float32, high: Float32) -> Float32:
    """Saturated bands as bright as the brightest of the others; at their ends if all are."""
    saturated = bands >= _SATURATED
    if not saturated.any():
        return bands
    others = np.where(saturated, -np.inf, bands / high).max(axis=0)
    level = np.where(saturated.all(axis=0), np.float32(1), np.maximum(others, 0))
    return np.where(saturated, level * high, bands)
