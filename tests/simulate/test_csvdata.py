import numpy as np
import pytest

from spark_cot.errors import SimulationError
from spark_cot.simulate.csvdata import content_hash, numbers, parse, read_columns


def test_comments_are_skipped_and_columns_named():
    columns = parse("# a source\nx,y\n1,a\n2,b\n", ("x", "y"), "t.csv")
    assert columns == {"x": ["1", "2"], "y": ["a", "b"]}


def test_another_header_is_named_with_both_sides():
    with pytest.raises(SimulationError, match="header is x,z, expected x,y"):
        parse("x,z\n1,2\n", ("x", "y"), "t.csv")


def test_a_short_row_is_named():
    with pytest.raises(SimulationError, match="data row 2 has 1 fields, expected 2"):
        parse("x,y\n1,2\n3\n", ("x", "y"), "t.csv")


@pytest.mark.parametrize("entry", ["nan", "inf", "one", ""])
def test_only_finite_numbers_are_read(entry):
    with pytest.raises(SimulationError, match=r"t\.csv"):
        numbers(["1", entry], "t.csv")


def test_package_table_is_numeric():
    table = read_columns("gas_o3", ("nu_cm1", "k_per_atm_cm"))
    assert np.all(np.diff(table["nu_cm1"]) == 200)


def test_hash_tells_tables_apart():
    assert content_hash("gas_o3") != content_hash("gas_o2")
    assert content_hash("gas_o3") == content_hash("gas_o3")
