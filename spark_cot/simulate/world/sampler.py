"""The laws that atmospheres, clouds, surfaces and angles are drawn from.

Every quantity has a substream of its own, keyed by (seed, block, name): a change of one law leaves
the numbers of all others as they were. Each quantity is drawn for every row, used or not.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.simulate.bands import PLATFORMS
from spark_cot.simulate.gas.atmosphere import PROFILES
from spark_cot.simulate.world.cover import BUILT, neighbour_shares
from spark_cot.simulate.world.states import CLEAR, ICE, ICE_OVER_WATER, MIXED_PHASE, WATER, States
from spark_cot.simulate.world.surfaces import WORLD, class_shares, surface_library

#: Rows drawn together: row i belongs to block ``i // BLOCK_ROWS``, whatever the partitioning.
BLOCK_ROWS: Final = 256

SPLITS: Final = ("train", "val", "test")
SPLIT_SHARES: Final = (0.8, 0.1, 0.1)

MAX_COT: Final = 50.0
MIN_COT: Final = 0.05
SUN_ZENITH: Final = (18.0, 80.0)
VIEW_ZENITH: Final = 11.5
FOG_SHARE: Final = 0.08
PARTIAL_SHARE: Final = 0.10
#: Cloudy rows whose thickness is drawn evenly in its logarithm; of the others it is even in itself.
LOGARITHMIC_SHARE: Final = 0.70

#: Water clouds that are low: boundary-layer clouds are most of them (Warren et al. 1988, NCAR
#: TN-317+STR), and the hardest to tell from the ground by their thickness.
LOW_SHARE: Final = 0.40
#: Cloudy rows whose cloud has sides in sun or in shade, and the factors on its reflectance.
SIDES_SHARE: Final = 0.15
SIDES_GAIN: Final = (0.6, 1.8)
#: Rows with smoke or dust aloft.
PLUME_SHARE: Final = 0.06
#: Rows over two unrelated surfaces, and over two that lie beside each other; built land has
#: always something beside it.
UNRELATED_SHARE: Final = 0.10
NEIGHBOUR_SHARE: Final = 0.50
#: Rows of two surfaces whose shares differ among the cells of 10, 20 and 60 m; built land always.
UNEVEN_SHARE: Final = 0.5

_Floats = NDArray[np.float64]
_Ints = NDArray[np.intp]


class _Draws:
    """Random numbers of one block, one counter-based stream per named quantity."""

    def __init__(self, seed: int, block: int) -> None:
        self._seed, self._block = seed, block

    def _stream(self, name: str) -> np.random.Generator:
        key = (self._block, zlib.crc32(name.encode()))
        sequence = np.random.SeedSequence(entropy=self._seed, spawn_key=key)
        return np.random.Generator(np.random.Philox(sequence))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> _Floats:
        return np.asarray(low + (high - low) * self._stream(name).random(BLOCK_ROWS))

    def lognormal(self, name: str, median: float, sigma: float, low: float, high: float) -> _Floats:
        normal = self._stream(name).standard_normal(BLOCK_ROWS)
        return np.asarray(np.clip(median * np.exp(sigma * normal), low, high))

    def choice(self, name: str, shares: tuple[float, ...]) -> _Ints:
        edges = np.cumsum(shares) / np.sum(shares)
        chosen = np.searchsorted(edges, self.uniform(name), side="right")
        return np.minimum(chosen, len(shares) - 1)


def draw_block(seed: int, block: int, region: str = WORLD) -> States:
    """The :data:`BLOCK_ROWS` states of one block; a function of its arguments alone.

    Raises
    ------
    SimulationError
        There is no such region.
    """
    draws = _Draws(seed, block)
    kind = draws.choice("cloud_type", (0.25, 0.25, 0.25, 0.125, 0.125))
    height = _surface_height(draws)
    water_top, water_base = _water_heights(draws, kind, height)
    ice_top, ice_base = _ice_heights(draws, np.where(kind == ICE_OVER_WATER, water_top, height))
    water_cot, ice_cot = _optical_thickness(draws, kind)
    surface, second = _surfaces(draws, region)
    shares = _shares(draws, surface, second)
    plume = _plume(draws, height)
    return States(
        split=draws.choice("split", SPLIT_SHARES),
        platform=draws.choice("platform", (1.0,) * len(PLATFORMS)),
        profile=draws.choice("profile", (1.0,) * len(PROFILES)),
        cloud_type=kind,
        water_cot=water_cot,
        ice_cot=ice_cot,
        cloud_fraction=_cloud_fraction(draws, kind),
        cloud_gain=_cloud_gain(draws, kind),
        sun_zenith=_sun_zenith(draws),
        view_zenith=draws.uniform("view_zenith", 0, VIEW_ZENITH),
        relative_azimuth=draws.uniform("relative_azimuth", 0, 180),
        water_scale=draws.lognormal("water_scale", 1.0, 0.4, 0.2, 3.0),
        ozone=draws.uniform("ozone", 240, 460),
        surface_height=height,
        water_top=water_top,
        water_base=water_base,
        ice_top=ice_top,
        ice_base=ice_base,
        effective_radius=draws.lognormal("effective_radius", 10, 0.4, 4, 26),
        ice_diameter=draws.lognormal("ice_diameter", 55, 0.4, 15, 140),
        ice_asymmetry=draws.uniform("ice_asymmetry", 0.73, 0.80),
        aerosol_depth=draws.lognormal("aerosol_depth", 0.09, 0.8, 0.005, 1.2),
        angstrom=draws.uniform("angstrom", 0.3, 1.9),
        aerosol_albedo=draws.uniform("aerosol_albedo", 0.86, 0.99),
        aerosol_asymmetry=draws.uniform("aerosol_asymmetry", 0.58, 0.74),
        **plume,
        surface=surface,
        second_surface=second,
        **shares,
        surface_gain=draws.lognormal("surface_gain", 1.0, 0.08, 0.0, np.inf),
        wind_speed=draws.lognormal("wind_speed", 5.0, 0.5, 0.5, 16.0),
    )


def _sun_zenith(draws: _Draws) -> _Floats:
    """Uniform in the cosine."""
    high, low = np.cos(np.deg2rad(SUN_ZENITH))
    return np.asarray(np.rad2deg(np.arccos(draws.uniform("sun_zenith", low, high))))


def _surface_height(draws: _Draws) -> _Floats:
    """Lowland 70 %, hills 25 %, mountains 5 %."""
    zone, within = draws.uniform("height_zone"), draws.uniform("height")
    low = np.select([zone < 0.70, zone < 0.95], [0.0, 0.5], 2.5)
    high = np.select([zone < 0.70, zone < 0.95], [0.5, 2.5], 4.5)
    return np.asarray(low + (high - low) * within)


def _water_heights(draws: _Draws, kind: _Ints, surface: _Floats) -> tuple[_Floats, _Floats]:
    """Top and base of the layer with droplets: cloud, mixed-phase cloud or fog on the ground."""
    mixed = kind == MIXED_PHASE
    u, thickness = draws.uniform("water_top"), draws.uniform("water_thickness")
    low = draws.uniform("water_low") < LOW_SHARE
    droplets = np.where(low, 0.3 + 1.5 * u, 0.6 + 3.9 * u)
    top = surface + np.where(mixed, 1.5 + 5.5 * u, droplets)
    deep = np.where(mixed, 0.3 + 2.7 * thickness, 0.2 + 1.8 * thickness)
    base = np.maximum(surface + 0.1, top - deep)
    fog = (kind == WATER) & (draws.uniform("fog") < FOG_SHARE)
    fog_top = surface + draws.uniform("fog_depth", 0.05, 0.5)
    return np.where(fog, fog_top, top), np.where(fog, surface, base)


def _ice_heights(draws: _Draws, floor: _Floats) -> tuple[_Floats, _Floats]:
    """Top and base of the ice cloud, above the ground and above a water cloud below it."""
    top = np.maximum(draws.uniform("ice_top", 6, 14), floor + 2)
    base = np.maximum(top - draws.uniform("ice_thickness", 0.4, 4), floor + 0.3)
    return np.maximum(top, base + 0.3), base


def _optical_thickness(draws: _Draws, kind: _Ints) -> tuple[_Floats, _Floats]:
    """Water and ice optical thickness: mostly log-uniform for thin cloud, else uniform."""
    u = draws.uniform("cot")
    log_uniform = MIN_COT * (MAX_COT / MIN_COT) ** u
    cot = np.where(draws.uniform("cot_law") < LOGARITHMIC_SHARE, log_uniform, MAX_COT * u)
    both = np.isin(kind, (ICE_OVER_WATER, MIXED_PHASE))
    share = np.where(both, draws.uniform("ice_share", 0.05, 0.95), kind == ICE)
    cot = np.where(kind == CLEAR, 0.0, cot)
    return cot * (1 - share), cot * share


def _cloud_fraction(draws: _Draws, kind: _Ints) -> _Floats:
    """Share of the pixel under cloud; 0 for clear rows."""
    partial = draws.uniform("partial") < PARTIAL_SHARE
    cover = np.where(partial, draws.uniform("cover", 0.1, 0.95), 1.0)
    return np.where(kind == CLEAR, 0.0, cover)


def _cloud_gain(draws: _Draws, kind: _Ints) -> _Floats:
    """Factor on the reflectance of thick cloud; 1 for most."""
    sides = (kind != CLEAR) & (draws.uniform("cloud_sides") < SIDES_SHARE)
    return np.where(sides, draws.uniform("cloud_gain", *SIDES_GAIN), 1.0)


def _plume(draws: _Draws, surface: _Floats) -> dict[str, _Floats]:
    """Smoke or dust aloft, half each: dust is coarse and bright in the red, smoke fine and darker.

    Ranges after Dubovik et al. (2002, J. Atmos. Sci. 59, 590), table 1.
    """
    present = draws.uniform("plume") < PLUME_SHARE
    dust = draws.uniform("plume_dust") < 0.5
    u, v, w = (draws.uniform(f"plume_{name}") for name in ("angstrom", "albedo", "asymmetry"))
    return {
        "plume_depth": present * draws.lognormal("plume_depth", 0.35, 0.8, 0.02, 2.5),
        "plume_top": surface + draws.uniform("plume_top", 2.5, 7.0),
        "plume_angstrom": np.where(dust, 0.4 * u, 1.2 + 0.9 * u),
        "plume_albedo": np.where(dust, 0.90 + 0.08 * v, 0.82 + 0.15 * v),
        "plume_asymmetry": np.where(dust, 0.66 + 0.10 * w, 0.54 + 0.14 * w),
    }


def _surfaces(draws: _Draws, region: str) -> tuple[_Ints, _Ints]:
    """Two rows of the library; pure surfaces name one row twice."""
    library, shares = surface_library(), class_shares(region)
    first, unrelated = (
        library.draw(shares, draws.uniform(f"{name}_class"), draws.uniform(f"{name}_member"))
        for name in ("surface", "second_surface")
    )
    law = draws.uniform("surface_mixture")
    second = np.where(law < UNRELATED_SHARE, unrelated, _neighbours(draws, first))
    pure = (law >= UNRELATED_SHARE + NEIGHBOUR_SHARE) & ~_built(first)
    return first, np.where(pure, first, second)


def _built(surface: _Ints) -> NDArray[np.bool_]:
    return np.isin(surface_library().classes[surface], BUILT)


def _shares(draws: _Draws, first: _Ints, second: _Ints) -> dict[str, _Floats]:
    """Shares of the first surface in cells of each size: a roof fills one of 10 m, not of 60 m."""
    share = draws.uniform("surface_share")
    uneven = (draws.uniform("surface_uneven") < UNEVEN_SHARE) | _built(first)
    shares = {"surface_share": share}
    for size in ("20m", "60m"):
        other = draws.uniform(f"surface_share_{size}")
        pull = uneven * draws.uniform(f"surface_pull_{size}")
        shares[f"surface_share_{size}"] = share + pull * (other - share)
    return {name: np.where(first == second, 1.0, values) for name, values in shares.items()}


def _neighbours(draws: _Draws, first: _Ints) -> _Ints:
    """For each surface one of those that lie beside its like."""
    library = surface_library()
    kind, member = draws.uniform("neighbour_class"), draws.uniform("neighbour_member")
    second = np.empty_like(first)
    classes = library.classes[first]
    for name in np.unique(classes):
        mine = classes == name
        second[mine] = library.draw(neighbour_shares(str(name)), kind[mine], member[mine])
    return second
