from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession

from spark_cot.errors import ModelError, TableError
from spark_cot.infer.predictor import Prediction, Predictor
from spark_cot.infer.udf import cot_udf, register, with_cot
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds

INPUTS = ("B02", "B8A", "B11", "sun_zenith")
CALL = "cloud_optical_thickness(B02, B8A, B11, sun_zenith)"
ROWS = 3000


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle(3, INPUTS, (32, 32))


@pytest.fixture(scope="module")
def pixels() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    bands = rng.integers(0, 12_000, (4, ROWS)).astype(np.int16)
    return pd.DataFrame(
        {
            "id": np.arange(ROWS),
            **dict(zip(("B01", "B02", "B8A", "B11"), bands, strict=True)),
            "sun_zenith": rng.uniform(20, 80, ROWS).astype(np.float32),
        }
    )


@pytest.fixture(scope="module")
def expected(bundle: Bundle, pixels: pd.DataFrame) -> Prediction:
    return Predictor(bundle).from_columns({name: pixels[name].to_numpy() for name in INPUTS})


@pytest.fixture(scope="module")
def session(spark: SparkSession, bundle: Bundle) -> SparkSession:
    """A session of its own, so that no other test finds its functions."""
    session = spark.newSession()
    register(session, bundle)
    return session


@pytest.fixture(scope="module")
def table(session: SparkSession, pixels: pd.DataFrame) -> DataFrame:
    table = session.createDataFrame(
        pixels,
        "id long, B01 smallint, B02 smallint, B8A smallint, B11 smallint, sun_zenith float",
    ).repartition(2)
    table.createOrReplaceTempView("pixels")
    return table


@pytest.fixture(params=[97, 10_000])
def arrow_batch(session: SparkSession, request: pytest.FixtureRequest) -> Iterator[int]:
    key = "spark.sql.execution.arrow.maxRecordsPerBatch"
    session.conf.set(key, request.param)
    yield request.param
    session.conf.unset(key)


def assert_identical(found: DataFrame, expected: Prediction) -> None:
    rows = found.select("id", *Prediction._fields).toPandas().sort_values("id")
    for name, values in expected._asdict().items():
        column = rows[name].to_numpy()
        assert column.dtype == values.dtype
        assert column.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "call",
    [
        CALL,
        "cloud_optical_thickness(sun_zenith => sun_zenith, B11 => B11, B02 => B02, B8A => B8A)",
        "cloud_optical_thickness(B02, sun_zenith => sun_zenith, B11 => B11, B8A => B8A)",
        "cloud_optical_thickness(struct(*))",
        "cloud_optical_thickness(cast(B02 / 10000 AS float), B8A, cast(B11 AS int), sun_zenith)",
    ],
)
def test_sql_gives_the_numbers_of_the_predictor(
    session: SparkSession, table: DataFrame, expected: Prediction, call: str
) -> None:
    assert_identical(
        session.sql(f"SELECT id, p.* FROM (SELECT id, {call} p FROM pixels)"), expected
    )


@pytest.mark.usefixtures("arrow_batch")
def test_frames_and_sql_agree_whatever_the_batches(
    session: SparkSession, table: DataFrame, bundle: Bundle, expected: Prediction
) -> None:
    assert_identical(with_cot(table, bundle), expected)
    query = f"SELECT id, p.* FROM (SELECT id, {CALL} p FROM pixels)"
    assert_identical(session.sql(query), expected)


