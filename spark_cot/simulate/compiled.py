"""Compilation of numeric loops with Numba, cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from numba import njit

#: Fused multiply-add is the only relaxation of IEEE arithmetic.
_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "fastmath": {"contract"}}


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call and keep the result beside the source or in the user's cache.

    Where neither folder can be written, every process compiles for itself; ``NUMBA_CACHE_DIR``
    names another folder. The cache watches the file of the outermost function only: after a
    change of a function that others call, touch the files of its callers.
    """
    try:
        compiled = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        compiled = njit(**_OPTIONS)(function)
    return compiled  # type: ignore[no-any-return]
