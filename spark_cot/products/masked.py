"""Thickness-masked reflectance: the surface seen through no more than a chosen cloud."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: int16 has no NaN; calibrated reflectance never falls this low (DN >= 1, offset -1000).
MASKED_NODATA: Final = -32_768


def mask_reflectance(
    reflectance: NDArray[np.int16],
    valid: NDArray[np.bool_],
    cot: NDArray[np.floating[Any]],
    mask_above: float,
) -> NDArray[np.int16]:
    """Reflectance where the cloud is at most ``mask_above`` thick, ``MASKED_NODATA`` elsewhere.

    Parameters
    ----------
    reflectance : NDArray[np.int16]
        TOA reflectance x 10000, shape ``(ny, nx)`` or ``(bands, ny, nx)``.
    valid : NDArray[np.bool_]
        Shape ``(ny, nx)``, False for nodata.
    cot : NDArray
        Optical thickness at 550 nm, shape ``(ny, nx)``; NaN masks too.
    mask_above : float
        Largest optical thickness kept.
    """
    kept = valid & (cot <= mask_above)
    return np.where(kept, reflectance, np.int16(MASKED_NODATA))
