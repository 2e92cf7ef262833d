"""A bundle as an array function: columns of pixels in, COT, its uncertainty and class out.

Rows are evaluated in chunks of one fixed size, the last one filled up, so that every matrix
product has one shape: a row's result is the same to the last bit wherever it stands and whatever
stands beside it. The chunk is sized for the activations of a layer to stay in a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from spark_cot.errors import ModelError, SetupError
from spark_cot.models.architecture import MLP, Float32
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds, classify
from spark_cot.models.target import MAX_LOG_SCALE
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE

#: Activations (members x widest layer x rows) and rows that a chunk may hold. On a CPU, of 128 to
#: 8192 rows, 512 were fastest for ten 64-wide members and 4096 for one: smaller chunks pay for
#: calls, larger ones leave the cache. A GPU wants large products.
_ACTIVATIONS: Final = {"cpu": 512 * 640, "cuda": 65_536 * 640}
_CHUNK_ROWS: Final = {"cpu": 4096, "cuda": 262_144}


class Prediction(NamedTuple):
    """What a model says of n pixels.

    Attributes
    ----------
    cot : numpy.ndarray
        ``(n,)`` float32, optical thickness at 550 nm, mean over the members; NaN is nodata.
    cot_std : numpy.ndarray
        ``(n,)`` float32, standard uncertainty of ``cot``: the variance over the members (0 for
        one) plus, for a model that predicts its error, the mean of the members' variances
        (Lakshminarayanan et al. 2017, eq. of section 2.4); NaN is nodata.
    p_thin, p_thick : numpy.ndarray
        ``(n,)`` int8, probability in percent that the COT is at or above the thin and the thick
        threshold in use; -1 is nodata.
    cloud_class : numpy.ndarray
        ``(n,)`` int8 codes of ``CloudClass``.
    outside : numpy.ndarray
        ``(n,)`` bool, whether the input lay outside the range that the model was trained on and
        was evaluated at the nearest point inside; False for nodata.
    """

    cot: Float32
    cot_std: Float32
    p_thin: NDArray[np.int8]
    p_thick: NDArray[np.int8]
    cloud_class: NDArray[np.int8]
    outside: NDArray[np.bool_]


class Predictor:
    """Evaluate a bundle on arrays.

    A row with a NaN or infinite input, or whose COT overflows float32, is nodata: NaN and class 0.

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
            If the matrix has another number of columns.
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
            If an input is missing, is no number, or the lengths differ.
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

    def _predict(self, columns: Sequence[NDArray[Any]], scales: Sequence[int]) -> Prediction:
        n, rows = len(columns[0]), self._network.rows
        cot, cot_std, valid = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, bool)
        with torch.inference_mode(), _threads(self.threads), np.errstate(all="ignore"):
            for start in range(0, n, rows):
                part = slice(start, min(start + rows, n))
                used = slice(0, part.stop - start)
                for feature, column, scale in zip(self._features, columns, scales, strict=True):
                    np.divide(column[part], scale, out=feature[used], dtype=np.float32)
                members, own_std = self._evaluate()
                cot[part] = members.mean(axis=0)[used]
                cot_std[part] = _uncertainty(members, own_std)[used]
                valid[part] = np.isfinite(self._features).all(axis=0)[used]
        valid &= np.isfinite(cot_std)
        cot[~valid] = cot_std[~valid] = np.nan
        return Prediction(
            cot,
            cot_std,
            _percent_from(cot, cot_std, self.thresholds.thin),
            _percent_from(cot, cot_std, self.thresholds.thick),
            classify(cot, self.thresholds),
            np.zeros(n, np.bool_),
        )

    def _evaluate(self) -> tuple[Float32, Float32 | None]:
        """COT ``(members, rows)`` of the features, and the standard deviation they predict."""
        target, outputs = self.bundle.target, self._network(self._features)
        y = np.maximum(outputs[..., 0], 0)
        if not self.bundle.architecture.predicts_error:
            return target.cot(y), None
        log_scale = np.minimum(outputs[..., 1], MAX_LOG_SCALE)
        return target.cot(y), np.float32(math.sqrt(2)) * np.exp(log_scale) * target.slope(y)


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


def _uncertainty(members: Float32, own_std: Float32 | None) -> Float32:
    spread: Float32 = members.var(axis=0)
    if own_std is not None:
        spread += np.square(own_std).mean(axis=0)
    return np.sqrt(spread)


def _percent_from(cot: Float32, cot_std: Float32, threshold: float) -> NDArray[np.int8]:
    """Probability in percent of a COT from ``threshold`` on, if its error is normal; -1 nodata."""
    std = torch.from_numpy(cot_std).clamp_min(torch.finfo(torch.float32).tiny)
    percent = 100 * torch.special.ndtr((torch.from_numpy(cot) - threshold) / std).numpy()
    return np.where(np.isnan(cot), -1, np.rint(percent)).astype(np.int8)


class _Network:
    """All members at once: ``(inputs, rows)`` features to ``(members, rows, outputs)``.

    The first layer is one product for all members, whose outputs lie side by side in a row; the
    others are batched over members. Weights are kept as (members, in, out).
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        architecture = bundle.architecture
        self.device, self.members = device, architecture.members
        self.rows = _chunk_rows(architecture, device)
        self.mean = torch.tensor(bundle.means, dtype=torch.float32, device=device)[:, None]
        self.std = torch.tensor(bundle.stds, dtype=torch.float32, device=device)[:, None]
        layers = [
            (
                torch.tensor(bundle.weights[f"layer{layer}.weight"], device=device).mT.contiguous(),
                torch.tensor(bundle.weights[f"layer{layer}.bias"], device=device),
            )
            for layer in range(1, architecture.layers + 1)
        ]
        weight, bias = layers[0]
        self.first_weight = weight.transpose(0, 1).flatten(1)  # (inputs, members * width)
        self.first_bias = bias.flatten()
        self.others = [(weight, bias[:, None, :]) for weight, bias in layers[1:]]
        self.buffers = self._allocate(architecture.widths[1:])

    def _allocate(self, widths: tuple[int, ...]) -> list[torch.Tensor]:
        """Output of every layer, in two blocks of memory that take turns."""
        size = self.members * self.rows * max(widths)
        blocks = torch.empty(2, size, dtype=torch.float32, device=self.device)
        shapes: list[tuple[int, ...]] = [(self.rows, self.members * widths[0])]
        shapes += [(self.members, self.rows, width) for width in widths[1:]]
        return [blocks[i % 2, : math.prod(shape)].view(shape) for i, shape in enumerate(shapes)]

    def __call__(self, features: Float32) -> Float32:
        x = torch.from_numpy(features).to(self.device)
        x = ((x - self.mean) / self.std).t()  # (rows, inputs)
        h = torch.addmm(self.first_bias, x, self.first_weight, out=self.buffers[0])
        h = h.view(self.rows, self.members, -1).transpose(0, 1)  # (members, rows, width)
        for (weight, bias), out in zip(self.others, self.buffers[1:], strict=True):
            h = torch.baddbmm(bias, h.relu_(), weight, out=out)
        return h.cpu().numpy()


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
