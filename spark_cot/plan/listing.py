"""Which scenes the tables of a workspace hold: each table listed once in a run, and never again.

A plan, the stages and the collection of products all ask whether a scene's files are there. Asking
the store for one scene at a time is a request for each; a listing is one for each thousand files.
Tables are listed by tile, many tiles at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Final

from spark_cot.storage import names, walk
from spark_cot.tables.workspace import ITEM_NAME, Workspace

#: Folders listed at once: in an object store most of the time is waiting.
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found in the tables.

    Attributes
    ----------
    tables : mapping
        By table: the scenes that it has a file of, each with the folder in the table where that
        lies, such as ``tile=31TCJ/date=2024-03-05``. Of ``products``, whose scenes are folders,
        those with an item.
    """

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def scenes(self, table: str) -> Collection[str]:
        """The scene_ids that a table has a file of; KeyError if it was not listed."""
        return self.tables[table].keys()

    def products(self, written: Iterable[PurePosixPath] = ()) -> list[PurePosixPath]:
        """Folders of the scene products relative to ``products/``; some were ``written`` since."""
        listed = {name: PurePosixPath(at, name) for name, at in self.tables["products"].items()}
        return list((listed | {folder.name: folder for folder in written}).values())


def list_tables(workspace: Workspace, tables: Iterable[str]) -> Listing:
    """List these tables of a workspace; one that is missing holds nothing."""
    roots = {table: workspace.root / table for table in tables}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tops = dict(zip(roots, pool.map(_top, roots.values()), strict=True))
        found = {table: dict(_scenes(files)) for table, (_, files) in tops.items()}
        pieces = [(table, folder) for table, (folders, _) in tops.items() for folder in folders]
        scenes = pool.map(lambda piece: dict(_scenes(_below(roots[piece[0]], piece[1]))), pieces)
        for (table, _), part in zip(pieces, scenes, strict=True):
            found[table] |= part
    return Listing(found)


def _scenes(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """scene_id and folder of the files, given relative to their table, that make a scene be there.

    The strings are shared among tables: there are as many as scenes, not as files.
    """
    for name in files:
        folder, _, file = name.rpartition("/")
        if file == ITEM_NAME:
            folder, _, file = folder.rpartition("/")
            yield intern(file), intern(folder)
        elif file.endswith(".parquet"):
            yield intern(file.removesuffix(".parquet")), intern(folder)


def _top(root: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files directly inside a table."""
    _, folders, files = next(walk(root), (root, [], []))
    return folders, files


def _below(root: Path, folder: str) -> Iterator[str]:
    """Names, relative to ``root``, of all files below a folder in it."""
    return (f"{folder}/{name}" for name in names(root / folder))
