"""What the products of an archive hold, remembered so that unchanged ones are not opened again.

Opening a product costs 40 to 60 ms of XML, looking at its files less than one. A product's
signature covers the name, size and modification time of every file that its scenes are made from;
while it stays the same, so does what the catalogue, ``_ledger/sources.parquet``, says of the
product. The catalogue is a cache: without it products are opened once more.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path, PurePath
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_cot.errors import Cause, ProductError, cause, reason
from spark_cot.safe import GranuleRef, PassedOver, ProductPath, Scene, naming, open_scene, scenes_of
from spark_cot.safe.files import ProductFiles, open_files
from spark_cot.storage import is_remote, objects, open_parquet, path_of, replacing
from spark_cot.tables.workspace import Workspace

log = logging.getLogger(__name__)


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
    strip : str
        The datastrip it is of, as text of a `safe.Strip`.
    others : tuple[Granule, ...]
        Granules of further datastrips that have a part of the scene; they stand behind this one.
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
    strip: str = ""
    others: tuple[Granule, ...] = ()

    @property
    def strips(self) -> tuple[Granule, ...]:
        """All granules that the scene is made of, those first whose pixels go before."""
        return replace(self, others=()), *self.others

    @property
    def input(self) -> str:
        """The fingerprint of all that the scene is made of."""
        if not self.others:
            return self.fingerprint
        together = "\n".join(granule.fingerprint for granule in self.strips)
        return hashlib.sha256(together.encode()).hexdigest()

    @property
    def ref(self) -> GranuleRef:
        """Where to read it."""
        return GranuleRef(ProductPath(self.source), self.granule)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A product, or a granule of one, that could not be opened; ``name`` is its own.

    ``cause`` is where the fault lies.
    """

    name: str
    source: str
    signature: str
    reason: str
    cause: Cause = "product"


class Granules(Collection[Granule]):
    """Granules as rows of an Arrow table, a tenth of the memory of so many objects.

    Iterating makes one `Granule` at a time.
    """

    def __init__(self, table: pa.Table | None = None) -> None:
        self.table = _SCHEMA.empty_table() if table is None else table

    @classmethod
    def of(cls, granules: Iterable[Granule]) -> Granules:
        """These granules, in their order."""
        columns = zip(*map(_VALUES, granules), strict=True)
        arrays = [pa.array(c, field.type) for c, field in zip(columns, _SCHEMA, strict=False)]
        return cls(pa.table(arrays, schema=_SCHEMA) if arrays else None)

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Granule]:
        for batch in self.table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            columns = (column.to_pylist() for column in batch.columns)
            yield from (Granule(*row) for row in zip(*columns, strict=True))

    def __contains__(self, granule: object) -> bool:
        return any(granule == own for own in self)

    def __add__(self, other: Granules) -> Granules:
        return Granules(pa.concat_tables([self.table, other.table]))

    def by_scene(self) -> Granules:
        """Ordered by scene_id, then source and granule."""
        keys = [(name, "ascending") for name in _ORDER]
        return Granules(self.table.take(pc.sort_indices(self.table, sort_keys=keys)))

    def of_products(self, paths: Collection[str], *, others: bool = False) -> Granules:
        """Those of these products; with ``others`` those of all the others."""
        among = pc.is_in(self.table["source"], pa.array(sorted(paths), pa.string()))
        return Granules(self.table.filter(pc.invert(among) if others else among))

    @property
    def signatures(self) -> dict[str, str]:
        """Of each product by its path; products without a signature are left out."""
        sources, found = (self.table[name].to_pylist() for name in ("source", "signature"))
        return {path: mark for path, mark in zip(sources, found, strict=True) if mark}


_SCHEMA: Final = pa.schema(
    [
        (f.name, pa.timestamp("us", tz="UTC") if f.type == "datetime" else pa.string())
        for f in fields(Granule)
        if f.name != "others"
    ]
)
_VALUES: Final = attrgetter(*_SCHEMA.names)
_ORDER: Final = ("scene_id", "source", "granule")
_ROWS_AT_ONCE: Final = 8192


