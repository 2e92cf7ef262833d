"""The surface library: Lambert reflectances of 1936 surfaces in the 13 bands, by class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.csvdata import numbers, read_text_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Shares that surfaces are drawn with.
CLASS_SHARES: Final = {
    "vegetation": 0.13,
    "canopy": 0.17,
    "vegetation_mixed": 0.10,
    "dry_vegetation": 0.04,
    "soil": 0.10,
    "sand_rock_bright": 0.06,
    "rock_urban": 0.03,
    "dark_rock_asphalt": 0.02,
    "urban": 0.07,
    "water": 0.10,
    "snow_ice": 0.12,
    "snow_mixed": 0.05,
    "liquid_wet": 0.01,
}
SNOW: Final = ("snow_ice", "snow_mixed")


@dataclass(frozen=True, slots=True)
class SurfaceLibrary:
    """Surfaces in file order.

    Attributes
    ----------
    ids, classes : str (surfaces,)
    reflectance : float64 (surfaces, 13)
    """

    ids: NDArray[np.str_]
    classes: NDArray[np.str_]
    reflectance: NDArray[np.float64]

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
                "surfaces.csv",
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
                f"{', '.join(CLASS_SHARES)}",
                "surfaces.csv",
            )
        return rows

    def draw(
        self, class_draw: NDArray[np.float64], member_draw: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        """Rows for pairs of uniform numbers: the class by its share, then any of its surfaces."""
        names = tuple(CLASS_SHARES)
        edges = np.cumsum(list(CLASS_SHARES.values()))
        chosen = np.minimum(np.searchsorted(edges, class_draw, side="right"), len(names) - 1)
        result = np.empty(class_draw.size, dtype=np.intp)
        for index, name in enumerate(names):
            mine, rows = chosen == index, self.members(name)
            result[mine] = rows[(member_draw[mine] * rows.size).astype(np.intp)]
        return result


@cache
def surface_library() -> SurfaceLibrary:
    """The library of the package."""
    table = read_text_columns("surfaces", ("id", "class", "source", *BAND_IDS))
    columns = [numbers(table[band], f"surfaces.csv, {band}") for band in BAND_IDS]
    return SurfaceLibrary(
        np.array(table["id"]), np.array(table["class"]), np.stack(columns, axis=-1)
    )
