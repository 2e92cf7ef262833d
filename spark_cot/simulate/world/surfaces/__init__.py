"""Surfaces: spectra that were measured, surfaces modelled on them, and how often each is drawn."""

from spark_cot.simulate.world.cover import (
    GROUPS,
    REGIONS,
    SNOW,
    WATER,
    WORLD,
    class_shares,
)
from spark_cot.simulate.world.surfaces.library import SurfaceLibrary, surface_library

__all__ = [
    "GROUPS",
    "REGIONS",
    "SNOW",
    "WATER",
    "WORLD",
    "SurfaceLibrary",
    "class_shares",
    "surface_library",
]