@dataclass(frozen=True, slots=True)
class Archive:
    """Everything products hold, how many had to be opened to know it, and what is no product."""

    granules: Granules = field(default_factory=Granules)
    unreadable: list[Unreadable] = field(default_factory=list)
    opened: int = 0
    passed_over: list[PassedOver] = field(default_factory=list)

    @property
    def sources(self) -> set[str]:
        """Paths of all products."""
        paths = set(pc.unique(self.granules.table["source"]).to_pylist())
        return paths | {item.source for item in self.unreadable}

    @property
    def lasting(self) -> Granules:
        """Granules of wholly readable products, which need no second look until they change."""
        broken = {item.source for item in self.unreadable}
        whole = self.granules.of_products(broken, others=True).table
        return Granules(whole.filter(pc.not_equal(whole["signature"], "")))

    def hides(self, path: str) -> bool:
        """Whether a product may still lie at a path, where nobody could look."""
        unseen = {item.path for item in self.passed_over if item.unseen}
        return not unseen.isdisjoint([path, *map(str, PurePath(path).parents)])

    @classmethod
    def merged(cls, parts: Iterable[Archive]) -> Archive:
        """All that ``parts`` hold."""
        parts = list(parts)
        return cls(
            Granules(pa.concat_tables([_SCHEMA.empty_table(), *(p.granules.table for p in parts)])),
            [item for part in parts for item in part.unreadable],
            sum(part.opened for part in parts),
            [item for part in parts for item in part.passed_over],
        )


def signature(path: str) -> str:
    """16 hexadecimal characters that change when a file of the product does; "" if unknown.

    Looks at no content: of a zip file size and time, of a SAFE folder those of the files that
    `safe.scene.fingerprint_of` covers. In an object store the ETag stands for the time.
    """
    try:
        if path.lower().endswith(".zip"):
            identities = [_version(path_of(path))]
        else:
            files = open_files(path)
            identities = [files.version(name) for name in _files_of_scenes(files)]
    except (ProductError, OSError):  # which opening will report
        return ""
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16]


def read_catalogue(workspace: Workspace) -> Granules:
    """What is remembered of products seen before; nothing if the catalogue cannot be read."""
    path = _catalogue(workspace)
    try:
        with open_parquet(path) as file:
            if file.schema_arrow.names == _SCHEMA.names:  # else another version wrote it
                table = file.read().cast(_SCHEMA)
                if not any(column.null_count for column in table.columns):
                    return Granules(table)
                log.warning("%s lacks values, so all products are opened again", path)
    except FileNotFoundError:
        pass
    except Exception as error:  # whatever a damaged file raises
        log.warning("%s cannot be read, so all products are opened again: %s", path, reason(error))
    return Granules()


def write_catalogue(workspace: Workspace, granules: Granules) -> None:
    """Remember ``granules`` for the next planning; if that fails it opens their products again."""
    path = _catalogue(workspace)
    try:
        with replacing(path) as temporary:
            pq.write_table(granules.table, temporary, compression="zstd")
    except OSError as error:
        log.warning("%s cannot be written: %s", path, reason(error))


def _catalogue(workspace: Workspace) -> Path:
    return workspace.ledger / "sources.parquet"


def told_apart(unreadable: Sequence[Unreadable]) -> list[Unreadable]:
    """The same, with different names: where two have one name, part of the source's hash is added.

    The log knows them by name, and counts attempts.
    """
    count = Counter(item.name for item in unreadable)

    def own(item: Unreadable) -> str:
        digest = hashlib.sha256(item.source.encode()).hexdigest()
        return f"{item.name}@{digest[:8]}" if count[item.name] > 1 else item.name

    return [replace(item, name=own(item)) for item in unreadable]


def look_at(products: Iterable[tuple[ProductPath, str]]) -> Archive:
    """What products hold whose signature is no more the one that is remembered of them."""
    now = ((product, before, signature(product.path)) for product, before in products)
    return Archive.merged(
        _open(product, mark) for product, before, mark in now if not mark or mark != before
    )


def _open(product: ProductPath, now: str) -> Archive:
    try:
        refs = scenes_of(product)
    except Exception as error:
        fault = Unreadable(product.name, product.path, now, reason(error), cause(error))
        return Archive(unreadable=[fault], opened=1)
    granules, unreadable = [], []
    for ref in refs:
        try:
            granules.append(_granule(open_scene(ref), now))
        except Exception as error:
            name = f"{product.name}.{Path(ref.folder).name}"
            unreadable.append(Unreadable(name, product.path, now, reason(error), cause(error)))
    return Archive(Granules.of(granules), unreadable, opened=1)


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
        strip=str(scene.strip),
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
