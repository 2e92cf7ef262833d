"""Thickness-masked reflectance: the surface seen through no more than a chosen cloud."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: int16 has no NaN; calibrated reflectance never falls this low (DN >= 1, offset -1000).
MASKED_NODATA: Final = -32_768


def seen_through(
    valid: NDArray[np.bool_], cot: NDArray[np.floating[Any]], mask_above: float
) -> NDArray[np.bool_]:
    """Pixels that are valid and under no thicker cloud than ``mask_above``; NaN is thicker.

    Parameters
    ----------
    valid : NDArray[np.bool_]
        Shape ``(ny, nx)``, False for nodata.
    cot : NDArray
        Optical thickness at 550 nm, shape ``(ny, nx)``.
    mask_above : float
        Largest optical thickness kept.
    """
    seen = cot <= mask_above
    seen &= valid
    return seen


def mask_reflectance(reflectance: NDArray[np.int16], seen: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Reflectance where ``seen``, ``MASKED_NODATA`` elsewhere.

    Parameters
    ----------
    reflectance : NDArray[np.int16]
        TOA reflectance x 10000, shape ``(ny, nx)`` or ``(bands, ny, nx)``.
    seen : NDArray[np.bool_]
        Shape ``(ny, nx)``, of ``seen_through``.
    """
    return np.where(seen, reflectance, np.int16(MASKED_NODATA))
