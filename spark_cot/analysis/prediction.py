"""A model as one function on what analysts have in hand: arrays, frames, tables, datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from spark_cot.analysis.cube import variables
from spark_cot.errors import ModelError
from spark_cot.infer.predictor import Prediction, Predictor, require_inputs
from spark_cot.models.bundle import Bundle, load_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.shipped import DEFAULT, shipped_model
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.storage import path_of

if TYPE_CHECKING:
    import xarray as xr

    Limits = Thresholds | tuple[float, float] | None

#: Floats above it are no reflectance, but reflectance x 10000 that has become floats on the way.
_BRIGHTEST: Final = 100


@overload
def predict(
    data: pd.DataFrame,
    model: str | Path | Bundle = ...,
    thresholds: Limits = ...,
    device: str = ...,
) -> pd.DataFrame: ...
@overload
def predict(
    data: NDArray[Any] | Mapping[str, Any],
    model: str | Path | Bundle = ...,
    thresholds: Limits = ...,
    device: str = ...,
    axis: int = ...,
) -> Prediction: ...
@overload
def predict(
    data: xr.Dataset,
    model: str | Path | Bundle = ...,
    thresholds: Limits = ...,
    device: str = ...,
) -> xr.Dataset: ...
def predict(
    data: Any,
    model: str | Path | Bundle = DEFAULT,
    thresholds: Limits = None,
    device: str = "cpu",
    axis: int = -1,
) -> Any:
    """Cloud optical thickness, its uncertainty and class of pixels.

    The numbers are those of the COT table to the last bit, for the same pixels and model.

    Parameters
    ----------
    data : numpy.ndarray, mapping, pandas.DataFrame, pyarrow.Table or xarray.Dataset
        Either one array with the model's inputs, in their order, along ``axis``: ``(n, inputs)``
        or ``(ny, nx, inputs)`` as it is, ``(inputs, ny, nx)`` with ``axis=0``. Or columns by name,
        of one shape; others than the model's inputs are ignored, and a single number, such as an
        angle, stands for all pixels. Bands are integers (TOA reflectance x 10000) or floats
        (TOA reflectance), angles are degrees. A pixel with a NaN, infinite, null or masked
        (``numpy.ma``) input is nodata. Variables of a dataset are broadcast against each other.
    model : str, pathlib.Path or Bundle
        Name of a model that ships (``student``, ``cot12``, ``cot11``, ``cot6``), or the folder or
        ``s3://`` URL of a bundle. A folder of such a name goes first.
    thresholds : Thresholds or (thin, thick), optional
        COT at 550 nm from which a pixel is thin and thick cloud; by default the model's.
    device : str
        Where PyTorch computes: ``cpu``, ``cuda`` or ``cuda:1``.
    axis : int
        Axis of the inputs, if ``data`` is one array.

    Returns
    -------
    Prediction, pandas.DataFrame, pyarrow.Table or xarray.Dataset
        ``cot`` float32 at 550 nm, ``cot_std`` float32 (its standard uncertainty), ``p_thin`` and
        ``p_thick`` int8 (percent of probability that the COT is at or above the thin and the thick
        threshold), ``cloud_class`` int8 (0 nodata, 1 clear, 2 thin, 3 thick) and ``outside`` bool
        (the pixel lay outside the range that the model was trained on), in the form and the shape
        of ``data``: a frame keeps its index, a dataset its coordinates. Arrays and mappings give
        a ``Prediction``, a named tuple of arrays. Nodata is NaN, NaN, -1, -1, 0 and False; in a
        dataset probabilities are float32 with NaN, and ``outside`` is int8, 0 or 1, as
        `SceneRows.xarray` gives them.

    Raises
    ------
    ModelError
        There is no such model, an input is missing or is no number, shapes differ, or floats are
        too large to be reflectance.
    SetupError
        PyTorch cannot use the device, or the model's URL cannot be reached.

    Examples
    --------
    >>> import numpy as np
    >>> from spark_cot import predict
    >>> bands = {band: np.full((2, 3), 5000) for band in ("B02", "B03", "B04", "B08", "B11", "B12")}
    >>> angles = {"sun_zenith": 40.0, "view_zenith": 5.0, "relative_azimuth": 120.0}
    >>> predict({**bands, **angles}, model="cot6").cot.shape
    (2, 3)
    """
    bundle = _bundle(model)
    if thresholds is not None and not isinstance(thresholds, Thresholds):
        thresholds = Thresholds(*thresholds)
    predictor = Predictor(bundle, thresholds, device=device)
    if isinstance(data, np.ndarray):
        return _evaluate(predictor, _split(data, bundle, axis))
    if isinstance(data, pd.DataFrame):
        require_inputs(bundle, list(map(str, data.columns)))
        return pd.DataFrame(_evaluate(predictor, data)._asdict(), index=data.index)
    if isinstance(data, pa.Table | pa.RecordBatch):
        require_inputs(bundle, data.schema.names)
        prediction = _evaluate(predictor, {name: data.column(name) for name in bundle.inputs})
        return pa.table(prediction._asdict())
    if hasattr(data, "data_vars"):
        return _predict_dataset(predictor, data)
    if isinstance(data, Mapping):
        require_inputs(bundle, data)
        return _evaluate(predictor, data)
    raise ModelError(
        f"data is a {type(data).__module__}.{type(data).__name__}, expected a NumPy array, a "
        "mapping of columns, a pandas DataFrame, an Arrow table or an xarray Dataset",
        cure="Convert it first; `to_arrow()` of Polars and `to_dataset('band')` of xarray do",
    )


def _bundle(model: str | Path | Bundle) -> Bundle:
    if isinstance(model, Bundle):
        return model
    is_name = isinstance(model, str) and "/" not in model and not path_of(model).exists()
    return load_bundle(shipped_model(str(model)) if is_name else model)


def _split(data: NDArray[Any], bundle: Bundle, axis: int) -> dict[str, NDArray[Any]]:
    """The inputs of one array by name."""
    inputs = bundle.inputs
    if not -data.ndim <= axis < data.ndim or data.shape[axis] != len(inputs):
        raise ModelError(
            f"the array has shape {data.shape}, expected {len(inputs)} inputs along axis {axis}",
            f"model {bundle.id}",
            f"Give {list(inputs)} in this order; axis=0 is for images of (inputs, rows, columns)",
        )
    return dict(zip(inputs, np.moveaxis(data, axis, 0), strict=True))


def _predict_dataset(predictor: Predictor, data: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    inputs = predictor.bundle.inputs
    require_inputs(predictor.bundle, list(map(str, data.variables)))
    arrays = xr.broadcast(*(data[name] for name in inputs))
    columns = {name: array.to_numpy() for name, array in zip(inputs, arrays, strict=True)}
    prediction = _evaluate(predictor, columns)
    model = arrays[0]
    return xr.Dataset(variables(model.dims, prediction._asdict()), model.coords)


def _evaluate(predictor: Predictor, columns: Mapping[str, Any] | pd.DataFrame) -> Prediction:
    """Predict columns of any one shape."""
    arrays = {name: _values(name, columns[name]) for name in predictor.bundle.inputs}
    shapes = {name: array.shape for name, array in arrays.items() if array.ndim}
    if len(set(shapes.values())) > 1:
        where = f"model {predictor.bundle.id}"
        raise ModelError(
            f"columns must have one shape, found {shapes}", where, "Reshape them first"
        )
    for name, array in arrays.items():
        _refuse_counts(name, array)
    shape = next(iter(shapes.values()), ())
    flat = predictor.from_columns(
        {name: np.broadcast_to(array, shape).ravel() for name, array in arrays.items()}
    )
    return Prediction._make(field.reshape(shape) for field in flat)


def _values(name: str, column: ArrayLike | pd.Series | pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """A column as NumPy array, in which what is missing is NaN and integers are still integers."""
    if isinstance(column, np.ma.MaskedArray):
        return _with_missing(name, column.data, np.broadcast_to(column.mask, column.shape))
    if isinstance(column, pa.ChunkedArray | pa.Array):
        column = column.to_pandas(types_mapper=pd.ArrowDtype)
    if isinstance(column, pd.Series):
        missing = column.isna().to_numpy()
        if pd.api.types.is_integer_dtype(column.dtype):
            return _with_missing(name, column.fillna(0).to_numpy(), missing)
        return column.to_numpy(na_value=np.nan) if missing.any() else column.to_numpy()
    return np.asarray(column)


def _with_missing(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Values with NaN where ``missing``; bands of integers become reflectance there."""
    if not missing.any():
        return values
    scale = REFLECTANCE_SCALE if name in BAND_IDS and values.dtype.kind in "iu" else 1
    scaled: NDArray[np.float32] = np.divide(values, scale, dtype=np.float32)
    scaled[missing] = np.nan
    return scaled


def _refuse_counts(name: str, values: NDArray[Any]) -> None:
    """Raise ModelError for a band of floats that can only be reflectance x 10000."""
    if name in BAND_IDS and values.dtype.kind == "f":
        counts = (values > _BRIGHTEST) & (values < np.inf)
        if counts.any():
            raise ModelError(
                f"{name} is {values.dtype} and holds {values[counts][0]:g}, no TOA reflectance",
                cure=f"Divide it by {REFLECTANCE_SCALE} if it is reflectance x {REFLECTANCE_SCALE}",
            )
