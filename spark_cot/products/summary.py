"""A scene in a few numbers: pixels and cover by class, statistics of a raster."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import TableError
from spark_cot.models.classes import CloudClass

_ROWS = 256


@dataclass(frozen=True, slots=True)
class RasterStatistics:
    """Statistics of a raster's valid pixels, which are ``valid_percent`` of all pixels."""

    minimum: float
    maximum: float
    mean: float
    stddev: float
    valid_percent: float


def class_counts(cloud_class: NDArray[np.uint8]) -> dict[CloudClass, int]:
    """Pixels of each class in an array of class codes, shape ``(ny, nx)``."""
    return {code: int(np.count_nonzero(cloud_class == code)) for code in CloudClass}


def class_cover(counts: Mapping[CloudClass, int]) -> dict[CloudClass, float]:
    """Cover in percent: nodata of all pixels, the other classes of the valid pixels.

    Raises
    ------
    TableError
        If no pixel is valid.
    """
    total = sum(counts.values())
    valid = total - counts[CloudClass.NODATA]
    if not valid:
        raise TableError("none of the pixels is valid, expected one at least", cure="Ingest again")
    return {
        code: 100 * count / (total if code is CloudClass.NODATA else valid)
        for code, count in counts.items()
    }


def raster_statistics(values: NDArray[np.float32]) -> RasterStatistics:
    """Statistics of an array ``(ny, nx)`` with NaN nodata, in little memory and double precision.

    Slabs are merged by the pairwise update of Chan, Golub and LeVeque (1979).
    """
    count, mean, squares = 0, 0.0, 0.0
    minimum, maximum = math.inf, -math.inf
    for row in range(0, values.shape[0], _ROWS):
        slab = values[row : row + _ROWS]
        slab = slab[~np.isnan(slab)].astype(np.float64)
        if not slab.size:
            continue
        minimum, maximum = min(minimum, float(slab.min())), max(maximum, float(slab.max()))
        merged, delta = count + slab.size, float(slab.mean()) - mean
        mean += delta * slab.size / merged
        squares += float(slab.var()) * slab.size + delta**2 * count * slab.size / merged
        count = merged
    if not count:
        raise TableError("none of the pixels is valid, expected one at least", cure="Ingest again")
    return RasterStatistics(
        minimum, maximum, mean, math.sqrt(squares / count), 100 * count / values.size
    )
