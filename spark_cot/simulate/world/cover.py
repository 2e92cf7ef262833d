"""How often surfaces are drawn: classes within groups, and groups by region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spark_cot.errors import SimulationError

#: Classes of each group of land cover, and their shares of the group; each class is of one group.
GROUPS: Final[Mapping[str, Mapping[str, float]]] = {
    "forest": {"forest": 1.0},
    "crop_grass": {
        "crop": 0.50,
        "canopy": 0.08,
        "vegetation": 0.06,
        "vegetation_mixed": 0.21,
        "dry_vegetation": 0.15,
    },
    "bare": {
        "soil": 0.29,
        "pale_soil": 0.07,
        "wet_soil": 0.14,
        "sand_rock_bright": 0.20,
        "rock_urban": 0.10,
        "dark_rock_asphalt": 0.08,
        "crust": 0.06,
        "burnt": 0.06,
    },
    "urban": {"urban": 0.35, "town": 0.45, "roof": 0.20},
    "water": {
        "water": 0.60,
        "turbid_water": 0.26,
        "green_water": 0.10,
        "liquid_wet": 0.04,
    },
    "snow": {
        "snow_ice": 0.49,
        "snow_mixed": 0.24,
        "snow_canopy": 0.17,
        "sea_ice": 0.07,
        "melt_pond": 0.03,
    },
}

#: What a model for anywhere is trained on, and shares of the land by GLC-SHARE (Latham et al. 2014,
#: Global Land Cover SHARE, FAO): trees and mangroves 27.8 %, cropland 12.6, grassland 13.0, shrubs
#: 9.5, aquatic herbs 1.3, sparse plants 7.7 and bare soil 15.2, artificial 0.6, inland water 2.6,
#: snow and glaciers 9.7. ``world`` gives more to what is easily taken for cloud (towns, bright
#: ground, snow) and to water, for coasts. The other regions are round figures for archives of one
#: kind of land.
REGIONS: Final[Mapping[str, Mapping[str, float]]] = {
    region: dict(zip(GROUPS, shares, strict=True))
    for region, shares in {
        "world": (0.19, 0.31, 0.16, 0.06, 0.12, 0.16),
        "land": (0.278, 0.364, 0.229, 0.006, 0.026, 0.097),
        "temperate": (0.28, 0.40, 0.08, 0.08, 0.08, 0.08),
        "boreal": (0.40, 0.14, 0.06, 0.02, 0.14, 0.24),
        "tropics": (0.38, 0.34, 0.12, 0.05, 0.11, 0.0),
        "desert": (0.01, 0.15, 0.72, 0.06, 0.05, 0.01),
        "coast": (0.12, 0.20, 0.10, 0.06, 0.48, 0.04),
        "polar": (0.03, 0.10, 0.14, 0.01, 0.22, 0.50),
    }.items()
}
WORLD: Final = next(iter(REGIONS))

SNOW: Final = tuple(GROUPS["snow"])
#: Liquid water, which waves and foam lie on.
WATER: Final = tuple(GROUPS["water"])

#: Groups that lie beside each other on the ground; most often a ground has its own kind beside it.
NEIGHBOURS: Final[Mapping[str, Mapping[str, float]]] = {
    "forest": {
        "forest": 0.75, "crop_grass": 0.15, "bare": 0.04, "urban": 0.03, "water": 0.02, "snow": 0.01
    },
    "crop_grass": {"crop_grass": 0.75, "bare": 0.13, "forest": 0.07, "urban": 0.04, "water": 0.01},
    "bare": {"bare": 0.75, "crop_grass": 0.20, "water": 0.025, "snow": 0.025},
    "urban": {"urban": 0.65, "crop_grass": 0.20, "bare": 0.08, "forest": 0.07},
    "water": {"water": 0.75, "bare": 0.10, "crop_grass": 0.08, "forest": 0.04, "urban": 0.03},
    "snow": {"snow": 0.75, "bare": 0.13, "crop_grass": 0.05, "forest": 0.05, "water": 0.02},
}  # fmt: skip

#: Built land, of which no pixel is of one surface.
BUILT: Final = tuple(GROUPS["urban"])


def class_shares(region: str = WORLD) -> dict[str, float]:
    """Share of each class in a region; together 1.

    Raises
    ------
    SimulationError
        There is no such region.
    """
    if region not in REGIONS:
        raise SimulationError(
            f"unknown region {region!r}, expected one of {', '.join(REGIONS)}", "region"
        )
    return _spread(REGIONS[region])


def neighbour_shares(surface_class: str) -> dict[str, float]:
    """Share of each class in what lies beside a surface of a class; together 1."""
    group = next(name for name, classes in GROUPS.items() if surface_class in classes)
    return _spread(NEIGHBOURS[group])


def _spread(groups: Mapping[str, float]) -> dict[str, float]:
    """Shares of groups as shares of classes; none in the other groups."""
    return {
        name: part * groups.get(group, 0.0)
        for group, classes in GROUPS.items()
        for name, part in classes.items()
    }
