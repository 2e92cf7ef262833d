"""The files of all scenes by name and size, from one listing of each table; none is opened."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from spark_cot.commit.files import FileRecord, relative
from spark_cot.storage import sizes, walk
from spark_cot.tables.workspace import ITEM_NAME, Workspace

#: Where the file that commits a scene lies, by stage.
_COMMITTED: Final[Mapping[str, re.Pattern[str]]] = {
    "ingest": re.compile(r"pixels/tile=[^/]+/date=[^/]+/([^/.][^/]*)\.parquet"),
    "apply": re.compile(r"cot/tile=[^/]+/date=[^/]+/([^/.][^/]*)\.parquet"),
    "products": re.compile(rf"products/tile=[^/]+/date=[^/]+/([^/.][^/]*)/{ITEM_NAME}"),
}
_MASKED: Final = re.compile(r"masked/tile=[^/]+/date=[^/]+/([^/.][^/]*)\.parquet")
#: Files that are made with a product beside its item.
_OF_PRODUCT: Final = re.compile(
    r"(?:products|masked)/tile=[^/]+/date=[^/]+/([^/.][^/]*?)(?:\.parquet|/[^/]+)"
)
#: Folders whose files belong to scenes.
_FOLDERS: Final = ("pixels", "cot", "masked", "products")
#: Folders listed at once: in an object store most of the time is waiting.
_AT_ONCE: Final = 16


class Found(NamedTuple):
    """A file of the workspace; ``path`` is relative to it."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is of all scenes.

    Attributes
    ----------
    committed : mapping
        By stage and scene: the file that commits the scene there, which is that of the pixel or
        COT table, or the item of its product.
    others : mapping
        Bytes of all other files by path: rasters, masked rows, and what belongs to nobody.
    """

    committed: Mapping[str, dict[str, Found]]
    others: dict[str, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no table has a scene."""
        return not any(self.committed.values())

    def sizes(self, stage: str) -> dict[str, int]:
        """Bytes by scene of the files that a stage has made."""
        total = {name: file.size for name, file in self.committed[stage].items()}
        if stage == "products":
            for path, size in self.others.items():
                if (match := _OF_PRODUCT.fullmatch(path)) and match[1] in total:
                    total[match[1]] += size
        return total

    @property
    def masked(self) -> set[str]:
        """Scenes in the table of masked reflectance."""
        return {match[1] for path in self.others if (match := _MASKED.fullmatch(path))}

    def products(self, written: Iterable[PurePosixPath] = ()) -> list[PurePosixPath]:
        """Folders of the scene products relative to ``products/``; some were ``written`` since."""
        items = (PurePosixPath(found.path) for found in self.committed["products"].values())
        listed = {item.parent.name: item.parent.relative_to("products") for item in items}
        return list((listed | {folder.name: folder for folder in written}).values())

    def holds(self, files: Mapping[str, FileRecord]) -> bool:
        """Whether all ``files`` of one scene are there in their size."""
        return all(self._size(path) == record["bytes"] for path, record in files.items())

    def _size(self, path: str) -> int | None:
        """Bytes of a file, None if it is missing."""
        for stage, form in _COMMITTED.items():
            if match := form.fullmatch(path):
                file = self.committed[stage].get(match[1])
                return file.size if file is not None and file.path == path else None
        return self.others.get(path)

    def without(self, paths: Collection[str]) -> Listing:
        """The same but for files that commit no scene, though they lie where such files do."""
        committed = {
            stage: {name: file for name, file in files.items() if file.path not in paths}
            for stage, files in self.committed.items()
        }
        return Listing(committed, self.others)


def list_scenes(workspace: Workspace) -> Listing:
    """List the tables and products of ``workspace``: once each, and by tile, many at once."""
    committed: dict[str, dict[str, Found]] = {stage: {} for stage in _COMMITTED}
    others = {}
    for file, size in _files(workspace):
        path = relative(workspace, file)
        matches = ((stage, form.fullmatch(path)) for stage, form in _COMMITTED.items())
        stage, match = next(((s, m) for s, m in matches if m), ("", None))
        if match:
            committed[stage][match[1]] = Found(path, size)
        else:
            others[path] = size
    return Listing(committed, others)


def _files(workspace: Workspace) -> Iterator[tuple[Path, int]]:
    """Files of all tables with their bytes."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tops = list(pool.map(_top, [workspace.root / folder for folder in _FOLDERS]))
        for _, files in tops:
            yield from files.items()
        for found in pool.map(sizes, [folder for folders, _ in tops for folder in folders]):
            yield from found.items()


def _top(root: Path) -> tuple[list[Path], dict[Path, int]]:
    """Folders and files, with their bytes, directly inside a table."""
    _, folders, names = next(walk(root), (root, [], []))
    files = {}
    for path in (root / name for name in names):
        with suppress(FileNotFoundError):  # a link that leads nowhere
            files[path] = path.stat().st_size
    return [root / name for name in folders], files
