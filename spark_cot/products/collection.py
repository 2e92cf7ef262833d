"""The static STAC of a workspace: a collection, in it one of each tile, with catalogs of months.

::

    products/collection.json
    products/tile=31TCJ/collection.json
    products/tile=31TCJ/month=2024-03/catalog.json
    products/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819/item.json

Every link downwards tells the extent of what it leads to and, of folders, a digest of the scenes in
it. So a level is made of its own links, and what a run has left as it was is neither read nor
written again: an update costs what changed, and ends in the bytes of a fresh build. Source: STAC
specification 1.1, "Catalog", "Collection", and its best practices on static catalogs.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pystac
from pystac.extensions import projection
from pystac.utils import datetime_to_str, str_to_datetime

from spark_cot.products import rasters
from spark_cot.products.files import write_errors
from spark_cot.products.stac import (
    COLLECTION_ID,
    LICENSE,
    LICENSE_LINK,
    month_folder,
    month_of,
)
from spark_cot.storage import read_all, write_text
from spark_cot.tables.workspace import CATALOG_NAME, COLLECTION_NAME, ITEM_NAME

log = logging.getLogger(__name__)

_DESCRIPTION: Final = (
    "Cloud optical thickness at 550 nm of every pixel of Sentinel-2 L1C scenes, with its "
    "uncertainty and thickness classes. Contains modified Copernicus Sentinel data."
)
_PROVIDER: Final = pystac.Provider(
    "European Union/ESA/Copernicus",
    roles=[pystac.ProviderRole.PRODUCER, pystac.ProviderRole.LICENSOR],
    url="https://sentinels.copernicus.eu/web/sentinel/missions/sentinel-2",
)

#: Properties of items that collections summarize: none that a product made anew would change.
_SUMMARIZED: Final[Mapping[str, tuple[type, ...]]] = {
    "platform": (str,),
    "gsd": (int, float),
    "proj:code": (str,),
}

#: Fields of a link: the extent of what it leads to, and the digest of the scenes in it.
_EXTENT: Final = "spark_cot:extent"
_SCENES: Final = "spark_cot:scenes"

#: Tiles brought up to date at once: in an object store most of the time is waiting.
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Holding:
    """What a link leads to.

    Attributes
    ----------
    bbox : list[float]
        ``[west, south, east, north]``, degrees; west > east across the antimeridian.
    first, last : datetime
        Sensing times, UTC.
    summaries : mapping
        Sorted values of the summarized properties.

    Raises
    ------
    TypeError
        A value is of another type: files that others have changed are read here.
    """

    bbox: list[float]
    first: datetime
    last: datetime
    summaries: Mapping[str, list[Any]]

    def __post_init__(self) -> None:
        sound = len(self.bbox) == 4 and all(isinstance(edge, int | float) for edge in self.bbox)
        for name, kind in _SUMMARIZED.items():
            sound = sound and all(isinstance(value, kind) for value in self.summaries[name])
        if not sound:
            raise TypeError(f"not an extent: {self.bbox}, {self.summaries}")

    @classmethod
    def of_item(cls, content: bytes) -> Holding:
        """Of one scene; ValueError, KeyError or TypeError if that is no item of a scene product."""
        item = json.loads(content)
        facts = item["properties"]
        time = str_to_datetime(facts["datetime"]).astimezone(UTC)
        return cls(item["bbox"], time, time, {name: [facts[name]] for name in _SUMMARIZED})

    @classmethod
    def together(cls, parts: Sequence[Holding]) -> Holding:
        """Of all ``parts``, of which there is at least one."""
        return cls(
            bbox_union([part.bbox for part in parts]),
            min(part.first for part in parts),
            max(part.last for part in parts),
            {n: sorted({v for part in parts for v in part.summaries[n]}) for n in _SUMMARIZED},
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Holding:
        """As `to_json` gave it; raises like `of_item`."""
        first, last = (str_to_datetime(time).astimezone(UTC) for time in content["interval"])
        return cls(content["bbox"], first, last, {name: content[name] for name in _SUMMARIZED})

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        interval = [datetime_to_str(self.first), datetime_to_str(self.last)]
        return {"bbox": self.bbox, "interval": interval, **self.summaries}


@dataclass(frozen=True, slots=True)
class Link:
    """A link downwards; ``scenes`` is the digest of the scenes in a folder, empty for an item."""

    href: str
    title: str
    holding: Holding
    scenes: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Link:
        """As `to_json` gave it; raises like `Holding.of_item`."""
        holding = Holding.from_json(content[_EXTENT])
        return cls(content["href"], content["title"], holding, content.get(_SCENES, ""))

    def to_json(self) -> dict[str, Any]:
        """JSON values of the link."""
        digest = {_SCENES: self.scenes} if self.scenes else {}
        return {
            "rel": pystac.RelType.CHILD if self.scenes else pystac.RelType.ITEM,
            "href": self.href,
            "type": pystac.MediaType.JSON if self.scenes else pystac.MediaType.GEOJSON,
            "title": self.title,
            _EXTENT: self.holding.to_json(),
        } | digest


#: Links by their title: a tile, a month, a scene.
Links = dict[str, Link]
#: Folders of scenes below ``products`` by scene_id.
Folders = dict[str, PurePosixPath]


def update_collection(
    products: Path,
    folders: Iterable[PurePosixPath],
    changed: Iterable[str] = (),
    levels: Collection[str] | None = None,
) -> Path:
    """Let the STAC of a workspace tell of exactly these scenes; give the path of the collection.

    Equal items give equal bytes, whatever was there before and whichever order they came in. Where
    there is no scene, there is no file.

    Parameters
    ----------
    products : Path
        Folder of all scene products.
    folders : iterable of PurePosixPath
        Those of all scenes with an item, relative to ``products``.
    changed : iterable of str
        Scenes whose item is to be read although a catalog tells of one.
    levels : collection of str, optional
        Paths relative to ``products`` of the collections and catalogs that are there; a link alone
        does not tell whether what it leads to was lost. By default all are.

    Raises
    ------
    WorkspaceError
        A file cannot be read or written. What is no item of a scene product is logged, and left
        out.
    """
    tiles, changed = _by_tile_and_month(folders), frozenset(changed)
    path = products / COLLECTION_NAME
    with write_errors(products), ThreadPoolExecutor(_AT_ONCE) as pool:
        before = _content(path)
        known = _links(before)
        wanted = {
            tile: _digest_of_months(months, changed) if _is_there(levels, tile, months) else ""
            for tile, months in tiles.items()
        }
        due = _due(known, wanted)
        renew = partial(_renew_tile, products, changed, levels)
        made = pool.map(renew, due, [tiles.get(tile, {}) for tile in due])
        links = _with(known, due, made)
        _put(path, before, links, partial(_collection, COLLECTION_ID, rasters.COT.title, 0))
    return path


def _renew_tile(
    products: Path,
    changed: Collection[str],
    levels: Collection[str] | None,
    tile: str,
    months: Mapping[str, Folders],
) -> Link | None:
    """Bring the collection of a tile up to date; a link to it, None if it holds no scene."""
    path = products / f"tile={tile}" / COLLECTION_NAME
    before = _content(path)
    known = _links(before)
    wanted = {
        month: _digest_of(names, changed) if _is_there(levels, tile, [month]) else ""
        for month, names in months.items()
    }
    due = _due(known, wanted)
    made = [_renew_month(products, changed, tile, m, months.get(m, {})) for m in due]
    links = _with(known, due, made)
    title = f"{rasters.COT.title}, tile {tile}"
    _put(path, before, links, partial(_collection, f"{COLLECTION_ID}-{tile}", title, 1))
    return _link_to(f"./{path.parent.name}/{path.name}", tile, links)


def _renew_month(
    products: Path, changed: Collection[str], tile: str, month: str, scenes: Folders
) -> Link | None:
    """Bring the catalog of a month up to date; a link to it, None if it holds no scene."""
    path = products / f"tile={tile}" / month_folder(month) / CATALOG_NAME
    before = _content(path)
    known = _links(before)
    due = [
        name
        for name in sorted({*known, *scenes})
        if name in changed or name not in known or name not in scenes
    ]
    found = _read_items(products, {name: scenes[name] for name in due if name in scenes})
    links = _with(known, due, [found.get(name) for name in due])
    _put(path, before, links, partial(_catalog, tile, month))
    return _link_to(f"./{path.parent.name}/{path.name}", month, links)


def _read_items(products: Path, scenes: Folders) -> Links:
    """Links to these scenes, but to those that have no readable item."""
    paths = {products / folder / ITEM_NAME: name for name, folder in scenes.items()}
    links: Links = {}
    for path, content in read_all(paths).items():
        name, folder = paths[path], scenes[paths[path]]
        try:
            holding = Holding.of_item(content)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s is not the STAC item of a scene product: %r", path, error)
        else:
            href = f"../{PurePosixPath(*folder.parts[1:])}/{ITEM_NAME}"
            links[name] = Link(href, name, holding)
    return links


def _by_tile_and_month(folders: Iterable[PurePosixPath]) -> dict[str, dict[str, Folders]]:
    """From ``tile=31TCJ/date=2024-03-05/NAME``."""
    found: dict[str, dict[str, Folders]] = {}
    for folder in folders:
        tile, date, name = folder.parts
        months = found.setdefault(tile.removeprefix("tile="), {})
        months.setdefault(month_of(date.removeprefix("date=")), {})[name] = folder
    return found


def _is_there(levels: Collection[str] | None, tile: str, months: Iterable[str]) -> bool:
    """Whether the collection of a tile and the catalogs of these months of it are."""
    names = [COLLECTION_NAME, *(f"{month_folder(month)}/{CATALOG_NAME}" for month in months)]
    return levels is None or all(f"tile={tile}/{name}" in levels for name in names)


def _digest_of_months(months: Mapping[str, Folders], changed: Collection[str]) -> str:
    """What the link to a tile should say of its scenes; empty if one of them is changed."""
    parts = [_digest_of(months[month], changed) for month in sorted(months)]
    return _digest(parts) if all(parts) else ""


def _digest_of(names: Collection[str], changed: Collection[str]) -> str:
    """What the link to a month should say of its scenes; empty if one of them is changed."""
    return "" if any(name in changed for name in names) else _digest(sorted(names))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _due(known: Links, wanted: Mapping[str, str]) -> list[str]:
    """Children of which a level does not tell what it should."""
    names = sorted({*known, *wanted})
    return [n for n in names if n not in known or not wanted.get(n) or known[n].scenes != wanted[n]]


def _with(known: Links, due: Iterable[str], made: Iterable[Link | None]) -> Links:
    """The links of a level, ordered, once those that were due are made anew."""
    links = known | dict(zip(due, made, strict=True))
    return {name: link for name, link in sorted(links.items()) if link is not None}


def _link_to(href: str, title: str, links: Links) -> Link | None:
    """A link to the level with these links."""
    if not links:
        return None
    parts = list(links.values())
    digest = _digest(link.scenes or link.title for link in parts)
    return Link(href, title, Holding.together([link.holding for link in parts]), digest)


def _content(path: Path) -> bytes:
    return read_all([path]).get(path, b"")


def _links(content: bytes) -> dict[str, Link]:
    """Links downwards of a collection or catalog; none if it is missing, damaged or foreign."""
    try:
        links = json.loads(content)["links"]
        found = [Link.from_json(link) for link in links if link["rel"] in ("child", "item")]
    except (ValueError, KeyError, TypeError):
        return {}
    return {link.title: link for link in found}


def _put(path: Path, before: bytes, links: Links, form: Callable[[Links], dict[str, Any]]) -> None:
    """Write a level, unless it is there as it should be; without links it has no file."""
    if not links:
        path.unlink(missing_ok=True)
        return
    text = json.dumps(form(links), indent=2, ensure_ascii=False) + "\n"
    if text.encode() != before:
        write_text(path, text)


def _collection(name: str, title: str, depth: int, links: Links) -> dict[str, Any]:
    """JSON content of the collection of all tiles (``depth`` 0), or of a tile (1)."""
    held = Holding.together([link.holding for link in links.values()])
    interval: list[datetime | None] = [held.first, held.last]
    collection = pystac.Collection(
        name,
        _DESCRIPTION,
        pystac.Extent(pystac.SpatialExtent([held.bbox]), pystac.TemporalExtent([interval])),
        title=title,
        stac_extensions=[projection.SCHEMA_URI],
        license=LICENSE,
        keywords=["cloud", "optical thickness", "Sentinel-2", "MSI"],
        providers=[_PROVIDER],
        summaries=pystac.Summaries({**held.summaries, "instruments": ["msi"]}, maxcount=120),
    )
    content = _linked(collection, depth, links)
    return content | {"links": [LICENSE_LINK, *content["links"]]}


def _catalog(tile: str, month: str, links: Links) -> dict[str, Any]:
    """JSON content of the catalog of a tile's month."""
    catalog = pystac.Catalog(
        f"{COLLECTION_ID}-{tile}-{month}",
        f"Scenes of tile {tile} in {month}",
        title=f"{rasters.COT.title}, tile {tile}, {month}",
    )
    return _linked(catalog, 2, links)


