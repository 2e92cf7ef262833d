"""Columns of a scene's table file laid out on its grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import TableError
from spark_cot.storage import open_parquet


def column_on_grid(
    path: Path, column: str, shape: tuple[int, int], fill: float, dtype: str
) -> NDArray[Any]:
    """Values of ``column`` at their row and col, ``fill`` where the table has no row.

    Parameters
    ----------
    path : Path
        File of one scene in the pixel or COT table; read row group by row group.
    column : str
    shape : tuple[int, int]
        ``(ny, nx)`` of the scene grid.
    fill : float
        Nodata.
    dtype : str
        NumPy type of the result.

    Returns
    -------
    ndarray
        ``(ny, nx)``.

    Raises
    ------
    TableError
        A row lies outside the grid.
    """
    values = np.full(shape, fill, dtype)
    with open_parquet(path) as source:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group, ["row", "col", column], use_threads=False)
            row, col = table.column("row").to_numpy(), table.column("col").to_numpy()
            if row.min() < 0 or row.max() >= shape[0] or col.min() < 0 or col.max() >= shape[1]:
                raise TableError(f"has rows outside the scene grid of {shape}", str(path))
            values[row, col] = table.column(column).to_numpy()
    return values
