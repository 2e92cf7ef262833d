"""Samples as they are read from tables, and under noise."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.errors import TableError
from spark_cot.evaluate.sample import Sample, read_sample

INPUTS = ("B02", "B10", "B11", "sun_zenith")
SNOW = np.tile(np.float32([0, 0.25, 1]), 100)


def test_rows_in_file_order(synthetic: Path) -> None:
    found = read_sample(synthetic / "split=test", INPUTS, 150)
    table = pq.read_table(synthetic / "split=test" / "rows.parquet")[:150]
    expected = np.stack([table[name].to_numpy() for name in INPUTS], axis=1)
    np.testing.assert_array_equal(found.features, expected)
    np.testing.assert_array_equal(found.cot, table["cot"].to_numpy())
    np.testing.assert_array_equal(found.snow_free, table["snow_share"].to_numpy() == 0)
    assert 0 < found.snow_free.sum() < 150
    assert found.bands == 3


@pytest.mark.parametrize("known", ["in both files", "in one file", "nowhere"])
def test_snow_free_rows_are_those_without_snow_where_all_files_know(
    synthetic: Path, tmp_path: Path, known: str
) -> None:
    table = pq.read_table(synthetic / "split=test" / "rows.parquet").drop_columns(["snow_share"])
    parts = [table.slice(0, 150), table.slice(150)]
    files_that_know = {"in both files": 2, "in one file": 1, "nowhere": 0}[known]
    for i, part in enumerate(parts):
        if i < files_that_know:
            part = part.append_column("snow_share", pa.array(SNOW[150 * i : 150 * (i + 1)]))
        pq.write_table(part, tmp_path / f"rows-{i}.parquet", row_group_size=40)
    expected = SNOW == 0 if known == "in both files" else np.ones(300, bool)
    np.testing.assert_array_equal(read_sample(tmp_path, INPUTS).snow_free, expected)


@pytest.mark.parametrize("known", [True, False])
def test_plane_parallel_cloud_has_a_gain_of_1(synthetic: Path, tmp_path: Path, known: bool) -> None:
    table = pq.read_table(synthetic / "split=test" / "rows.parquet")
    gain = np.tile(np.float32([1, 1.5, 1, 0.6]), 75)
    if known:
        table = table.append_column("cloud_gain", pa.array(gain))
    pq.write_table(table, tmp_path / "rows.parquet")
    found = read_sample(tmp_path, INPUTS)
    np.testing.assert_array_equal(found.plane_parallel, gain == 1 if known else [True] * 300)
    np.testing.assert_array_equal(found.snow_free, table["snow_share"].to_numpy() == 0)
    half = found.chosen(np.arange(300) < 150)
    np.testing.assert_array_equal(half.features, read_sample(tmp_path, INPUTS, 150).features)
    assert len(half.cot) == len(half.snow_free) == len(half.plane_parallel) == 150


def test_a_table_of_other_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"B02": [0.1], "cot": [1.0]}), tmp_path / "rows.parquet")
    with pytest.raises(TableError, match=r"\['B10', 'B11', 'sun_zenith'\] are missing"):
        read_sample(tmp_path, INPUTS)


def test_noise_is_a_share_of_each_band_s_mean_and_spares_angles() -> None:
    rng = np.random.default_rng(3)
    features = rng.uniform([0.1, 0.3, 20], [0.2, 0.5, 70], (20_000, 3)).astype(np.float32)
    many = Sample(features, features[:, 0], 2, *np.ones((2, len(features)), bool))
    noise = many.noisy(0.04) - many.features
    expected = 0.04 * many.features[:, :2].mean(axis=0)
    np.testing.assert_allclose(noise[:, :2].std(axis=0), expected, rtol=0.03)
    assert not noise[:, 2].any()
    assert np.array_equal(many.noisy(0.04), many.noisy(0.04))
    assert many.noisy(0.0) is many.features
    assert many.noisy(0.05).dtype == np.float32
