import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.simulate import numerics


def twice(x):
    return 2 * x


def test_a_function_is_compiled():
    assert numerics.jit(twice)(4) == 8


def test_without_a_folder_for_the_cache_it_compiles_all_the_same(monkeypatch):
    def no_locator(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(numerics, "njit", no_locator)
    assert numerics.jit(twice)(4) == 8


PROGRAM = """
import logging
from spark_cot.simulate.numerics import jit

logging.basicConfig(format="%(message)s")

def twice(x):
    return 2 * x

assert jit(twice)(4) == 8
"""


def test_damaged_compiled_code_is_made_anew(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def said():
        command = [sys.executable, str(tmp_path / "program.py")]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stderr

    assert said() == ""
    for kind, damage in (("*.nbi", b""), ("*.nbi", b"\xff" * 99), ("*.nbc", b"\x80\x04K")):
        (file,) = (tmp_path / "cache").rglob(kind)
        file.write_bytes(damage)
        assert "damaged and made anew" in said(), kind
    assert said() == ""


def test_figures_are_not_relaxed_beyond_contraction():
    @numerics.jit
    def is_nan(x):
        return x != x

    assert is_nan(float("nan"))
    with pytest.raises(TypeError):
        is_nan()


GRID = np.array([0.0, 1.0, 3.0, 10.0])
TABLE = np.array([5.0, -1.0, 2.0, 7.0])


@given(st.floats(-5, 20))
def test_located_values_interpolate_like_numpy(value):
    index, share = numerics.locate(np.array([value]), GRID)
    found = (1 - share) * TABLE[index] + share * TABLE[index + 1]
    np.testing.assert_allclose(found, np.interp(value, GRID, TABLE), atol=1e-12)
    assert 0 <= share[0] <= 1
