"""A scene in a few numbers: pixels and cover by class, statistics of a raster."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import TableError
from spark_cot.models.classes import CloudClass

_ROWS = 256

Code = TypeVar("Code", bound=int)


@dataclass(frozen=True, slots=True)
class RasterStatistics:
    """Statistics of a raster's valid pixels, which are ``valid_percent`` of all pixels."""

    minimum: float
    maximum: float
    mean: float
    stddev: float
    valid_percent: float


def code_counts(values: NDArray[np.uint8], codes: Iterable[Code]) -> dict[Code, int]:
    """Pixels of each code in an array ``(ny, nx)`` of codes."""
    return {code: int(np.count_nonzero(values == code)) for code in codes}


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


def outside_cover(counts: Mapping[int, int]) -> float:
    """Pixels outside the range of the training, in percent of the valid pixels.

    Parameters
    ----------
    counts : Mapping[int, int]
        Pixels with code 0, inside, and with code 1, outside; others are not valid.
    """
    return 100 * counts[1] / (counts[0] + counts[1])


def raster_statistics(
    values: NDArray[np.float32] | NDArray[np.uint8], nodata: float = math.nan
) -> RasterStatistics:
    """Statistics of an array ``(ny, nx)``, in little memory and double precision.

    Slabs are merged by the pairwise update of Chan, Golub and LeVeque (1979).
    """
    count, mean, squares = 0, 0.0, 0.0
    minimum, maximum = math.inf, -math.inf
    for row in range(0, values.shape[0], _ROWS):
        slab = values[row : row + _ROWS]
        slab = slab[~(np.isnan(slab) | (slab == nodata))].astype(np.float64)
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
