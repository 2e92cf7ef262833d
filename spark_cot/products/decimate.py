"""Smaller copies of rasters for display, made by blocks in which nodata takes no part."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def block_factor(shape: tuple[int, int], longest: int) -> int:
    """Smallest block size that brings ``shape``, ``(ny, nx)``, to at most ``longest`` pixels."""
    return max(1, -(-max(shape) // longest))


def block_mean(
    values: NDArray[np.generic], valid: NDArray[np.bool_], factor: int
) -> NDArray[np.float32]:
    """Mean of the valid pixels of each ``factor`` x ``factor`` block, NaN where none is.

    Parameters
    ----------
    values, valid : NDArray
        Shape ``(ny, nx)``.
    factor : int
        Block size; blocks at the south and east edge may be smaller.

    Returns
    -------
    NDArray[np.float32]
        Shape ``(ceil(ny / factor), ceil(nx / factor))``.
    """
    mean = np.full(_small(values.shape, factor), np.nan, np.float32)
    for row, slab in _slabs(values.shape[0], factor):
        counts = _block_sum(valid[slab].astype(np.float64), factor)
        sums = _block_sum(np.where(valid[slab], values[slab], 0.0), factor)
        np.divide(sums, counts, out=mean[row], where=counts > 0, casting="same_kind")
    return mean


def block_majority(codes: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Most frequent non-zero code of each block; 0, which is nodata, only where no other is.

    Parameters
    ----------
    codes : NDArray[np.uint8]
        Shape ``(ny, nx)``; of equally frequent codes the lowest wins.
    factor : int
        Block size; blocks at the south and east edge may be smaller.

    Returns
    -------
    NDArray[np.uint8]
        Shape ``(ceil(ny / factor), ceil(nx / factor))``.
    """
    majority = np.zeros(_small(codes.shape, factor), np.uint8)
    present = range(1, int(codes.max(initial=0)) + 1)
    most = np.zeros(majority.shape)
    for code in present:
        for row, slab in _slabs(codes.shape[0], factor):
            counts = _block_sum((codes[slab] == code).astype(np.float64), factor)
            wins = counts > most[row]
            majority[row][wins], most[row][wins] = code, counts[wins]
    return majority


def _small(shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    return -(-shape[0] // factor), -(-shape[1] // factor)


def _slabs(rows: int, factor: int) -> Iterator[tuple[int, slice]]:
    """Output row and the input rows it comes from: work on a slab needs little memory."""
    for row, start in enumerate(range(0, rows, factor)):
        yield row, slice(start, start + factor)


def _block_sum(slab: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sums over blocks of a slab that is one block high, shape ``(nx / factor,)``."""
    return np.add.reduceat(slab.sum(axis=0), np.arange(0, slab.shape[1], factor))
