"""Statistics in one pass are those of the whole table at once."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_cot.errors import TableError
from spark_cot.learn.statistics import table_statistics

INPUTS = ["B03", "sun_zenith"]


def write(path: Path, values: np.ndarray, group_rows: int) -> None:
    columns = dict(zip((*INPUTS, "cot"), values.T, strict=True))
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 400), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_any_row_groups(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group_rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal([0.2, 50.0, 3.0], [0.01, 20.0, 4.0], (rows, 3)).astype(np.float32)
    values[:, 2] = np.maximum(values[:, 2], 0)
    path = tmp_path_factory.mktemp("table") / "rows.parquet"
    write(path, values, group_rows)
    found, exact = table_statistics(path, INPUTS), values.astype(np.float64)
    np.testing.assert_allclose(found.means, exact[:, :2].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.stds, exact[:, :2].std(axis=0, ddof=1), rtol=1e-6)
    cot = values[:, 2]
    thin = np.count_nonzero((cot > 0) & (cot < 1.25))
    clear, thick = np.count_nonzero(cot == 0), np.count_nonzero(cot >= 1.25)
    assert found.class_rows.tolist() == [clear, thin, thick]
    assert found.data_hash == hashlib.sha256(values.tobytes()).hexdigest()
    np.testing.assert_array_equal(found.sample, values[:, :2])


@pytest.mark.parametrize("group_rows", [7, 64, 1000])
def test_the_sample_is_even_whatever_the_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int
) -> None:
    monkeypatch.setattr("spark_cot.learn.statistics.SAMPLE_ROWS", 90)
    values = np.random.default_rng(1).random((1000, 3), np.float32)
    write(tmp_path / "rows.parquet", values, group_rows)
    found = table_statistics(tmp_path / "rows.parquet", INPUTS)
    np.testing.assert_array_equal(found.sample, values[::12, :2])


def test_far_from_zero_nothing_cancels(tmp_path: Path) -> None:
    """A mean 10,000 times the deviation: sums of squares in float32 would leave nothing."""
    values = np.tile(np.float32([[1000.0, 50.0, 1.0], [1000.2, 50.0, 1.0]]), (500, 1))
    write(tmp_path / "rows.parquet", values, 64)
    found = table_statistics(tmp_path / "rows.parquet", INPUTS)
    assert found.stds[0] == pytest.approx(values[:, 0].std(ddof=1, dtype=np.float64), rel=1e-5)
    assert found.stds[1] == 0


def test_a_missing_label_says_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"B03": [0.1], "sun_zenith": [30.0]}), tmp_path / "rows.parquet")
    with pytest.raises(TableError, match="cot"):
        table_statistics(tmp_path / "rows.parquet", INPUTS)