def test_with_cot_adds_its_columns_and_runs_the_model_once(
    table: DataFrame, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    found = with_cot(table, bundle)
    assert found.columns == [*table.columns, *Prediction._fields]
    types = ["float", "float", "tinyint", "tinyint", "tinyint", "boolean"]
    assert [kind for _, kind in found.dtypes[-6:]] == types
    found.explain()
    assert capsys.readouterr().out.count("ArrowEvalPython") == 1


def test_every_stored_integer_means_the_same_through_spark(
    session: SparkSession, make_bundle: Callable[..., Bundle]
) -> None:
    bundle = make_bundle(1, ("B02", "B03"), (8,))
    stored = np.arange(-(2**15), 2**15).astype(np.int16)
    table = session.createDataFrame(
        pd.DataFrame({"id": np.arange(stored.size), "B02": stored, "B03": stored}),
        "id long, B02 smallint, B03 smallint",
    )
    expected = Predictor(bundle).from_columns({"B02": stored, "B03": stored})
    assert_identical(with_cot(table, bundle), expected)


INTEGRAL = ("smallint", "int", "bigint")
FRACTIONAL = ("float", "double", "decimal(9,4)")


@pytest.mark.parametrize("kind", [*INTEGRAL, *FRACTIONAL])
def test_every_numeric_type_means_the_same(
    table: DataFrame, bundle: Bundle, expected: Prediction, kind: str
) -> None:
    """Integral types are reflectance x 10000, fractional ones reflectance."""
    band = "{}" if kind in INTEGRAL else "{} / 10000"
    bands = [f"cast({band.format(name)} AS {kind}) {name}" for name in INPUTS[:3]]
    typed = table.selectExpr("id", "sun_zenith", *bands)
    call = cot_udf(bundle)(*(typed[name] for name in INPUTS)).alias("p")
    for found in (with_cot(typed, bundle), typed.select("id", call).select("id", "p.*")):
        rows = found.toPandas().sort_values("id")
        np.testing.assert_allclose(rows["cot"], expected.cot, rtol=1e-4, atol=1e-4)


def test_the_smallest_integers_are_reflectance_x_10000_too(
    table: DataFrame, bundle: Bundle
) -> None:
    bands = [f"cast(pmod({name}, 100) AS {{0}}) {name}" for name in INPUTS[:3]]
    byte, short = (
        with_cot(table.selectExpr("id", "sun_zenith", *(b.format(kind) for b in bands)), bundle)
        for kind in ("tinyint", "smallint")
    )
    pd.testing.assert_frame_equal(
        *(t.select("id", "cot", "cot_std").toPandas().sort_values("id") for t in (byte, short))
    )


@pytest.mark.parametrize(
    ("through", "expression"),
    [
        ("frame", "avg(B02) OVER (PARTITION BY id)"),
        ("sql", "cast(B02 AS float)"),
        ("frame", "cast(B02 AS decimal)"),
    ],
)
def test_counts_that_have_become_fractions_are_refused(
    session: SparkSession, table: DataFrame, bundle: Bundle, expression: str, through: str
) -> None:
    typed = table.selectExpr("id", "B8A", "B11", "sun_zenith", f"{expression} B02")
    typed.createOrReplaceTempView("averaged")
    found = (
        with_cot(typed, bundle)
        if through == "frame"
        else session.sql(f"SELECT {CALL} FROM averaged")
    )
    with pytest.raises(
        PythonException, match=r"B02 is float.* with the median \d+.* Divide by 10000"
    ):
        found.collect()


@pytest.mark.parametrize("through", ["frame", "sql"])
def test_reflectance_cut_to_integers_is_refused(
    session: SparkSession, table: DataFrame, bundle: Bundle, through: str
) -> None:
    bands = [f"cast({name} / 10000 AS int) {name}" for name in INPUTS[:3]]
    typed = table.selectExpr("id", "sun_zenith", *bands)
    typed.createOrReplaceTempView("cut")
    found = (
        with_cot(typed, bundle) if through == "frame" else session.sql(f"SELECT {CALL} FROM cut")
    )
    with pytest.raises(PythonException, match="integers of 0 and 1 hold no reflectance"):
        found.collect()


def test_decimals_with_nulls_are_nodata(bundle: Bundle, pixels: pd.DataFrame) -> None:
    evaluate = cot_udf(bundle).func  # type: ignore[attr-defined]
    columns = {name: pixels[name][:4] / (10_000 if name != "sun_zenith" else 1) for name in INPUTS}
    columns["B02"] = pd.Series([Decimal("0.3"), None, Decimal("0.41"), Decimal("0")])
    found = evaluate(**columns)
    assert found["cot"].isna().tolist() == [False, True, False, False]
    with pytest.raises(ModelError, match="B02 is object, expected integers or floats"):
        evaluate(**columns | {"B02": pd.Series(["a", "b", "c", "d"])})


def test_thresholds_can_be_given(table: DataFrame, bundle: Bundle, expected: Prediction) -> None:
    limits = Thresholds(*np.quantile(expected.cot, [0.3, 0.6]))
    found = with_cot(table, bundle, limits).groupBy("cloud_class").count().toPandas()
    counts = dict(zip(found["cloud_class"], found["count"], strict=True))
    assert [counts[code] / ROWS for code in (1, 2, 3)] == pytest.approx([0.3, 0.3, 0.4], abs=0.01)


NULLS = """
    SELECT id, CASE WHEN id % 2 = 0 THEN B02 END B02, B8A, B11, sun_zenith
    FROM pixels WHERE id < 100
"""


def nulled(expected: Prediction) -> Prediction:
    """The first hundred pixels, of which every second is nodata."""
    found = Prediction(*(column[:100].copy() for column in expected))
    found.cot[1::2] = found.cot_std[1::2] = np.nan
    found.p_thin[1::2] = found.p_thick[1::2] = -1
    found.cloud_class[1::2] = 0
    found.outside[1::2] = False
    return found


def test_nulls_are_nodata(
    session: SparkSession, table: DataFrame, bundle: Bundle, expected: Prediction
) -> None:
    holed = session.sql(NULLS)
    assert_identical(with_cot(holed, bundle), nulled(expected))
    for band in ("cast(B02 / 10000 AS float)", "B02 / 10000"):
        query = f"SELECT id, cloud_optical_thickness({band}, B8A, B11, sun_zenith) p FROM ({NULLS})"
        assert_identical(session.sql(query).select("id", "p.*"), nulled(expected))


def test_integers_with_nulls_are_refused_where_their_scale_is_lost(
    session: SparkSession, table: DataFrame
) -> None:
    query = session.sql(f"SELECT {CALL} FROM ({NULLS})").coalesce(1)
    with pytest.raises(PythonException, match=r"B02 holds nulls .*`B02 IS NOT NULL`"):
        query.collect()


@pytest.mark.parametrize(
    ("by_position", "by_name", "message"),
    [
        (INPUTS[:3], (), r"\['sun_zenith'\] are missing, present are \['B02', 'B8A', 'B11'\]"),
        ((), ("B02", "B01"), r"\['B8A', 'B11', 'sun_zenith'\] are missing"),
        (("B01", *INPUTS), (), r"5 arguments by position, expected \['B02'.*Name them"),
    ],
)
def test_wrong_arguments_are_explained(
    bundle: Bundle,
    pixels: pd.DataFrame,
    by_position: tuple[str, ...],
    by_name: tuple[str, ...],
    message: str,
) -> None:
    evaluate = cot_udf(bundle).func  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=message):
        evaluate(*(pixels[name] for name in by_position), **{n: pixels[n] for n in by_name})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.drop("B11"), ModelError, r"\['B11'\] are missing, present are \['id', 'B01'"),
        (lambda t: t.selectExpr("* EXCEPT (B02)", "string(B02) B02"), ModelError, "B02 is string"),
        (lambda t: t.selectExpr("*", "1 AS cot"), TableError, r"columns \['cot'\] exist already"),
    ],
)
def test_an_unfit_table_is_refused_before_anything_runs(
    table: DataFrame, bundle: Bundle, change: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        with_cot(change(table), bundle)


def test_python_calls_by_name(table: DataFrame, bundle: Bundle, expected: Prediction) -> None:
    udf = cot_udf(bundle)
    named = {name: table[name] for name in reversed(INPUTS)}
    assert_identical(table.select("id", udf(**named).alias("p")).select("id", "p.*"), expected)


def test_cot_is_an_alias_or_the_log_says_why_not(
    spark: SparkSession, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    session = spark.newSession()
    register(session, bundle)
    stays_cotangent = session.sql("SELECT typeof(cot(1.0D)) t").first()["t"] == "double"
    assert stays_cotangent == ("call cloud_optical_thickness()" in caplog.text)


def test_the_cotangent_stays_in_other_sessions(spark: SparkSession, session: SparkSession) -> None:
    assert spark.newSession().sql("SELECT cot(1.0D) c").first()["c"] == pytest.approx(0.6420926)
