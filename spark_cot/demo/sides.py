"""Sides of clouds in sun and shade: how a relief of cloud tops is lit, as a gain on reflectance.

An allowance, no transfer in three dimensions: a top that leans towards the sun gets more light, one
that leans away less, and neither throws a shadow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import gaussian_filter

from spark_cot.simulate.world.sampler import SIDES_GAIN

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

#: Liquid water grows linearly with height above the base of a cloud that rises without mixing, and
#: optical thickness with the height's power of 5/3 (Brenguier et al. 2000, J. Atmos. Sci. 57, 803).
_HEIGHT_POWER: Final = 3 / 5

#: Standard deviation, metres, of the bell that blurs the relief: light wanders some 200 to 300 m
#: in a cloud, so that finer slopes are not seen (Marshak et al. 1995, J. Geophys. Res. 100, 26247).
_BLUR_M: Final = 80.0


def top_heights(cot: Floats, rise: float) -> Floats:
    """Height of the cloud's top above its base, metres, 0 where there is no cloud.

    Parameters
    ----------
    cot : ndarray
        Optical thickness ``(ny, nx)``.
    rise : float
        Height at COT 1, metres: about 70 for a cloud that does not mix with the air around it and
        has 100 droplets a cm3; a tower that does mix holds less water and is higher.
    """
    return np.asarray(rise * cot**_HEIGHT_POWER)


def sunlit(heights: Floats, pixel: float, sun: tuple[ArrayLike, ArrayLike]) -> Floats:
    """Light on a relief over the light on a flat top, within the gains that models are trained on.

    The cosine of the angle between the surface's normal and the sun, over that of a level surface:
    ``(1 - tan(zenith) s) / sqrt(1 + slope^2)``, where ``s`` is the slope along the ground towards
    the sun.

    Parameters
    ----------
    heights : ndarray
        Metres ``(ny, nx)``, north up.
    pixel : float
        Metres.
    sun : tuple[ArrayLike, ArrayLike]
        Zenith and azimuth, degrees, azimuth from north by east; numbers, or arrays that fit
        ``heights``.

    Returns
    -------
    ndarray
        float64 ``(ny, nx)``, in SIDES_GAIN.
    """
    zenith, azimuth = (np.deg2rad(angle) for angle in sun)
    south, east = np.gradient(gaussian_filter(heights, _BLUR_M / pixel), pixel)
    towards = east * np.sin(azimuth) - south * np.cos(azimuth)
    light = (1 - np.tan(zenith) * towards) / np.sqrt(1 + east**2 + south**2)
    return np.asarray(np.clip(light, *SIDES_GAIN))
