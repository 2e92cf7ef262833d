"""What training asks of a table as a whole, from one pass with one row group in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from spark_cot.learn.objective import class_rows
from spark_cot.tables.rowgroups import Location, ParquetTable

#: Rows of a table that are kept, enough for its 0.05 % quantiles.
SAMPLE_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """Statistics of a table with inputs and COT.

    Attributes
    ----------
    means, stds : torch.Tensor
        ``(inputs,)`` float32; standard deviations of a sample.
    class_rows : torch.Tensor
        ``(3,)`` rows that are clear, thin and thick; see `learn.objective.class_rows`.
    data_hash : str
        SHA-256 of the values, rows in file order.
    sample : torch.Tensor
        ``(n, inputs)`` float32, rows at even steps through the table: all of them, up to
        `SAMPLE_ROWS`.
    """

    means: torch.Tensor
    stds: torch.Tensor
    class_rows: torch.Tensor
    data_hash: str
    sample: torch.Tensor


def table_statistics(location: Location, inputs: Sequence[str]) -> TableStatistics:
    """Read a table once for its statistics.

    Sums are taken in float64 and about the mean of each row group (Chan et al. 1979, "Updating
    formulae and a pairwise algorithm for computing sample variances", eq. 2.1).

    Parameters
    ----------
    location
        As of :class:`~spark_cot.tables.rowgroups.ParquetTable`, as are the errors.
    inputs : Sequence[str]
        Columns beside ``cot``.
    """
    table = ParquetTable(location, (*inputs, "cot"))
    digest, rows = hashlib.sha256(), 0
    classes = torch.zeros(3, dtype=torch.int64)
    means, squares = np.zeros(len(inputs)), np.zeros(len(inputs))
    sample, stride = [], -(-table.rows // SAMPLE_ROWS)
    for row_group in table.row_groups:
        values = table.read(row_group)
        if not len(values):
            continue
        digest.update(values.tobytes())
        sample.append(values[-rows % stride :: stride, :-1].copy())
        classes += class_rows(torch.from_numpy(values[:, -1]))
        part = values[:, :-1].astype(np.float64)
        centre = part.mean(axis=0)
        step = centre - means
        share = len(part) / (rows + len(part))
        means += step * share
        squares += ((part - centre) ** 2).sum(axis=0) + step**2 * rows * share
        rows += len(part)
    stds = np.sqrt(squares / max(1, rows - 1))
    return TableStatistics(
        _float32(means),
        _float32(stds),
        classes,
        digest.hexdigest(),
        torch.from_numpy(np.concatenate(sample)),
    )


def _float32(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
