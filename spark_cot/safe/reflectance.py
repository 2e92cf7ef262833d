"""Digital numbers to stored reflectance: special values, averaging, calibration; pure functions.

Stored reflectance is int16 ``rho x 10000``, rounded half to even. Its two ends are no measurements:
the lowest int16 means nodata, the highest "at least 3.2767". The second is what a saturated sample
becomes, and so does every cell with one among its samples: their mean is not known, but that it is
higher than what the others say. A model takes such a band to be as bright as the brightest of those
that did measure (`models.envelope`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.msi import REFLECTANCE_SCALE

NODATA: Final = np.int16(-32768)
SATURATED: Final = np.int16(32767)

#: The end of the 15 bits that the images of the producers have, where 65535 is not possible.
_END_OF_15_BITS: Final = 32767
_END_OF_16_BITS: Final = 65535

#: Output rows handled at once: temporaries stay in the processor's cache.
_STRIP: Final = 32

Int16s = NDArray[np.int16]
Uint16s = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class SpecialValues:
    """Digital numbers that are no measurements.

    Attributes
    ----------
    nodata : frozenset[int]
        0, and whatever else the metadata set apart.
    saturated : frozenset[int]
        The detector has measured its end.
    """

    nodata: frozenset[int] = frozenset({0})
    saturated: frozenset[int] = frozenset({_END_OF_15_BITS, _END_OF_16_BITS})

    @property
    def ceiling(self) -> int:
        """The lowest special value above 0: numbers between are measurements."""
        return min((self.nodata | self.saturated) - {0})


def stored_reflectance(
    dn: Uint16s,
    factor: int,
    offset: float,
    quantification: float,
    special: SpecialValues = SpecialValues(),
) -> Int16s:
    """Stored reflectance of cells of ``factor`` x ``factor`` samples.

    A cell is nodata if more than half of its samples are; else saturated if one of them is; else
    the mean of those that are measurements, ``rho = (mean + offset) / quantification``.

    Parameters
    ----------
    dn : ndarray
        Digital numbers, uint16 (ny, nx), both multiples of ``factor``.
    factor : int
        1 calibrates without averaging.
    offset, quantification : float
        RADIO_ADD_OFFSET and QUANTIFICATION_VALUE.
    special : SpecialValues

    Returns
    -------
    ndarray
        int16 (ny / factor, nx / factor).
    """
    ny, nx = dn.shape[0] // factor, dn.shape[1] // factor
    out = np.empty((ny, nx), np.int16)
    for row in range(0, ny, _STRIP):
        strip = dn[row * factor : (row + _STRIP) * factor]
        strip, ends = _measured(strip, factor, special)
        total = cell_sums(strip, factor).astype(np.float32)
        if strip.min() > 0:
            total /= factor**2
            out[row : row + _STRIP] = _calibrated(total, offset, quantification)
        else:
            count = cell_sums((strip > 0).view(np.uint8), factor)
            total /= np.maximum(count, 1)
            cells = np.where(ends > 0, SATURATED, _calibrated(total, offset, quantification))
            out[row : row + _STRIP] = np.where(2 * (count + ends) < factor**2, NODATA, cells)
    return out


def _measured(
    dn: Uint16s, factor: int, special: SpecialValues
) -> tuple[Uint16s, NDArray[np.uint32]]:
    """Samples with 0 in the place of every special value, and how many of a cell are saturated."""
    if dn.max() < special.ceiling:
        return dn, np.zeros((1, 1), np.uint32)
    saturated = _is_any(dn, special.saturated)
    ends = cell_sums(saturated.view(np.uint8), factor)
    return np.where(saturated | _is_any(dn, special.nodata), np.uint16(0), dn), ends


def _is_any(dn: Uint16s, values: Collection[int]) -> NDArray[np.bool_]:
    found = np.zeros(dn.shape, bool)
    for value in values:
        found |= dn == value
    return found


def cell_sums(samples: NDArray[np.uint16] | NDArray[np.uint8], factor: int) -> NDArray[np.uint32]:
    """Sums of cells of ``factor`` x ``factor`` samples, uint32 (ny / factor, nx / factor)."""
    rows = samples[::factor].astype(np.uint32)
    for i in range(1, factor):
        rows += samples[i::factor]
    cells = rows[:, ::factor].copy()
    for i in range(1, factor):
        cells += rows[:, i::factor]
    return cells


def cell_centres(level: Uint16s) -> Uint16s:
    """Samples of the first lower JPEG 2000 resolution, moved to the centres of their cells.

    The wavelet's low-pass samples sit on the even samples of the full resolution, half a fine
    pixel up and left of the centre of the 2 x 2 samples they stand for; linear interpolation, 3/4
    and 1/4 along each axis, brings them there. At the last row and column the edge is repeated.
    """
    padded = np.pad(level, ((0, 1), (0, 1)), mode="edge").astype(np.uint32)
    rows = 3 * padded[:-1] + padded[1:]
    moved: Uint16s = ((3 * rows[:, :-1] + rows[:, 1:] + 8) // 16).astype(np.uint16)
    return moved


def _calibrated(dn: NDArray[np.float32], offset: float, quantification: float) -> Int16s:
    """Stored reflectance of mean digital numbers; overwrites ``dn``.

    float32 holds these exactly where it matters: at quantification 10000 no mean of up to 36
    samples of 16 bits comes closer to a half than the spacing of its numbers.
    """
    dn += np.float32(offset)
    if quantification != REFLECTANCE_SCALE:
        dn *= np.float32(REFLECTANCE_SCALE / quantification)
    np.rint(dn, out=dn)
    np.clip(dn, NODATA + 1, np.iinfo(np.int16).max, out=dn)
    return dn.astype(np.int16)
