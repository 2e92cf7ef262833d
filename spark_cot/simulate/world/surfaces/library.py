"""The surface library: Lambert reflectances in the 13 bands, measured and modelled, by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from spark_cot.errors import SimulationError
from spark_cot.simulate.world.cover import class_shares
from spark_cot.simulate.world.surfaces.canopy import canopies
from spark_cot.simulate.world.surfaces.frozen import frozen_waters
from spark_cot.simulate.world.surfaces.ground import grounds, towns
from spark_cot.simulate.world.surfaces.spectra import Spectra, measured
from spark_cot.simulate.world.surfaces.water import waters

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SurfaceLibrary(Spectra):
    """All surfaces, in an order of their own."""

    def find(self, surface: str) -> NDArray[np.float64]:
        """Reflectance (13,) of the surface with this id.

        Raises
        ------
        SimulationError
            When no surface has the id.
        """
        rows = np.flatnonzero(self.ids == surface)
        if not rows.size:
            raise SimulationError(
                f"unknown surface {surface!r}; expected an id such as {self.ids[0]!r}",
                "surface library",
                f"Take an id of the library: it has {self.ids.size}",
            )
        return np.asarray(self.reflectance[rows[0]])

    def members(self, surface_class: str) -> NDArray[np.intp]:
        """Rows of a class.

        Raises
        ------
        SimulationError
            When there is no such class.
        """
        rows = np.flatnonzero(self.classes == surface_class)
        if not rows.size:
            raise SimulationError(
                f"unknown surface class {surface_class!r}; expected one of "
                f"{', '.join(class_shares())}",
                "surface library",
            )
        return rows

    def draw(
        self,
        shares: Mapping[str, float],
        class_draw: NDArray[np.float64],
        member_draw: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """Rows for pairs of uniform numbers: the class by its share, then any of its surfaces.

        Parameters
        ----------
        shares : Mapping[str, float]
            By class, together 1.
        class_draw, member_draw : ndarray
            In [0, 1), (n,).
        """
        names, edges = tuple(shares), np.cumsum(list(shares.values()))
        chosen = np.searchsorted(edges / edges[-1], class_draw, side="right")
        result = np.empty(class_draw.size, dtype=np.intp)
        for index, name in enumerate(names):
            mine, rows = chosen == index, self.members(name)
            result[mine] = rows[(member_draw[mine] * rows.size).astype(np.intp)]
        return result


@cache
def surface_library() -> SurfaceLibrary:
    """The library of the package."""
    plants = canopies()
    trees = np.concatenate(
        [kind.reflectance for kind in plants if kind.classes[0] != "snow_canopy"]
    )
    parts = (measured(), *plants, *grounds(), towns(trees), *waters(), *frozen_waters())
    return SurfaceLibrary(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.reflectance for part in parts]),
    )
