"""Petastorm is imported beside today's pyarrow and NumPy, which are then what they were before."""

import subprocess
import sys

import pytest

from spark_cot.learn.petastorm_names import legacy_names

#: What other libraries might ask for, and take for an old pyarrow or NumPy.
LOOK = """
import importlib.util, sys, numpy, pyarrow.lib
def look():
    names = ["pyarrow.filesystem", "pyarrow.hdfs"]
    found = [importlib.util.find_spec(name) is not None for name in names]
    found += [name in sys.modules for name in names if not importlib.util.find_spec(name)]
    return found + [hasattr(pyarrow, name.split(".")[1]) for name in names] + [
        hasattr(pyarrow.lib, "ArrowIOError"), hasattr(numpy, "unicode_"), hasattr(numpy, "string_")
    ]
"""


@pytest.mark.parametrize("change", ["", "del pyarrow.lib.ArrowIOError\n"])
def test_an_import_leaves_pyarrow_and_numpy_as_they_were(change: str) -> None:
    code = f"{LOOK}{change}before = look()\nimport spark_cot.learn.reader\nprint(before == look())"
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_a_failed_import_leaves_nothing_behind() -> None:
    before = set(sys.modules)
    with pytest.raises(ImportError), legacy_names():
        raise ImportError
    assert set(sys.modules) == before
