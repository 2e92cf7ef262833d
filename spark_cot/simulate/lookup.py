"""Where values lie in the grid of a table."""

import numpy as np
from numpy.typing import NDArray


def locate(
    values: NDArray[np.float64], grid: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the grid point below each value and the share of the step above it.

    Values outside the (ascending) grid count as its nearest end, so that ``(1 - share) *
    table[index] + share * table[index + 1]`` is always an interpolation.
    """
    position = np.interp(values, grid, np.arange(grid.size))
    index = np.minimum(position.astype(np.intp), grid.size - 2)
    return index, position - index
