"""`import spark_cot` is cheap, and its names lead to what they say."""

import subprocess
import sys

import pytest

import spark_cot

HEAVY = {"torch", "pyspark", "rasterio", "pyarrow", "pandas", "numpy", "xarray"}


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``statement``."""
    script = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_import_loads_none_of_the_large_packages() -> None:
    assert not modules_after("import spark_cot; dir(spark_cot)") & HEAVY


def test_opening_a_workspace_needs_neither_torch_nor_spark() -> None:
    loaded = modules_after("import spark_cot; spark_cot.open_workspace")
    assert "pyarrow" in loaded
    assert not loaded & {"torch", "pyspark", "xarray"}


def test_every_public_name_is_there() -> None:
    assert set(spark_cot.__all__) <= set(dir(spark_cot))
    for name in spark_cot.__all__:
        assert getattr(spark_cot, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'open_workspaces'"):
        spark_cot.open_workspaces  # noqa: B018
