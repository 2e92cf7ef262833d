"""STAC items: what a scene product holds, where and when, and how it was made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pystac
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.grid import GridExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.sat import SatExtension
from pystac.utils import datetime_to_str

from spark_cot import __version__
from spark_cot.commit.files import FileRecord
from spark_cot.commit.ledger import Made
from spark_cot.commit.rebuild import SHA256_MULTIHASH
from spark_cot.models.classes import CloudClass
from spark_cot.models.provenance import Provenance
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.products import rasters
from spark_cot.products.cog import Raster
from spark_cot.products.summary import RasterStatistics, class_cover, outside_cover
from spark_cot.safe.naming import product_name
from spark_cot.storage import uri_of
from spark_cot.tables.footprints import box, geojson_of
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import CATALOG_NAME, COLLECTION_NAME, QUICKLOOK_NAME

COLLECTION_ID: Final = "cloud-optical-thickness"

#: None of those that have a name: the terms are the European Union's own.
LICENSE: Final = "other"
LICENSE_LINK: Final = {
    "rel": pystac.RelType.LICENSE.value,
    "href": "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
    "title": "Legal notice on the use of Copernicus Sentinel data",
}

# Extensions that pystac has no class of in these versions; their fields are plain values.
_EXTENSIONS: Final = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("processing/v1.1.0", "sentinel-2/v1.0.0", "eo/v2.0.0", "raster/v2.0.0")
)

_CREATED: Final = re.compile(rb'"created": "[^"]*"')

#: Names of the bands where they are others than that of the raster.
_BAND_NAMES: Final = {
    rasters.PROBABILITY.name: ("p_thin", "p_thick"),
    rasters.MASKED.name: BAND_IDS,
}


def scene_item(
    record: SceneRecord,
    files: Mapping[str, FileRecord],
    counts: Mapping[CloudClass, int],
    outside: Mapping[int, int],
    statistics: Mapping[str, Sequence[RasterStatistics]],
    provenance: Provenance,
    made: Made | None = None,
    created: datetime | None = None,
) -> pystac.Item:
    """STAC item of a scene product.

    Parameters
    ----------
    record : SceneRecord
    files : Mapping[str, FileRecord]
        The COGs and the quicklook by their names; the masked reflectance is included if it is
        among them.
    counts : Mapping[CloudClass, int]
        Pixels of each class.
    outside : Mapping[int, int]
        Pixels of each code of ``rasters.OUTSIDE``.
    statistics : Mapping[str, Sequence[RasterStatistics]]
        By asset key, of the continuous rasters.
    provenance : Provenance
    made : Made, optional
        What the product is a result of, for those who rebuild the state of a workspace from it.
    created : datetime, optional
        When the item is made, by default now; whole seconds are kept.
    """
    item = pystac.Item(
        id=record.scene_id,
        geometry=geojson_of(record.footprint),
        bbox=list(box(record.footprint)),
        datetime=record.sensing_time,
        properties=_properties(record, counts, outside, provenance),
        stac_extensions=[*_EXTENSIONS],
        collection=COLLECTION_ID,
    )
    item.common_metadata.created = (created or datetime.now(UTC)).replace(microsecond=0)
    item.add_links([pystac.Link.from_dict(LICENSE_LINK), *_derived_from(record)])
    if made is not None:
        item.properties |= {"spark_cot:key": made.key, "spark_cot:made": made.to_dict()}
    _place(item, record)
    for raster in rasters.RASTERS:
        if raster.filename in files:
            _add_raster(item, raster, statistics.get(raster.name, ()))
    _describe_classes(item, rasters.CLOUD_CLASS, counts)
    _describe_classes(item, rasters.OUTSIDE, outside)
    quicklook = pystac.Asset(
        f"./{QUICKLOOK_NAME}",
        "True colour, optical thickness and classes",
        media_type=pystac.MediaType.PNG,
        roles=["thumbnail", "overview"],
    )
    item.add_asset("quicklook", quicklook)
    _add_file_facts(item.assets.values(), files)
    return item


def item_content(item: pystac.Item, folder: Path, products: Path) -> dict[str, Any]:
    """JSON content of an item in ``folder`` that belongs to the collection in ``products``."""
    content: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    _, date, _ = folder.relative_to(products).parts
    month = month_folder(month_of(date.removeprefix("date=")))
    parents = {
        "root": f"../../../{COLLECTION_NAME}",
        "parent": f"../../{month}/{CATALOG_NAME}",
        "collection": f"../../../{COLLECTION_NAME}",
    }
    links = [
        {"rel": rel, "href": href, "type": pystac.MediaType.JSON.value}
        for rel, href in parents.items()
    ]
    return content | {"links": links + content["links"]}


def timeless(text: bytes) -> bytes:
    """The text of an item without the time when it was made: equal for equal products."""
    return _CREATED.sub(b'"created": ""', text, count=1)


def month_of(date: str) -> str:
    """``2024-03`` of ``2024-03-05``."""
    return date[:7]


def month_folder(month: str) -> str:
    """Name of the folder, in that of a tile, of the catalog of a month."""
    return f"month={month}"


def _properties(
    record: SceneRecord,
    counts: Mapping[CloudClass, int],
    outside: Mapping[int, int],
    provenance: Provenance,
) -> dict[str, Any]:
    cover = {code: round(share, 4) for code, share in class_cover(counts).items()}
    thresholds = provenance.thresholds
    products = _products(record).values()
    properties: dict[str, Any] = {
        "title": f"Cloud optical thickness, tile {record.tile}, {record.date}",
        "platform": record.satellite.lower().replace("s2", "sentinel-2"),
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": record.resolution,
        "processing:level": "L2",
        "processing:software": {"spark_cot": __version__},
        "processing:lineage": (
            f"Cloud optical thickness at 550 nm of every pixel, by model {provenance.model} "
            f"({provenance.model_hash}) from the Sentinel-2 L1C "
            f"product{'s' * (len(products) > 1)} {' and '.join(products)}"
        ),
        "license": LICENSE,
        "eo:cloud_cover": round(100 - cover[CloudClass.CLEAR], 4),
        "s2:product_uri": record.product,
        "s2:processing_baseline": record.baseline,
        "s2:mgrs_tile": record.tile,
        "spark_cot:model": provenance.model,
        "spark_cot:model_hash": provenance.model_hash,
        "spark_cot:thin_threshold": thresholds.thin,
        "spark_cot:thick_threshold": thresholds.thick,
        "spark_cot:valid_pixels": sum(counts.values()) - counts[CloudClass.NODATA],
    }
    if record.datatake:
        properties["s2:datatake_id"] = record.datatake
    if record.generation_time is not None:
        properties["s2:generation_time"] = datetime_to_str(record.generation_time)
    if provenance.mask_above is not None:
        properties["spark_cot:mask_above"] = provenance.mask_above
    return (
        properties
        | {f"spark_cot:{code.style.name}_cover": cover[code] for code in CloudClass}
        | {"spark_cot:outside_cover": round(outside_cover(outside), 4)}
    )


def _products(record: SceneRecord) -> dict[str, str]:
    """Names of the L1C products that the scene is made of, by their paths."""
    names = {source: product_name(Path(source).name) for source in record.sources}
    return names | {record.source: record.product}


def _derived_from(record: SceneRecord) -> Iterator[pystac.Link]:
    for source, name in _products(record).items():
        yield pystac.Link(pystac.RelType.DERIVED_FROM, uri_of(source), title=name)


def _place(item: pystac.Item, record: SceneRecord) -> None:
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=record.crs,
        shape=list(record.grid.shape),
        transform=list(record.grid.transform)[:6],
        bbox=list(record.grid.bounds),
    )
    GridExtension.ext(item, add_if_missing=True).code = f"MGRS-{record.tile}"
    SatExtension.ext(item, add_if_missing=True).relative_orbit = record.orbit


def _add_raster(item: pystac.Item, raster: Raster, statistics: Sequence[RasterStatistics]) -> None:
    """Add the asset; ``statistics`` are those of its bands, or empty."""
    asset = pystac.Asset(
        f"./{raster.filename}",
        raster.title,
        raster.description,
        pystac.MediaType.COG,
        roles=["data"],
    )
    asset.extra_fields["bands"] = _bands(raster, statistics)
    item.add_asset(raster.name, asset)


def _bands(raster: Raster, statistics: Sequence[RasterStatistics]) -> list[dict[str, Any]]:
    """Bands in the common metadata of STAC 1.1."""
    names = _BAND_NAMES.get(raster.name, (raster.name,))
    bands: list[dict[str, Any]] = [
        {
            "name": name,
            "data_type": raster.dtype,
            "nodata": "nan" if math.isnan(raster.nodata) else raster.nodata,
            "unit": raster.unit,
            "raster:scale": raster.scale,
            "raster:offset": 0.0,
        }
        for name in names
    ]
    for band, description in zip(bands, raster.bands, strict=True):
        if description != band["name"]:
            band["description"] = description
    for band, found in zip(bands, statistics, strict=False):
        band["statistics"] = asdict(found)
    if raster is rasters.MASKED:
        for band, known in zip(bands, BANDS, strict=True):
            band["eo:common_name"] = known.common_name
            band["eo:center_wavelength"] = known.wavelength_nm / 1000
    return bands


def _describe_classes(item: pystac.Item, raster: Raster, counts: Mapping[Any, int]) -> None:
    total = sum(counts.values())
    asset = item.assets[raster.name]
    ClassificationExtension.ext(asset, add_if_missing=True).classes = [
        Classification.create(
            value=code,
            name=style.name,
            description=style.description,
            color_hint=style.color_hint,
            nodata=True if code == raster.nodata else None,
            count=counts[code],
            percentage=round(100 * counts[code] / total, 4),
        )
        for code, style in raster.classes.items()
    ]


def _add_file_facts(assets: Iterable[pystac.Asset], files: Mapping[str, FileRecord]) -> None:
    for asset in assets:
        file = files[asset.href.removeprefix("./")]
        FileExtension.ext(asset, add_if_missing=True).apply(
            checksum=SHA256_MULTIHASH + file["sha256"], size=file["bytes"]
        )
