"""A bundle as a Spark function: ``cloud_optical_thickness`` in SQL, ``with_cot`` for frames."""

from __future__ import annotations

import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import (
    DataType,
    FloatType,
    IntegralType,
    NumericType,
    StructField,
    StructType,
)

from spark_cot.errors import ModelError, TableError
from spark_cot.infer.predictor import Prediction, cached_predictor, require_inputs
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.tables.schema import COT

_LOG = logging.getLogger(__name__)

#: In SQL; a name that no engine has for something else.
SQL_FUNCTION: Final = "cloud_optical_thickness"

#: What the function returns: the values of the COT table, which says what is nodata in each.
RETURN_TYPE: Final = StructType(
    [StructField(f.name, f.dataType) for f in COT.spark if f.name in Prediction._fields]
)


def cot_udf(bundle: Bundle, thresholds: Thresholds | None = None) -> Callable[..., Column]:
    """Pandas UDF that gives a struct of the fields of `Prediction`, in their order.

    Its arguments are the bundle's inputs: by position in the bundle's order, by name
    (``cloud_optical_thickness(B02 => B02, ...)`` in SQL, ``udf(B02=col("B02"), ...)`` in Python),
    or as one struct that holds them (``cloud_optical_thickness(struct(*))``). Bands of an integral
    type are reflectance x 10000, of a fractional one (float, double, decimal) reflectance; angles
    are degrees. The model travels with the function and is set up once per Python worker, on one
    thread.

    A null or NaN input makes the pixel nodata. Spark hands integers with nulls to Python as
    doubles, so a band of whole doubles with nulls might be either: such a batch is refused.
    ``with_cot`` knows the columns' types and has no such case.

    Parameters
    ----------
    bundle : Bundle
    thresholds : Thresholds, optional
        Instead of the bundle's.

    Raises
    ------
    ModelError
        In the query, if inputs are missing, their scale cannot be told, or what they hold is no
        reflectance, as averaged counts are.
    """

    @pandas_udf(RETURN_TYPE)  # type: ignore[call-overload, untyped-decorator]
    def cot(*columns: pd.Series, **named: pd.Series) -> pd.DataFrame:
        given = _by_name(bundle, columns, named)
        arrays = {name: _reflectance_or_counts(name, given[name]) for name in bundle.inputs}
        prediction = cached_predictor(bundle, thresholds).from_columns(arrays)
        return pd.DataFrame(prediction._asdict())

    return cast(Callable[..., Column], cot)


def register(spark: SparkSession, bundle: Bundle, thresholds: Thresholds | None = None) -> None:
    """Make ``cot_udf`` the SQL function ``cloud_optical_thickness`` of a session.

    ``cot`` is the same where Spark lets it hide the cotangent, as Spark 4.0 does; ``1 / tan(x)``
    stands for that. Where Spark does not, as from 4.3 on, the log says so and ``cot`` stays the
    cotangent.
    """
    function = cot_udf(bundle, thresholds)
    for name in (SQL_FUNCTION, "cot"):
        spark.udf.register(name, function)
    if spark.catalog.getFunction("cot").className.endswith(".Cot"):
        _LOG.warning(
            "cot() is the cotangent in Spark %s and cannot be replaced: call %s()",
            spark.version,
            SQL_FUNCTION,
        )


def with_cot(table: DataFrame, bundle: Bundle, thresholds: Thresholds | None = None) -> DataFrame:
    """The table with the columns of ``RETURN_TYPE``: those of `Prediction`, in their order.

    Inputs are found by name; bands of an integral type are reflectance x 10000, of a fractional
    one (float, double, decimal) reflectance; nulls make a pixel nodata.

    Raises
    ------
    ModelError
        If the table lacks an input, or an input is no number: before anything runs.
    TableError
        If the table already has one of the new columns.
    """
    require_inputs(bundle, table.columns)
    taken = [name for name in RETURN_TYPE.names if name in table.columns]
    if taken:
        raise TableError(f"columns {taken} exist already", cure="Drop or rename them first")
    types = {field.name: field.dataType for field in table.schema}
    arguments = {name: _as_float(table[name], name, types[name]) for name in bundle.inputs}
    prediction = cot_udf(bundle, thresholds)(**arguments).alias("__prediction")
    return table.select("*", prediction).select("*", "__prediction.*").drop("__prediction")


def _as_float(column: Column, name: str, kind: DataType) -> Column:
    """The column as float32, so that nulls reach Python without changing its type."""
    if not isinstance(kind, NumericType):
        raise ModelError(f"{name} is {kind.simpleString()}, expected a number")
    scale = REFLECTANCE_SCALE if name in BAND_IDS and isinstance(kind, IntegralType) else 1
    return (column / scale).cast(FloatType())


def _by_name(
    bundle: Bundle, columns: tuple[Any, ...], named: dict[str, pd.Series]
) -> dict[str, pd.Series]:
    if len(columns) == 1 and isinstance(columns[0], pd.DataFrame):
        given = {str(name): series for name, series in columns[0].items()}
    elif len(columns) > len(bundle.inputs):
        raise ModelError(
            f"{len(columns)} arguments by position, expected {list(bundle.inputs)}",
            f"model {bundle.id}",
            f"Name them, as in {SQL_FUNCTION}(B02 => B02, ...)",
        )
    else:
        given = dict(zip(bundle.inputs, columns, strict=False)) | named
    require_inputs(bundle, given)
    return given


def _reflectance_or_counts(name: str, series: pd.Series) -> NDArray[Any]:
    """Values of a column; ModelError where nulls have hidden whether a band holds integers."""
    values = series.to_numpy()
    if values.dtype == object and isinstance(next(filter(None, values), None), Decimal | None):
        values = values.astype(np.float64)
    if name in BAND_IDS and values.dtype == np.float64:
        known = values[~np.isnan(values)]
        if 0 < known.size < values.size and (known == np.rint(known)).all():
            raise ModelError(
                f"{name} holds nulls and else whole numbers: reflectance, or reflectance x 10000?",
                f"function {SQL_FUNCTION}",
                f"Filter with `{name} IS NOT NULL`, or pass reflectance as float: "
                f"`cast({name} / 10000 AS float)` for integers",
            )
    return values
