"""The static STAC collection over all scene products of a workspace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
from pystac.extensions import eo, projection
from pystac.utils import str_to_datetime

from spark_cot.errors import WorkspaceError
from spark_cot.products import rasters
from spark_cot.products.files import write_errors
from spark_cot.products.stac import COLLECTION_ID
from spark_cot.storage import find, read_all, write_text
from spark_cot.tables.workspace import COLLECTION_NAME, ITEM_NAME

_DESCRIPTION = (
    "Cloud optical thickness at 550 nm of every pixel of Sentinel-2 L1C scenes, with its "
    "uncertainty and thickness classes. Contains modified Copernicus Sentinel data."
)

_SUMMARIZED = ("platform", "gsd", "proj:code", "eo:cloud_cover")


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the collection needs of an item."""

    id: str
    time: datetime
    bbox: list[float]
    facts: dict[str, Any]


def write_collection(products: Path) -> Path:
    """Write ``collection.json`` with a link to every item below ``products``; give its path.

    Scenes appear in the order of their folders, so equal products give equal bytes.

    Raises
    ------
    WorkspaceError
        If there is no item, one cannot be read, or the collection cannot be written.
    """
    items = read_all(find(products, ITEM_NAME))
    if not items:
        raise WorkspaceError(
            "holds no scene product", str(products), "Run `spark-cot products` first"
        )
    scenes = {path: _scene(path, content) for path, content in items.items()}
    collection = _collection(list(scenes.values()))
    for path, scene in scenes.items():
        link = pystac.Link(
            pystac.RelType.ITEM,
            f"./{path.relative_to(products).as_posix()}",
            media_type=pystac.MediaType.GEOJSON,
            title=scene.id,
        )
        collection.add_link(link)
    content = collection.to_dict(include_self_link=False, transform_hrefs=False)
    content["links"].insert(0, {"rel": "root", "href": f"./{COLLECTION_NAME}"})
    target = products / COLLECTION_NAME
    with write_errors(target):
        write_text(target, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return target


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


def _scene(path: Path, content: bytes) -> _Scene:
    try:
        item = json.loads(content)
        facts = item["properties"]
        time = str_to_datetime(facts["datetime"]).astimezone(UTC)
        return _Scene(item["id"], time, item["bbox"], {name: facts[name] for name in _SUMMARIZED})
    except (ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"is not the STAC item of a scene product: {error!r}",
            str(path),
            "Remove its folder and run `spark-cot products` again",
        ) from error


def _collection(scenes: Sequence[_Scene]) -> pystac.Collection:
    times = [scene.time for scene in scenes]
    interval: list[datetime | None] = [min(times), max(times)]
    return pystac.Collection(
        COLLECTION_ID,
        _DESCRIPTION,
        pystac.Extent(
            pystac.SpatialExtent([bbox_union([scene.bbox for scene in scenes])]),
            pystac.TemporalExtent([interval]),
        ),
        title=rasters.COT.title,
        stac_extensions=[eo.SCHEMA_URI, projection.SCHEMA_URI],
        license="other",
        keywords=["cloud", "optical thickness", "Sentinel-2", "MSI"],
        providers=[
            pystac.Provider(
                "European Union/ESA/Copernicus",
                roles=[pystac.ProviderRole.PRODUCER, pystac.ProviderRole.LICENSOR],
                url="https://sentinels.copernicus.eu/web/sentinel/missions/sentinel-2",
            )
        ],
        summaries=_summaries(scenes),
    )


def _summaries(scenes: Sequence[_Scene]) -> pystac.Summaries:
    found = {name: sorted({scene.facts[name] for scene in scenes}) for name in _SUMMARIZED}
    cover = found.pop("eo:cloud_cover")
    span = {"minimum": cover[0], "maximum": cover[-1]}
    return pystac.Summaries(found | {"instruments": ["msi"], "eo:cloud_cover": span}, maxcount=120)
