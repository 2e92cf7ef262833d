"""The files that scenes have in the tables: each table is listed once in a run, and never again.

A plan, the stages and the collection of products all ask whether a scene's files are there. Asking
the store for one file at a time is a request for each; a listing is one for each thousand. Tables
are listed by tile, many tiles at once, and what is found is kept small: a scene is a few numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Final, NamedTuple

from spark_cot.commit.inventory import FileRecord
from spark_cot.storage import names_and_sizes, walk
from spark_cot.tables.workspace import ITEM_NAME, Workspace

#: The table whose scenes are folders.
_PRODUCTS: Final = "products"
#: Folder, scene_id and part of the files of scenes in it, and in any other table.
_IN_PRODUCTS: Final = re.compile(r"(tile=[^/]+/date=[^/]+)/([^/]+)(/[^/]+)")
_IN_TABLE: Final = re.compile(r"(?:(tile=[^/]+/date=[^/]+)/)?([^/.]+)(\.parquet)")

#: Folders listed at once: in an object store most of the time is waiting.
_AT_ONCE: Final = 16


class Found(NamedTuple):
    """The files of a scene in a table.

    Attributes
    ----------
    folder : str
        Where they lie in the table, such as ``tile=31TCJ/date=2024-03-05``; empty without folders.
    parts : tuple[str, ...]
        What follows the scene_id in the path of each: ``.parquet``, or ``/cot.tif``. Scenes with
        the same parts share them.
    sizes : tuple[int, ...]
        Bytes of each.
    """

    folder: str
    parts: tuple[str, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found in the tables, by table and scene_id."""

    tables: Mapping[str, Mapping[str, Found]] = field(default_factory=dict)

    def has(self, scene_id: str, files: Mapping[str, FileRecord]) -> bool:
        """Whether these files of a scene, by path in the workspace, are all there at their size."""
        return all(self._size(scene_id, path) == record["bytes"] for path, record in files.items())

    def products(self, written: Iterable[PurePosixPath] = ()) -> list[PurePosixPath]:
        """Folders, relative to ``products/``, of scenes with an item; some ``written`` since."""
        listed = {
            name: PurePosixPath(found.folder, name)
            for name, found in self.tables[_PRODUCTS].items()
            if f"/{ITEM_NAME}" in found.parts
        }
        return list((listed | {folder.name: folder for folder in written}).values())

    def _size(self, scene_id: str, path: str) -> int | None:
        table, _, inside = path.partition("/")
        found = self.tables.get(table, {}).get(scene_id)
        if found is None:
            return None
        part = inside.removeprefix(f"{found.folder}/").removeprefix(scene_id)
        return found.sizes[found.parts.index(part)] if part in found.parts else None


def list_tables(workspace: Workspace, tables: Iterable[str]) -> Listing:
    """List these tables of a workspace; one that is missing holds nothing.

    Raises
    ------
    OSError
        A folder cannot be looked at.
    """
    roots = {table: workspace.root / table for table in tables}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        folders = dict(zip(roots, pool.map(_folders, roots.values()), strict=True))
        pieces = [(table, folder) for table, inside in folders.items() for folder in inside]
        scenes = pool.map(lambda piece: _scenes(piece[0], roots[piece[0]], piece[1]), pieces)
        found: dict[str, dict[str, Found]] = {table: {} for table in roots}
        for (table, _), part in zip(pieces, scenes, strict=True):
            found[table] |= part
    return Listing(found)


def _folders(root: Path) -> list[str]:
    """Names of the folders directly inside a table; of one without folders its own, empty name."""
    _, folders, _ = next(walk(root), (root, [], []))
    return folders or [""]


def _scenes(table: str, root: Path, folder: str) -> dict[str, Found]:
    """What scenes have in a folder of a table."""
    files: dict[tuple[str, str], dict[str, int]] = {}
    form = _IN_PRODUCTS if table == _PRODUCTS else _IN_TABLE
    for name, size in names_and_sizes(root / folder):
        if match := form.fullmatch(f"{folder}/{name}" if folder else name):
            place, scene, part = match.groups(default="")
            files.setdefault((scene, place), {})[part] = size
    found = {}
    for (scene, place), sizes in files.items():
        parts, numbers = zip(*sorted(sizes.items()), strict=True)
        found[intern(scene)] = Found(intern(place), _shared(parts), numbers)
    return found


@cache
def _shared(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for equal parts."""
    return parts
