"""The files of all scenes by place and size, from one listing of each table; none is opened."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from spark_cot.commit.files import relative
from spark_cot.storage import folders, is_remote, walk
from spark_cot.tables.workspace import CATALOGUES, ITEM_NAME, Workspace

#: The stage that makes the files of a folder.
_STAGES: Final = {
    "pixels": "ingest",
    "cot": "apply",
    "masked": "products",
    "products": "products",
}
#: Where scenes lie in a table, and the folder of a scene's product.
_PARTITION: Final = re.compile(r"(pixels|cot|masked)/tile=[^/]+/date=[^/]+")
_PRODUCT: Final = re.compile(r"products/tile=[^/]+/date=[^/]+/([^/.][^/]*)")

_PLACES: Final = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("stage", pa.string()),
        ("name", pa.string()),
        ("commits", pa.bool_()),
    ]
)
#: Folders listed at once: an object store makes one wait; on a disk threads stand in each other's
#: way (four take twice as long as one).
_AT_ONCE: Final = {True: 16, False: 1}
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
    workspace : Workspace
    places : pyarrow.Table
        ``path`` in the workspace of a scene's file in a table, or of the item of its product (where
        there is none, of the product's folder); ``size`` of the file or of all files of the
        product, bytes; ``stage``, ``name`` of the scene, and whether it ``commits`` the scene:
        files of the pixel and the COT table do, and items.
    catalogues : list[str]
        Paths of the files that list products.
    """

    workspace: Workspace
    places: pa.Table
    catalogues: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether no table has a scene."""
        return not pc.any(self.places["commits"]).as_py()

    @property
    def masked(self) -> dict[str, str]:
        """Scenes in the table of masked reflectance, with the paths of their files."""
        return dict(_values(_below(self.places, "masked"), "name", "path"))

    def names(self, stage: str) -> set[str]:
        """Scenes that a stage has committed."""
        return set(self._committing(stage)["name"].to_pylist())

    def committing(self, stage: str, names: Collection[str]) -> dict[str, Found]:
        """The files that commit some scenes, as far as there are any.

        The size of an item is that of all files of its product.
        """
        rows = _of(self._committing(stage), names)
        return {
            name: Found(path, size) for name, path, size in _values(rows, "name", "path", "size")
        }

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """Bytes by path of all files of some scenes; the folders of products are listed again."""
        rows = _of(self.places, names)
        of_products = pc.starts_with(rows["path"], "products/")
        files = dict(_values(rows.filter(pc.invert(of_products)), "path", "size"))
        products = [_folder_of(path) for path in rows.filter(of_products)["path"].to_pylist()]
        with ThreadPoolExecutor(_AT_ONCE[is_remote(self.workspace.root)]) as pool:
            for found in pool.map(self._inside, products):
                files |= found
        return files

    def scenes(self) -> pa.Table:
        """Columns ``stage``, ``name``, ``size``: bytes of what is committed of a scene."""
        together = self.places.group_by(["stage", "name"])
        scenes = together.aggregate([("size", "sum"), ("commits", "any")])
        committed = scenes.filter(scenes["commits_any"]).select(["stage", "name", "size_sum"])
        return committed.rename_columns(["stage", "name", "size"])

    def products(self, written: Iterable[PurePosixPath] = ()) -> list[PurePosixPath]:
        """Folders of the scene products relative to ``products/``; some were ``written`` since."""
        items = map(PurePosixPath, self._committing("products")["path"].to_pylist())
        listed = {item.parent.name: item.parent.relative_to("products") for item in items}
        return list((listed | {folder.name: folder for folder in written}).values())

    def without(self, paths: Collection[str]) -> Listing:
        """The same but for some places."""
        others = pc.invert(pc.is_in(self.places["path"], pa.array(paths, pa.string())))
        return Listing(self.workspace, self.places.filter(others), self.catalogues)

    def _committing(self, stage: str) -> pa.Table:
        of_stage = pc.equal(self.places["stage"], stage)
        return self.places.filter(pc.and_(of_stage, self.places["commits"]))

    def _inside(self, product: str) -> dict[str, int]:
        """Files of a scene's product by path."""
        own = (sizes for folder, sizes in folders(self.workspace.root / product) if not folder)
        return {f"{product}/{name}": size for name, size in next(own, {}).items()}


