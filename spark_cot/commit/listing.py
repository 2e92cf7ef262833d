"""The files of all scenes by path and size, from one listing of each table; none is opened."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from spark_cot.commit.files import relative
from spark_cot.storage import is_remote, names_and_sizes, walk
from spark_cot.tables.workspace import ITEM_NAME, Workspace

#: The stage that makes the files of a folder.
_STAGES: Final = {
    "pixels": "ingest",
    "cot": "apply",
    "masked": "products",
    "products": "products",
}
#: Where a scene's files lie: table, scene, and which file of its product.
_OF_SCENE: Final = re.compile(
    r"(pixels|cot|masked)/tile=[^/]+/date=[^/]+/([^/.][^/]*)\.parquet()"
    r"|(products)/tile=[^/]+/date=[^/]+/([^/.][^/]*)/([^/]+)"
)
_FILES: Final = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("stage", pa.string()),
        ("name", pa.string()),
        ("commits", pa.bool_()),
    ]
)
#: Folders listed at once: in an object store most of the time is waiting, on a disk memory counts.
_AT_ONCE: Final = {True: 16, False: 4}
#: As Python objects; a row is small in a table.
_ROWS_AT_ONCE: Final = 4096


class Found(NamedTuple):
    """A file of the workspace; ``path`` is relative to it."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is of all scenes.

    Attributes
    ----------
    files : pyarrow.Table
        ``path`` in the workspace, ``size`` in bytes; of files that lie where a scene's do also
        ``stage`` and ``name`` (the scene), and whether the file ``commits`` the scene: those of the
        pixel and the COT table do, and the items of products. Null where that is nobody's place.
    """

    files: pa.Table

    @property
    def is_empty(self) -> bool:
        """Whether no table has a scene."""
        return not pc.any(self.files["commits"]).as_py()

    @property
    def masked(self) -> dict[str, str]:
        """Scenes in the table of masked reflectance, with the paths of their files."""
        rows = self.files.filter(pc.starts_with(self.files["path"], "masked/"))
        pairs = zip(rows["name"].to_pylist(), rows["path"].to_pylist(), strict=True)
        return {name: path for name, path in pairs if name is not None}

    @property
    def nobodys(self) -> list[str]:
        """Paths of files that lie where no scene's do."""
        return list(self.files.filter(pc.is_null(self.files["name"]))["path"].to_pylist())

    def names(self, stage: str) -> set[str]:
        """Scenes that a stage has committed."""
        return set(self._committing(stage)["name"].to_pylist())

    def committing(self, stage: str, names: Collection[str]) -> dict[str, Found]:
        """The files that commit some scenes, as far as there are any."""
        rows = _of(self._committing(stage), names)
        columns = (rows[column].to_pylist() for column in ("name", "path", "size"))
        return {name: Found(path, size) for name, path, size in zip(*columns, strict=True)}

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """Bytes by path of all files of some scenes."""
        rows = _of(self.files, names)
        return dict(zip(rows["path"].to_pylist(), rows["size"].to_pylist(), strict=True))

    def scenes(self) -> pa.Table:
        """Columns ``stage``, ``name``, ``size``: bytes of what is committed of a scene."""
        together = self.files.group_by(["stage", "name"])
        scenes = together.aggregate([("size", "sum"), ("commits", "any")])
        return (
            scenes.filter(scenes["commits_any"])
            .select(["stage", "name", "size_sum"])
            .rename_columns(["stage", "name", "size"])
        )

    def products(self, written: Iterable[PurePosixPath] = ()) -> list[PurePosixPath]:
        """Folders of the scene products relative to ``products/``; some were ``written`` since."""
        items = map(PurePosixPath, self._committing("products")["path"].to_pylist())
        listed = {item.parent.name: item.parent.relative_to("products") for item in items}
        return list((listed | {folder.name: folder for folder in written}).values())

    def without(self, paths: Collection[str]) -> Listing:
        """The same but for some files."""
        return Listing(self.files.filter(pc.invert(_in(self.files["path"], paths))))

    def _committing(self, stage: str) -> pa.Table:
        of_stage = pc.equal(self.files["stage"], stage)
        return self.files.filter(pc.and_(of_stage, self.files["commits"]))


def list_scenes(workspace: Workspace) -> Listing:
    """List the tables and products of ``workspace``: once each, and by tile, many at once."""
    with ThreadPoolExecutor(_AT_ONCE[is_remote(workspace.root)]) as pool:
        tops = list(pool.map(_top, [workspace.root / folder for folder in _STAGES]))
        loose = [(relative(workspace, file), size) for _, files in tops for file, size in files]
        folders = [folder for folders, _ in tops for folder in folders]
        below = pool.map(partial(_below, workspace), folders)
        return Listing(pa.concat_tables([_table(loose), *below]))


def _below(workspace: Workspace, folder: Path) -> pa.Table:
    """The files below a folder of a table."""
    place = relative(workspace, folder)
    return _table((f"{place}/{name}", size) for name, size in names_and_sizes(folder))


def _table(files: Iterable[tuple[str, int]]) -> pa.Table:
    """Files as rows of a listing, some at a time."""
    rows, tables = map(_row, filter(_is_text, files)), [_FILES.empty_table()]
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        columns = zip(*chunk, strict=True)
        arrays = [pa.array(column, kind.type) for column, kind in zip(columns, _FILES, strict=True)]
        tables.append(pa.table(arrays, _FILES))
    return pa.concat_tables(tables)


def _is_text(file: tuple[str, int]) -> bool:
    """Whether a path is in UTF-8, as all of ours are."""
    try:
        return bool(file[0].encode())
    except UnicodeEncodeError:
        return False


def _row(file: tuple[str, int]) -> tuple[Any, ...]:
    """A file as a row of the listing."""
    match = _OF_SCENE.fullmatch(file[0])
    if match is None:
        return (*file, None, None, None)
    table, name, part = (group for group in match.groups() if group is not None)
    return (*file, _STAGES[table], name, part == ITEM_NAME or table in ("pixels", "cot"))


def _top(root: Path) -> tuple[list[Path], list[tuple[Path, int]]]:
    """Folders and files, with their bytes, directly inside a table."""
    _, folders, names = next(walk(root), (root, [], []))
    files = []
    for path in (root / name for name in names):
        with suppress(FileNotFoundError):  # a link that leads nowhere
            files.append((path, path.stat().st_size))
    return [root / name for name in folders], files


def _of(rows: pa.Table, names: Collection[str]) -> pa.Table:
    """Rows of some scenes."""
    return rows.filter(_in(rows["name"], names)) if names else rows.slice(0, 0)


def _in(column: pa.ChunkedArray, values: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(values, pa.string()))
