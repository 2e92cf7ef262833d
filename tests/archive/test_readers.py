"""Every table, by the path of its folder alone, through the readers that people have.

Some of them take whatever lies below a path for Parquet, names that begin with an underscore or a
dot included; so nothing else may lie there.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import geopandas as gpd
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from spark_cot.learn.reader import read_row_groups
from spark_cot.tables.rowgroups import ParquetTable

TABLES = ("pixels", "cot", "masked", "scenes", "synthetic")


@pytest.fixture(scope="module")
def tables(
    spark, finished: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A workspace of which a damaged file was set aside, and a synthetic table with its report."""
    from spark_cot.cli import main

    folder = tmp_path_factory.mktemp("readers")
    out = Path(shutil.copytree(finished[1], folder / "workspace"))
    damaged = sorted((out / "cot").rglob("*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    for command in (
        ["verify", str(out), "--repair"],
        ["run", str(finished[0]), "--out", str(out)],
        ["simulate", "--rows", "600", "--out", str(folder / "synthetic")],
    ):
        with pytest.raises(SystemExit):
            main(command)
    assert list((out / "_parts" / "damaged").rglob("*.parquet"))
    assert list((folder / "synthetic.simulation" / "reports").glob("*.html"))
    return {name: (out if name != "synthetic" else folder) / name for name in TABLES}


def rows_of(folder: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in folder.rglob("*.parquet"))


def in_duckdb(folder: Path) -> int:
    with duckdb.connect() as connection:
        found = connection.sql(f"SELECT count(*) FROM read_parquet('{folder}/**/*')").fetchall()
    return int(found[0][0])


def through_petastorm(folder: Path) -> int:
    column = "orbit" if folder.name == "scenes" else "row"
    table = ParquetTable(folder, [column])
    return sum(map(len, read_row_groups(table, range(len(table.row_groups)))))


READERS: dict[str, Callable[[Path], int]] = {
    "pandas": lambda folder: len(pd.read_parquet(folder)),
    "pyarrow": lambda folder: ds.dataset(folder, partitioning="hive").count_rows(),
    "polars": lambda folder: len(pl.read_parquet(folder)),
    "polars, lazy": lambda folder: pl.scan_parquet(folder).select(pl.len()).collect().item(),
    "duckdb": in_duckdb,
    "petastorm": through_petastorm,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_parquet_and_nothing_else(tables: dict[str, Path], name: str) -> None:
    files = [path for path in tables[name].rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".parquet"}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_with_nothing_but_the_path_finds_every_row(
    tables: dict[str, Path], name: str, reader: str
) -> None:
    folder = tables[name]
    assert READERS[reader](folder) == rows_of(folder) > 0


@pytest.mark.parametrize("name", TABLES)
def test_spark_finds_every_row_too(spark, tables: dict[str, Path], name: str) -> None:
    assert spark.read.parquet(str(tables[name])).count() == rows_of(tables[name])


def test_geopandas_reads_the_index(tables: dict[str, Path]) -> None:
    assert len(gpd.read_parquet(tables["scenes"])) == rows_of(tables["scenes"])