def list_scenes(workspace: Workspace) -> Listing:
    """List the tables and products of ``workspace``: once each, and by tile, many at once."""
    with ThreadPoolExecutor(_AT_ONCE[is_remote(workspace.root)]) as pool:
        tops = list(pool.map(_top, [workspace.root / folder for folder in _STAGES]))
        tiles = [folder for folders, _ in tops for folder in folders]
        found = list(pool.map(partial(_list_tile, workspace), tiles))
    loose = (relative(workspace, file) for _, files in tops for file in files)
    catalogues = chain(_catalogues(loose), *(lists for _, lists in found))
    places = pa.concat_tables([_PLACES.empty_table(), *(table for table, _ in found)])
    return Listing(workspace, places, list(catalogues))


def _list_tile(workspace: Workspace, tile: Path) -> tuple[pa.Table, list[str]]:
    """The scenes of a tile in one of the tables, and the files that list them."""
    place, tables = relative(workspace, tile), [_PLACES.empty_table()]
    catalogues: list[str] = []

    def rows() -> Iterator[tuple[Any, ...]]:
        for folder, sizes in folders(tile):
            path = f"{place}/{folder}" if folder else place
            catalogues.extend(_catalogues(f"{path}/{name}" for name in sizes))
            yield from filter(_is_text, _rows(path, sizes))

    found = rows()
    while chunk := list(islice(found, _ROWS_AT_ONCE)):
        columns = zip(*chunk, strict=True)
        arrays = [
            pa.array(column, kind.type) for column, kind in zip(columns, _PLACES, strict=True)
        ]
        tables.append(pa.table(arrays, _PLACES))
    return pa.concat_tables(tables), catalogues


def _rows(folder: str, sizes: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    """What the files of a folder are to scenes, as rows of a listing."""
    if match := _PRODUCT.fullmatch(folder):
        commits = ITEM_NAME in sizes
        path = f"{folder}/{ITEM_NAME}" if commits else folder
        yield path, sum(sizes.values()), "products", match[1], commits
    elif match := _PARTITION.fullmatch(folder):
        table = match[1]
        for file, size in sizes.items():
            if file.endswith(".parquet") and not file.startswith("."):
                name = file.removesuffix(".parquet")
                yield f"{folder}/{file}", size, _STAGES[table], name, table != "masked"


def _is_text(row: tuple[Any, ...]) -> bool:
    """Whether the path is in UTF-8, as all of ours are."""
    try:
        return bool(row[0].encode())
    except UnicodeEncodeError:
        return False


def _catalogues(paths: Iterable[str]) -> Iterator[str]:
    return (path for path in paths if path.rpartition("/")[2] in CATALOGUES)


def _top(root: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files directly inside a table."""
    _, inside, names = next(walk(root), (root, [], []))
    return [root / name for name in inside], [root / name for name in names]


def _folder_of(path: str) -> str:
    """Of a product, by its item or as it is."""
    return path.removesuffix(f"/{ITEM_NAME}")


def _below(rows: pa.Table, table: str) -> pa.Table:
    return rows.filter(pc.starts_with(rows["path"], f"{table}/"))


def _of(rows: pa.Table, names: Collection[str]) -> pa.Table:
    """Rows of some scenes."""
    return rows.filter(pc.is_in(rows["name"], pa.array(names, pa.string())))


def _values(rows: pa.Table, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Rows as tuples of some of their columns."""
    return zip(*(rows[column].to_pylist() for column in columns), strict=True)
