"""Rows of known thickness to judge a model by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.models.architecture import Float32
from spark_cot.msi import BAND_IDS
from spark_cot.tables.rowgroups import Location, has_columns, read_rows

#: Share of the ground that is snow or ice; of the synthetic table.
_SNOW: Final = "snow_share"


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of known thickness.

    Attributes
    ----------
    features : numpy.ndarray
        ``(n, inputs)`` float32, TOA reflectances and then angles (degrees).
    cot : numpy.ndarray
        ``(n,)`` float32, COT at 550 nm.
    bands : int
        Number of leading features that are reflectances.
    snow_free : numpy.ndarray
        ``(n,)`` bool: rows whose ground is free of snow and ice, as far as is known.
    """

    features: Float32
    cot: Float32
    bands: int
    snow_free: NDArray[np.bool_]

    def noisy(self, level: float) -> Float32:
        """Features with noise of ``level`` times each band's mean; the same at every call."""
        if level == 0:
            return self.features
        rng = np.random.default_rng(round(1e6 * level))
        rho = self.features[:, : self.bands]
        noise = rng.standard_normal(rho.shape, np.float32) * (level * rho.mean(axis=0))
        return np.hstack([rho + noise, self.features[:, self.bands :]])


def read_sample(location: Location, inputs: Sequence[str], rows: int | None = None) -> Sample:
    """Read the first rows of a table, or all.

    A table without the column ``snow_share`` tells nothing of snow: all its rows count as free.

    Parameters
    ----------
    location
        Table with the inputs and ``cot``, as of :class:`~spark_cot.tables.rowgroups.ParquetTable`,
        as are the errors.
    inputs : Sequence[str]
        Bands, then angles.
    rows : int, optional
    """
    snow = [_SNOW] if has_columns(location, [_SNOW]) else []
    matrix = read_rows(location, (*inputs, "cot", *snow), rows)
    count = len(inputs)
    snow_free = (matrix[:, count + 1 :] == 0).all(axis=1)
    features, bands = np.ascontiguousarray(matrix[:, :count]), sum(n in BAND_IDS for n in inputs)
    return Sample(features, matrix[:, count], bands, snow_free)
