"""Rows of known thickness to judge a model by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_cot.models.architecture import Float32
from spark_cot.msi import BAND_IDS
from spark_cot.tables.rowgroups import Location, has_columns, read_rows

#: Columns of the synthetic table: share of the ground that is snow or ice; brightness of the cloud
#: over that of a plane-parallel one.
_SNOW, _GAIN = "snow_share", "cloud_gain"


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
    plane_parallel : numpy.ndarray
        ``(n,)`` bool: rows whose cloud has no sunlit or shadowed sides, as far as is known.
    """

    features: Float32
    cot: Float32
    bands: int
    snow_free: NDArray[np.bool_]
    plane_parallel: NDArray[np.bool_]

    def chosen(self, rows: NDArray[np.bool_]) -> Sample:
        """The rows that are True."""
        return Sample(
            self.features[rows],
            self.cot[rows],
            self.bands,
            self.snow_free[rows],
            self.plane_parallel[rows],
        )

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

    A table without the column ``snow_share`` tells nothing of snow: all its rows count as free. One
    without ``cloud_gain`` holds plane-parallel cloud alone.

    Parameters
    ----------
    location
        Table with the inputs and ``cot``, as of :class:`~spark_cot.tables.rowgroups.ParquetTable`,
        as are the errors.
    inputs : Sequence[str]
        Bands, then angles.
    rows : int, optional
    """
    known = [name for name in (_SNOW, _GAIN) if has_columns(location, [name])]
    columns = (*inputs, "cot", *known)
    matrix = read_rows(location, columns, rows)

    def holds(name: str, value: float) -> NDArray[np.bool_]:
        if name not in known:
            return np.ones(len(matrix), bool)
        flags: NDArray[np.bool_] = matrix[:, columns.index(name)] == value
        return flags

    count = len(inputs)
    features, bands = np.ascontiguousarray(matrix[:, :count]), sum(n in BAND_IDS for n in inputs)
    return Sample(features, matrix[:, count], bands, holds(_SNOW, 0), holds(_GAIN, 1))
