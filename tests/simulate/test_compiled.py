import numba
import pytest

from spark_cot.simulate import compiled


def twice(x):
    return 2 * x


def test_a_function_is_compiled():
    assert compiled.jit(twice)(4) == 8


def test_without_a_folder_for_the_cache_it_compiles_all_the_same(monkeypatch):
    def no_locator(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(compiled, "njit", no_locator)
    assert compiled.jit(twice)(4) == 8


def test_figures_are_not_relaxed_beyond_contraction():
    @compiled.jit
    def is_nan(x):
        return x != x

    assert is_nan(float("nan"))
    with pytest.raises(TypeError):
        is_nan()
