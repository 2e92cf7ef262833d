"""What a product says, read twice: by the package, and from the metadata by other means.

`observe` is the package. `stated` follows the metadata of a damaged product with plain NumPy and
none of the package's code, from digital numbers that are known beforehand, so that a change of
meaning (another offset, another angle) is told from a wrong number.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from spark_cot.errors import SparkCotError
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.safe import (
    Downsampling,
    GranuleRef,
    blocks,
    check_images,
    discover,
    open_scene,
    read_block,
    scene_grid,
    scenes_of,
)

NODATA = -32768
SATURATED = 32767

#: What discovery says of an archive, if it has no more to say.
NOTHING = "no Sentinel-2 L1C product found"


@dataclass(frozen=True, eq=False)
class Observation:
    """Everything of a scene that reaches the tables.

    ``reflectance`` int16 (13, ny, nx), ``angles`` float32 (3, ny, nx), and the scene index.
    """

    reflectance: NDArray[np.int16]
    angles: NDArray[np.float32]
    facts: dict[str, Any]


def observe(source: Path, resolution: int, downsampling: Downsampling) -> list[Observation | str]:
    """Every scene at ``source`` as the package reads it, or the message of its refusal.

    Messages too are what was passed over and may hold a product.
    """
    seen: list[Observation | str] = []
    try:
        discovery = discover(source)
        seen += [f"{item.path}: {item.reason}" for item in discovery.unseen]
        for product in discovery.products:
            seen += [_observe_scene(g, resolution, downsampling) for g in scenes_of(product)]
    except SparkCotError as error:
        seen.append(str(error))
    return seen


def _observe_scene(
    granule: GranuleRef, resolution: int, downsampling: Downsampling
) -> Observation | str:
    try:
        scene = open_scene(granule)
        check_images(scene)
        grid = scene_grid(scene, resolution)
        reflectance = np.full((len(BAND_IDS), *grid.shape), NODATA, np.int16)
        angles = np.full((3, *grid.shape), np.nan, np.float32)
        for window in blocks(scene, grid):
            block = read_block(scene, grid, window, downsampling)
            reflectance[:, *window.slices], _, angles[:, *window.slices] = block.tile(window)
    except SparkCotError as error:
        return str(error)
    names = ("scene_id", "satellite", "tile", "sensing_time", "generation_time", "baseline")
    facts = {name: getattr(scene, name) for name in (*names, "orbit", "crs", "cloud_cover")}
    facts["cloud_cover"] = _known(scene.cloud_cover)
    facts |= {"offsets": scene.offsets, "quantification": scene.quantification}
    place = ("left", "top", "resolution", "shape")
    facts |= {name: getattr(grid, name) for name in place} | {"grid_crs": grid.crs}
    return Observation(reflectance, angles, facts)


def _known(number: float) -> float | None:
    """The number, or None for NaN, which is equal to nothing."""
    return None if np.isnan(number) else number


def same(found: Observation, expected: Observation, tolerance: int = 0) -> bool:
    """Whether facts are equal, reflectance within ``tolerance`` and angles within 0.011 degrees."""
    return (
        found.facts == expected.facts
        and same_reflectance(found, expected, tolerance)
        and bool((np.abs(found.angles - expected.angles) <= 0.011).all())
    )


def same_reflectance(found: Observation, expected: Observation, tolerance: int = 0) -> bool:
    """Whether nodata is at the same places and the rest within ``tolerance`` stored units."""
    if found.reflectance.shape != expected.reflectance.shape:
        return False
    difference = found.reflectance.astype(int) - expected.reflectance
    nodata = (found.reflectance == NODATA) == (expected.reflectance == NODATA)
    return bool(nodata.all() and np.abs(difference).max() <= tolerance)


def stated(
    product_xml: bytes, tile_xml: bytes, numbers: dict[str, NDArray[np.uint16]], was: Observation
) -> Observation:
    """What the metadata make of digital numbers; ``was`` gives the grid, which images decide.

    Raises ValueError, TypeError, LookupError or an XML error where the metadata mean nothing.
    """
    product, tile = fromstring(product_xml), fromstring(tile_xml)
    offsets = _stated_offsets(product)
    quantification = float(_one(product, "QUANTIFICATION_VALUE"))
    satellite = "S2" + _one(product, "SPACECRAFT_NAME").removeprefix("Sentinel-2")
    start = _time(_one(product, "DATATAKE_SENSING_START"))
    sensed = _any(tile, "SENSING_TIME")
    mgrs = _one(tile, "TILE_ID").split("_T")[-1][:5]
    cloud = _any(tile, "CLOUDY_PIXEL_PERCENTAGE") or _any(product, "Cloud_Coverage_Assessment")
    facts = was.facts | {
        "scene_id": f"{satellite}_T{mgrs}_{start:%Y%m%dT%H%M%S}",
        "satellite": satellite,
        "tile": mgrs,
        "sensing_time": _time(sensed) if sensed else start,
        "generation_time": _time(_one(product, "GENERATION_TIME")),
        "baseline": _one(product, "PROCESSING_BASELINE"),
        "orbit": int(float(_one(product, "SENSING_ORBIT_NUMBER"))),
        "crs": _one(tile, "HORIZONTAL_CS_CODE").upper(),
        "cloud_cover": float(cloud) if cloud else None,
        "offsets": offsets,
        "quantification": quantification,
    }
    shape, special = was.facts["shape"], _stated_specials(product)
    reflectance = np.stack(
        [
            _calibrated(numbers[band.id], shape, offset, quantification, *special)
            for band, offset in zip(BANDS, offsets, strict=True)
        ]
    )
    return Observation(reflectance, _stated_angles(tile, was), facts)


def _stated_offsets(product: Element) -> tuple[float, ...]:
    pairs = [(e.get("band_id"), float(e.text or "")) for e in _all(product, "RADIO_ADD_OFFSET")]
    if not pairs and _one(product, "PROCESSING_BASELINE") < "04.00":
        return (0.0,) * len(BANDS)
    if sorted(int(float(str(band))) for band, _ in pairs) != list(range(len(BANDS))):
        raise ValueError("offsets are not one for each band")
    by_band = {int(float(str(band))): offset for band, offset in pairs}
    return tuple(by_band[i] for i in range(len(BANDS)))


def _stated_specials(product: Element) -> tuple[set[int], set[int]]:
    """Numbers that are nodata, and those that are saturated."""
    nodata, saturated = {0}, set[int]()
    for stated in _all(product, "Special_Values"):
        named = _one(stated, "SPECIAL_VALUE_TEXT").upper()
        group = saturated if named == "SATURATED" else nodata
        group.add(int(float(_one(stated, "SPECIAL_VALUE_INDEX"))))
    return nodata, saturated | ({32_767, 65_535} - nodata)


def _calibrated(
    dn: NDArray[np.uint16],
    shape: tuple[int, int],
    offset: float,
    quantification: float,
    nodata: set[int],
    saturated: set[int],
) -> NDArray[np.int16]:
    """Cell means of the measured samples, or replicated samples, as reflectance x 10000."""
    factor = max(1, dn.shape[0] // shape[0])
    cells = dn.reshape(dn.shape[0] // factor, factor, dn.shape[1] // factor, factor).astype(float)
    valid = (~np.isin(cells, list(nodata))).sum(axis=(1, 3)) * 2 >= factor**2
    ended = np.isin(cells, list(saturated)).any(axis=(1, 3))
    cells[np.isin(cells, list(nodata | saturated))] = np.nan
    mean = np.nansum(cells, axis=(1, 3)) / np.maximum((~np.isnan(cells)).sum(axis=(1, 3)), 1)
    stored = np.clip(np.rint((mean + offset) * (10_000 / quantification)), NODATA + 1, SATURATED)
    stored = np.where(ended, SATURATED, stored)
    stored = np.where(valid, stored, NODATA).astype(np.int16)
    repeat = shape[0] // stored.shape[0]
    return stored.repeat(repeat, axis=0).repeat(repeat, axis=1)


def _stated_angles(tile: Element, was: Observation) -> NDArray[np.float32]:
    [sun_grid] = _all(tile, "Sun_Angles_Grid")
    bands = defaultdict(list)
    for grid in _all(tile, "Viewing_Incidence_Angles_Grids"):
        bands[int(float(str(grid.get("bandId"))))].append(_vectors(grid))
    view = _mean([_mean(vectors) for vectors in bands.values()])
    sun = _vectors(sun_grid, lowest=np.pi)
    left, top = float(_one(tile, "ULX")), float(_one(tile, "ULY"))
    resolution = was.facts["resolution"]
    ny, nx = was.facts["shape"]
    y = top - was.facts["top"] + (np.arange(ny) + 0.5) * resolution
    x = was.facts["left"] - left + (np.arange(nx) + 0.5) * resolution
    steps = [float(_one(_all(sun_grid, "Zenith")[0], f"{axis}_STEP")) for axis in ("ROW", "COL")]
    s, v = (_at(vectors, y / steps[0], x / steps[1]) for vectors in (sun, view))
    turn = np.abs(np.arctan2(v[..., 0], v[..., 1]) - np.arctan2(s[..., 0], s[..., 1]))
    turn = np.degrees(np.minimum(turn, 2 * np.pi - turn))
    zeniths = [np.degrees(np.arccos(u[..., 2] / np.linalg.norm(u, axis=-1))) for u in (s, v)]
    return np.stack([*zeniths, 180 - turn]).astype(np.float32)


def _at(vectors: NDArray[np.float64], y: Any, x: Any) -> NDArray[np.float64]:
    ny, nx = vectors.shape[:2]
    between = RegularGridInterpolator((np.arange(ny), np.arange(nx)), vectors)
    points: NDArray[np.float64] = between(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1))
    return points


def _vectors(grid: Element, lowest: float = np.pi / 2) -> NDArray[np.float64]:
    """Unit vectors (ny, nx, 3) of a grid's zenith and azimuth."""
    theta, phi = (
        np.radians([[float(w) for w in (row.text or "").split()] for row in _all(angle, "VALUES")])
        for angle in (_all(grid, "Zenith")[0], _all(grid, "Azimuth")[0])
    )
    if theta.min() < 0 or theta.max() > lowest or np.abs(phi).max() > 2 * np.pi:
        raise ValueError("no such angle")
    level = np.sin(theta)
    return np.stack([level * np.sin(phi), level * np.cos(phi), np.cos(theta)], axis=-1)


def _mean(vectors: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    total = np.nansum(vectors, axis=0)
    return total / np.linalg.norm(total, axis=-1, keepdims=True)


def _all(root: Element, name: str) -> list[Element]:
    return [e for e in root.iter() if e.tag.rpartition("}")[2] == name]


def _any(root: Element, name: str) -> str:
    texts = {(e.text or "").strip() for e in _all(root, name)}
    if len(texts) > 1:
        raise ValueError(f"{name} is stated as {texts}")
    return texts.pop() if texts else ""


def _one(root: Element, name: str) -> str:
    text = _any(root, name)
    if not text:
        raise LookupError(name)
    return text


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