def _linked(level: pystac.Catalog, depth: int, links: Links) -> dict[str, Any]:
    """The JSON content of a level so far below the uppermost one, with links up and down."""
    up = {"root": "../" * depth or "./"} | ({"parent": "../"} if depth else {})
    above = [
        {"rel": rel, "href": f"{folder}{COLLECTION_NAME}", "type": pystac.MediaType.JSON}
        for rel, folder in up.items()
    ]
    content: dict[str, Any] = level.to_dict(include_self_link=False, transform_hrefs=False)
    return content | {"links": [*above, *(link.to_json() for link in links.values())]}


def bbox_union(boxes: Sequence[Sequence[float]]) -> list[float]:
    """``[west, south, east, north]`` around ``boxes``; west > east if one of them has so.

    Boxes that cross the antimeridian are united the short way round: outside of the widest gap.
    """
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    if all(box[0] <= box[2] for box in boxes):
        return [min(box[0] for box in boxes), south, max(box[2] for box in boxes), north]
    spans = sorted((box[0], box[2] + 360 * (box[0] > box[2])) for box in boxes)
    reach = max(east for _, east in spans) - 360
    gaps = []
    for west, east in spans:
        gaps.append((west - reach, west, reach))
        reach = max(reach, east)
    widest, west, east = max(gaps)
    if widest <= 0:
        return [-180.0, south, 180.0, north]
    return [west, south, (east + 180) % 360 - 180, north]
