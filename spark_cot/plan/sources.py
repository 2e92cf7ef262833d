"""What the products of an archive hold, remembered so that unchanged ones are not opened again.

Opening a product costs 40 to 60 ms of XML, looking at its files less than one. A product's
signature covers the name, size and modification time of every file that its scenes are made from;
while it stays the same, so does what the catalogue, ``_ledger/sources.parquet``, says of the
product. The catalogue is a cache: without it products are opened once more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path, PurePath
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot.errors import ProductError, reason
from spark_cot.safe import GranuleRef, PassedOver, ProductPath, Scene, naming, open_scene, scenes_of
from spark_cot.safe.files import ProductFiles, open_files
from spark_cot.storage import is_remote, objects, open_parquet, path_of, replacing
from spark_cot.tables.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Granule:
    """A readable scene of the archive, as far as planning needs to know it.

    Attributes
    ----------
    source, granule : str
        Path of the product, and the granule's folder in it.
    signature : str
        Of the product when it was opened.
    scene_id, tile, baseline, fingerprint : str
    sensing_time, generation_time : datetime
        As in `safe.Scene`.
    """

    source: str
    granule: str
    signature: str
    scene_id: str
    tile: str
    sensing_time: datetime
    generation_time: datetime
    baseline: str
    fingerprint: str

    @property
    def ref(self) -> GranuleRef:
        """Where to read it."""
        return GranuleRef(ProductPath(self.source), self.granule)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A product, or a granule of one, that could not be opened; ``name`` is its own."""

    name: str
    source: str
    signature: str
    reason: str


@dataclass(frozen=True, slots=True)
class Archive:
    """Everything products hold, how many had to be opened to know it, and what is no product."""

    granules: list[Granule] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    opened: int = 0
    passed_over: list[PassedOver] = field(default_factory=list)

    @property
    def lasting(self) -> list[Granule]:
        """Granules of wholly readable products, which need no second look until they change."""
        broken = {item.source for item in self.unreadable}
        return [g for g in self.granules if g.signature and g.source not in broken]

    def hides(self, path: str) -> bool:
        """Whether a product may still lie at a path, where nobody could look."""
        unseen = {item.path for item in self.passed_over if item.unseen}
        return not unseen.isdisjoint([path, *map(str, PurePath(path).parents)])

    def __add__(self, other: Archive) -> Archive:
        return Archive(
            self.granules + other.granules,
            self.unreadable + other.unreadable,
            self.opened + other.opened,
            self.passed_over + other.passed_over,
        )


def signature(path: str) -> str:
    """16 hexadecimal characters that change when a file of the product does; "" if unknown.

    Looks at no content: of a zip file size and time, of a SAFE folder those of the files that
    `safe.scene.fingerprint_of` covers. In an object store the ETag stands for the time.
    """
    try:
        place = path_of(path)
        if place.is_file():
            identities = [_version(place)]
        else:
            files = open_files(path)
            identities = [files.version(name) for name in _files_of_scenes(files)]
    except (ProductError, OSError):  # which opening will report
        return ""
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16]


def read_catalogue(workspace: Workspace) -> list[Granule]:
    """What is remembered of products seen before."""
    path = _catalogue(workspace)
    if not path.is_file():
        return []
    with open_parquet(path) as file:
        if file.schema_arrow.names != _SCHEMA.names:  # another version wrote it
            return []
        return [Granule(**row) for row in file.read().to_pylist()]


def write_catalogue(workspace: Workspace, granules: Iterable[Granule]) -> None:
    """Remember ``granules`` for the next planning."""
    table = pa.Table.from_pylist([asdict(granule) for granule in granules], _SCHEMA)
    with replacing(_catalogue(workspace)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


_SCHEMA: Final = pa.schema(
    [
        (f.name, pa.timestamp("us", tz="UTC") if f.type == "datetime" else pa.string())
        for f in fields(Granule)
    ]
)


def _catalogue(workspace: Workspace) -> Path:
    return workspace.ledger / "sources.parquet"


def look_at(products: Iterable[tuple[ProductPath, tuple[Granule, ...]]]) -> Archive:
    """Content of products, opening those that are no more what is remembered of them."""
    found = Archive()
    for product, remembered in products:
        now = signature(product.path)
        if remembered and remembered[0].signature == now:
            found.granules.extend(remembered)
        else:
            found += _open(product, now)
    return found


def _open(product: ProductPath, now: str) -> Archive:
    try:
        granules = scenes_of(product)
    except Exception as error:
        fault = Unreadable(product.name, product.path, now, reason(error))
        return Archive(unreadable=[fault], opened=1)
    found = Archive(opened=1)
    for granule in granules:
        try:
            found.granules.append(_granule(open_scene(granule), now))
        except Exception as error:
            name = f"{product.name}.{Path(granule.folder).name}"
            found.unreadable.append(Unreadable(name, product.path, now, reason(error)))
    return found


def _granule(scene: Scene, now: str) -> Granule:
    return Granule(
        source=scene.source,
        granule=scene.granule,
        signature=now,
        scene_id=scene.scene_id,
        tile=scene.tile,
        sensing_time=scene.sensing_time,
        generation_time=scene.generation_time,
        baseline=scene.baseline,
        fingerprint=scene.fingerprint,
    )


def _version(file: Path) -> str:
    if is_remote(file):
        return str(objects(file))
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _files_of_scenes(files: ProductFiles) -> Iterator[str]:
    """Metadata and band images of all granules."""
    yield from _matching(files, "", naming.PRODUCT_XML)
    for granule in _matching(files, "GRANULE", naming.GRANULE_FOLDER):
        yield from _matching(files, granule, naming.GRANULE_XML)
        yield from _matching(files, f"{granule}/IMG_DATA", naming.BAND_IMAGE)


def _matching(files: ProductFiles, folder: str, pattern: re.Pattern[str]) -> list[str]:
    names = [name for name in files.children(folder) if pattern.fullmatch(name)]
    return [f"{folder}/{name}".lstrip("/") for name in names]
