"""A bundle as an array function: columns of pixels in, COT, its uncertainty and classes out.

Rows are evaluated in chunks of one fixed size, the last one filled up, so that every matrix
product has one shape: a row's result is the same to the last bit wherever it stands and whatever
stands beside it. The chunk is sized for the activations of a layer to stay in a core's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from spark_cot.errors import ModelError, SetupError
from spark_cot.infer.readout import mixture, readout
from spark_cot.models.architecture import MLP, Float32
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds, classify
from spark_cot.models.envelope import Guard
from spark_cot.models.posterior import Posterior
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE

#: Activations (members x widest layer x rows) and rows that a chunk may hold. On a CPU, of 128 to
#: 8192 rows, 512 were fastest for ten 64-wide members and 4096 for one: smaller chunks pay for
#: calls, larger ones leave the cache. A GPU wants large products.
_ACTIVATIONS: Final = {"cpu": 512 * 640, "cuda": 65_536 * 640}
_CHUNK_ROWS: Final = {"cpu": 4096, "cuda": 262_144}

#: No cloud comes near; a COT or an uncertainty that runs away ends here, and sums stay finite.
_THICKEST: Final = 1e6

#: Where the median of a band is above it, the band holds no reflectance; saturation ends at 6.55.
_BRIGHTEST: Final = 10.0
#: Rows that are looked at for the unit.
_SAMPLE: Final = 1000


class Prediction(NamedTuple):
    """What a model says of n pixels.

    Attributes
    ----------
    cot : numpy.ndarray
        ``(n,)`` float32, optical thickness at 550 nm: the median of the predictive distribution,
        or the mean over the members of a model that predicts none; NaN is nodata.
    cot_std : numpy.ndarray
        ``(n,)`` float32, standard uncertainty of ``cot``: root of the mean squared deviation of
        the true COT from ``cot`` over the predictive distribution, a second peak included. Of a
        model without one: the variance over the members (0 for one) plus, if they predict their
        error, the mean of their variances (Lakshminarayanan et al. 2017, section 2.4). NaN is
        nodata.
    p_thin, p_thick : numpy.ndarray
        ``(n,)`` int8, probability (percent) that COT is at or above the thin and the thick
        threshold; -1 is nodata. ``cot`` being the median, it reaches a threshold where the
        probability is one half, up to rounding. Of a model without a distribution: from the
        Laplace errors of its members, or else the share of members there.
    cloud_class : numpy.ndarray
        ``(n,)`` int8 codes of ``CloudClass``, by ``cot`` and the thresholds.
    outside : numpy.ndarray
        ``(n,)`` bool: the input lay outside the range that the model was trained on and was
        evaluated at the nearest point inside; False is nodata too.
    """

    cot: Float32
    cot_std: Float32
    p_thin: NDArray[np.int8]
    p_thick: NDArray[np.int8]
    cloud_class: NDArray[np.int8]
    outside: NDArray[np.bool_]


class Predictor:
    """Evaluate a bundle on arrays.

    A row with a NaN or infinite input is nodata. One outside the bundle's envelope is evaluated at
    a point inside that is like it (`models.envelope.Guard`) and marked, and its ``cot_std`` is
    multiplied with how many times as far from the middle as the envelope reaches it lies: the
    error of a function that is taken to be constant from there on grows with the distance.

    Parameters
    ----------
    bundle : Bundle
    thresholds : Thresholds, optional
        Instead of the bundle's.
    threads : int
        CPU threads of PyTorch. The setting belongs to the process: it is changed for the length
        of a call and then restored. More Spark tasks serve better than more threads.
    device : str
        Where to compute: ``cpu``, ``cuda`` or ``cuda:1``.

    Raises
    ------
    SetupError
        If PyTorch cannot use the device.

    Notes
    -----
    The working buffers belong to the object: use one per thread of control.
    """

    def __init__(
        self,
        bundle: Bundle,
        thresholds: Thresholds | None = None,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.bundle = bundle
        self.thresholds = thresholds or bundle.thresholds
        self.threads = threads
        self._network = _Network(bundle, _device(device))
        self._guard = Guard(bundle.envelope, bundle.inputs, bundle.means, bundle.stds)
        self._readout = readout(bundle, self.thresholds, self._network.device)
        self._features = np.zeros((len(bundle.inputs), self._network.rows), np.float32)

    def __call__(self, features: Float32) -> Prediction:
        """Predict from a matrix.

        Parameters
        ----------
        features : numpy.ndarray
            ``(n, inputs)`` TOA reflectances and angles (degrees) in the order of ``bundle.inputs``.

        Raises
        ------
        ModelError
            If the matrix has another number of columns, or bands are in another unit.
        """
        inputs = self.bundle.inputs
        if features.ndim != 2 or features.shape[1] != len(inputs):
            raise ModelError(
                f"features have shape {features.shape}, expected (n, {len(inputs)})",
                f"model {self.bundle.id}",
                f"Give the columns {list(inputs)}",
            )
        return self._predict(list(features.T), [1] * len(inputs))

    def from_columns(self, columns: Mapping[str, NDArray[Any]]) -> Prediction:
        """Predict from the columns of a pixel table; others than the bundle's inputs are ignored.

        Parameters
        ----------
        columns : Mapping[str, numpy.ndarray]
            ``(n,)`` each. Bands are integers (reflectance x 10000) or floats (reflectance);
            angles are degrees.

        Raises
        ------
        ModelError
            If an input is missing, is no number or in another unit, or the lengths differ.
        """
        inputs = self.bundle.inputs
        require_inputs(self.bundle, columns)
        arrays = [np.asarray(columns[name]) for name in inputs]
        self._check(arrays)
        scales = [
            REFLECTANCE_SCALE if name in BAND_IDS and array.dtype.kind in "iu" else 1
            for name, array in zip(inputs, arrays, strict=True)
        ]
        return self._predict(arrays, scales)

    def _check(self, arrays: Sequence[NDArray[Any]]) -> None:
        where = f"model {self.bundle.id}"
        shapes = {name: a.shape for name, a in zip(self.bundle.inputs, arrays, strict=True)}
        if len(set(shapes.values())) != 1 or arrays[0].ndim != 1:
            raise ModelError(f"columns must have one length, found shapes {shapes}", where)
        for name, array in zip(self.bundle.inputs, arrays, strict=True):
            if array.dtype.kind not in "iuf":
                raise ModelError(f"{name} is {array.dtype}, expected integers or floats", where)

    def probabilities(self, features: Float32) -> Float32:
        """Predictive distribution of each row, for a bundle whose target is a `Posterior`.

        Parameters
        ----------
        features : numpy.ndarray
            ``(n, inputs)``, as when called.

        Returns
        -------
        numpy.ndarray
            ``(bins, n)`` float32; NaN where a feature is not finite.

        Raises
        ------
        ModelError
            If the bundle has another target.
        """
        if not isinstance(self.bundle.target, Posterior):
            raise ModelError("predicts no distribution", f"model {self.bundle.id}")
        columns = list(features.T)
        bins = self.bundle.architecture.outputs
        return self._evaluate(columns, [1] * len(columns), _probabilities, bins)[0]

    def _predict(self, columns: Sequence[NDArray[Any]], scales: Sequence[int]) -> Prediction:
        _require_reflectance(self.bundle, columns, scales)
        found, stretch, valid = self._evaluate(columns, scales, self._readout, 4)
        cot, cot_std, *shares = found
        cot_std *= stretch
        for values in (cot, cot_std):
            np.nan_to_num(values, copy=False, nan=_THICKEST)
            np.minimum(values, _THICKEST, out=values)
            values[~valid] = np.nan
        p_thin, p_thick = (np.where(valid, np.rint(100 * p), -1).astype(np.int8) for p in shares)
        classes = classify(cot, self.thresholds)
        return Prediction(cot, cot_std, p_thin, p_thick, classes, valid & (stretch > 1))

    def _evaluate(
        self,
        columns: Sequence[NDArray[Any]],
        scales: Sequence[int],
        read: Callable[[torch.Tensor], Float32],
        results: int,
    ) -> tuple[Float32, Float32, NDArray[np.bool_]]:
        """What ``read`` makes of the outputs, ``(results, n)``; the stretch; what is finite."""
        n, rows = len(columns[0]), self._network.rows
        found, valid = np.empty((results, n), np.float32), np.empty(n, bool)
        stretch = np.empty(n, np.float32)
        with torch.inference_mode(), _threads(self.threads), np.errstate(all="ignore"):
            for start in range(0, n, rows):
                part = slice(start, min(start + rows, n))
                used = slice(0, part.stop - start)
                for feature, column, scale in zip(self._features, columns, scales, strict=True):
                    np.divide(column[part], scale, out=feature[used], dtype=np.float32)
                stretch[part] = self._guard(self._features)[used]
                found[:, part] = read(self._network(self._features))[:, used]
                valid[part] = np.isfinite(self._features).all(axis=0)[used]
        return found, stretch, valid


@lru_cache(maxsize=4)
def cached_predictor(bundle: Bundle, thresholds: Thresholds | None = None) -> Predictor:
    """One predictor per model and Python worker: bundles are equal when their hashes are."""
    return Predictor(bundle, thresholds)


def require_inputs(bundle: Bundle, present: Mapping[str, Any] | Sequence[str]) -> None:
    """Raise ModelError naming missing and present columns unless all inputs are present."""
    missing = [name for name in bundle.inputs if name not in present]
    if missing:
        raise ModelError(
            f"columns {missing} are missing, present are {list(present)}",
            f"model {bundle.id}",
            "Use a table with these columns, or a model that needs only those present",
        )


def _require_reflectance(
    bundle: Bundle, columns: Sequence[NDArray[Any]], scales: Sequence[int]
) -> None:
    """Raise ModelError where bands hold counts as fractions, or reflectance as integers."""
    where, step = f"model {bundle.id}", max(1, len(columns[0]) // _SAMPLE)
    brightest = 0.0
    for name, column, scale in zip(bundle.inputs, columns, scales, strict=True):
        values = column[::step]
        values = values[np.isfinite(values)] / scale
        if name not in BAND_IDS or not values.size:
            continue
        brightest = max(brightest, float(values.max()))
        median = float(np.median(values)) if brightest > _BRIGHTEST else 0.0
        if median > _BRIGHTEST:
            raise ModelError(
                f"{name} is {column.dtype} with the median {median:g}, which is no reflectance",
                where,
                f"Divide by {REFLECTANCE_SCALE}, or cast to an integer type, which stands for "
                f"reflectance x {REFLECTANCE_SCALE}",
            )
    if 0 < brightest < 1.5 / REFLECTANCE_SCALE:
        raise ModelError(
            f"no band is brighter than {brightest:g}: integers of 0 and 1 hold no reflectance",
            where,
            f"Integers are reflectance x {REFLECTANCE_SCALE}: give reflectance as float",
        )


def _probabilities(outputs: torch.Tensor) -> Float32:
    found: Float32 = mixture(outputs).cpu().numpy()
    return found


class _Network:
    """All members at once: ``(inputs, rows)`` features to ``(members, outputs, rows)``.

    The first layer is one product for all members, whose outputs lie below one another; the others
    are batched over members.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        architecture = bundle.architecture
        self.device, self.members = device, architecture.members
        self.rows = _chunk_rows(architecture, device)
        self.mean = torch.tensor(bundle.means, dtype=torch.float32, device=device)[:, None]
        self.std = torch.tensor(bundle.stds, dtype=torch.float32, device=device)[:, None]
        layers = [
            (
                torch.tensor(bundle.weights[f"layer{layer}.weight"], device=device),
                torch.tensor(bundle.weights[f"layer{layer}.bias"], device=device)[..., None],
            )
            for layer in range(1, architecture.layers + 1)
        ]
        (weight, bias), *self.others = layers
        self.first_weight = weight.flatten(0, 1)  # (members * width, inputs)
        self.first_bias = bias.flatten(0, 1)
        self.buffers = self._allocate(architecture.widths[1:])

    def _allocate(self, widths: tuple[int, ...]) -> list[torch.Tensor]:
        """Output of every layer, in two blocks of memory that take turns."""
        size = self.members * self.rows * max(widths)
        blocks = torch.empty(2, size, dtype=torch.float32, device=self.device)
        return [
            blocks[i % 2, : self.members * width * self.rows].view(self.members, width, self.rows)
            for i, width in enumerate(widths)
        ]

    def __call__(self, features: Float32) -> torch.Tensor:
        x = torch.from_numpy(features).to(self.device)
        x = (x - self.mean) / self.std
        h = self.buffers[0]
        torch.addmm(self.first_bias, self.first_weight, x, out=h.flatten(0, 1))
        for (weight, bias), out in zip(self.others, self.buffers[1:], strict=True):
            h = torch.baddbmm(bias, weight, h.relu_(), out=out)
        return h


def _chunk_rows(architecture: MLP, device: torch.device) -> int:
    """Rows per chunk: the power of two that keeps the widest layer within ``_ACTIVATIONS``."""
    width = architecture.members * max(architecture.widths[1:])
    rows = (1 << (_ACTIVATIONS[device.type] // width).bit_length()) >> 1
    return min(max(rows, 256), _CHUNK_ROWS[device.type])


def _device(name: str) -> torch.device:
    usable = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if name.split(":")[0] not in usable:
        raise SetupError(f"device {name!r} is not available, expected one of {usable}")
    return torch.device(name)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
