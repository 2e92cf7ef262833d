"""One scene: what the two metadata files of a granule say about it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from spark_cot.errors import ProductError
from spark_cot.msi import BAND_IDS
from spark_cot.safe import fields, naming
from spark_cot.safe.angles import AngleGrids, Floats, read_angles, read_view_grids
from spark_cot.safe.files import ProductFiles, open_files
from spark_cot.safe.reflectance import SpecialValues
from spark_cot.safe.search import GranuleRef
from spark_cot.safe.strips import Strip
from spark_cot.safe.xml import Metadata


@dataclass(frozen=True)
class Scene:
    """A granule of an L1C product, ready to be read; picklable (about 30 kB).

    Reflectance is ``(DN + offset) / quantification`` of the numbers that are no special values.

    Attributes
    ----------
    scene_id : str
        ``{satellite}_T{tile}_{start of the datatake}``, such as S2B_T31TCJ_20240305T104819.
    product : str
        Product name without suffix.
    source : str
        Path of the SAFE folder or zip file.
    granule : str
        Granule folder inside the SAFE folder.
    fingerprint : str
        Changes when the product is replaced; see ``fingerprint_of``.
    satellite, tile : str
        ``S2A``; ``31TCJ``.
    sensing_time, generation_time : datetime
        When the tile was sensed, and when the product was made; UTC.
    datatake : str
        Its identifier, empty if not stated.
    datatake_start : datetime
        When the datatake begins, up to a quarter of an hour before the tile; UTC.
    strip : Strip
        Which datastrip the granule is of.
    baseline : str
        Processing baseline, such as ``05.10``.
    orbit : int
        Relative orbit, 1 to 143.
    crs : str
        ``EPSG:32631`` and the like.
    quantification : float
    offsets : tuple[float, ...]
        RADIO_ADD_OFFSET of B01 .. B12, in DN.
    special : SpecialValues
    cloud_cover : float
        Per cent of the granule by the producer; NaN if not given.
    images : tuple[str, ...]
        Paths under which GDAL opens B01 .. B12.
    angles : AngleGrids
    """

    scene_id: str
    product: str
    source: str
    granule: str
    fingerprint: str
    satellite: str
    tile: str
    sensing_time: datetime
    generation_time: datetime
    datatake: str
    datatake_start: datetime
    strip: Strip
    baseline: str
    orbit: int
    crs: str
    quantification: float
    offsets: tuple[float, ...]
    special: SpecialValues
    cloud_cover: float
    images: tuple[str, ...]
    angles: AngleGrids = field(compare=False, repr=False)


def open_scene(granule: GranuleRef) -> Scene:
    """Parse both metadata files of a granule; no image is opened.

    Raises
    ------
    ProductError
        If a file or element is missing or damaged, the satellite is unknown, a product of
        baseline 04.00 or later lacks the radiometric offsets, or names and elements contradict
        each other.
    """
    files = open_files(granule.product.path)
    product_xml = _only(files, "", naming.PRODUCT_XML, "MTD_MSIL1C.xml")
    tile_xml = _tile_xml(files, granule.folder)
    bands = _band_files(files, granule.folder)
    product, tile = (Metadata(files.read(n), files.where(n)) for n in (product_xml, tile_xml))
    satellite, mgrs = fields.satellite(product), fields.mgrs_tile(tile, Path(granule.folder).name)
    start = fields.time(product, "DATATAKE_SENSING_START")
    strip = fields.strip(tile, start)
    fields.check_product_uri(product, mgrs)
    return Scene(
        scene_id=f"{satellite}_T{mgrs}_{start:%Y%m%dT%H%M%S}",
        product=granule.product.name,
        source=granule.product.path,
        granule=granule.folder,
        fingerprint=fingerprint_of(files, [product_xml, tile_xml], bands),
        satellite=satellite,
        tile=mgrs,
        sensing_time=strip.sensed,
        generation_time=fields.time(product, "GENERATION_TIME"),
        datatake=fields.datatake(product),
        datatake_start=start,
        strip=strip,
        baseline=fields.baseline(product),
        orbit=fields.orbit(product),
        crs=tile.text("HORIZONTAL_CS_CODE").upper(),
        quantification=fields.quantification(product),
        offsets=fields.offsets(product),
        special=fields.special_values(product),
        cloud_cover=fields.cloud_cover(product, tile),
        images=tuple(files.gdal_path(name) for name in bands),
        angles=read_angles(tile),
    )


def check_images(scene: Scene) -> None:
    """Read the images of a product in a zip file against their CRC-32; folders have none.

    Raises
    ------
    ProductError
        An image is damaged.
    """
    files = open_files(scene.source)
    for name in _band_files(files, scene.granule):
        files.check(name)


def view_angles(scene: Scene, band_id: str) -> Floats:
    """View directions of one band at the nodes of ``scene.angles``.

    Returns
    -------
    ndarray
        Unit vectors (east, north, up), shape (3, ny, nx), mean over the detectors; NaN where the
        band saw nothing. Read anew from the product: no scene carries 13 of them along.
    """
    files = open_files(scene.source)
    name = _tile_xml(files, scene.granule)
    tile = Metadata(files.read(name), files.where(name))
    grids = read_view_grids(tile)
    if band_id not in grids:
        raise ProductError(f"no view angles of {band_id}, only of {', '.join(grids)}", tile.where)
    return grids[band_id]


def fingerprint_of(files: ProductFiles, metadata: list[str], images: list[str]) -> str:
    """SHA-256 over the content of the metadata files and the identities of the images.

    The metadata carries everything that decides how pixels are read. The images, 700 MB a product,
    are not read for it: size and modification time (CRC-32 in a zip file, which costs nothing
    there) tell a replaced file from the old one. Copying a folder without its times therefore
    counts as a change, which costs a repeated ingest and never a stale one.
    """
    digest = hashlib.sha256()
    for name in metadata:
        digest.update(files.read(name))
    for name in images:
        digest.update(f"\n{files.version(name)}".encode())
    return digest.hexdigest()


def _tile_xml(files: ProductFiles, folder: str) -> str:
    return _only(files, folder, naming.GRANULE_XML, "MTD_TL.xml")


def _only(files: ProductFiles, folder: str, pattern: re.Pattern[str], expected: str) -> str:
    found = [name for name in files.children(folder) if pattern.fullmatch(name)]
    if len(found) != 1:
        raise ProductError(
            f"found {', '.join(found) or 'no ' + expected}, expected one {expected}",
            files.where(folder).rstrip("/"),
            "Download the product again",
        )
    return f"{folder}/{found[0]}".lstrip("/")


#: Of what is ingested; pixels that lack a band are for models that do not ask for it.
NEEDS_ALL: Final = (
    "a scene needs all 13 bands; pixels without B10 are for `spark_cot.predict` with model cot11"
)


def _band_files(files: ProductFiles, folder: str) -> list[str]:
    """Names of the 13 images, B01 .. B12."""
    images = f"{folder}/IMG_DATA"
    matches = [m for name in files.children(images) if (m := naming.BAND_IMAGE.fullmatch(name))]
    stems = sorted({match["stem"] for match in matches})
    if len(stems) > 1:
        raise ProductError(
            f"images are named {' and '.join(f'{stem}_B..' for stem in stems)}, expected one name",
            files.where(images),
            "Remove the images that belong elsewhere",
        )
    found = {match["band"]: f"{images}/{match[0]}" for match in matches}
    missing = [band for band in BAND_IDS if band not in found]
    if missing:
        raise ProductError(
            f"images of {', '.join(missing)} are missing, found {', '.join(found) or 'none'}",
            files.where(images),
            f"Download the product again: {NEEDS_ALL}",
        )
    return [found[band] for band in BAND_IDS]
