"""The workspace: one folder that holds the tables, the products, their state and the reports.

::

    pixels/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819.parquet
    scenes/scenes.parquet       the index of all scenes, made from the log after each run
    cot/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819.parquet
    masked/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819.parquet
    products/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819/{cot.tif, ..., item.json}
    products/{collection.json, tile=31TCJ/{collection.json, month=2024-03/catalog.json}}
    _ledger/state/              the log: what was done for each scene in each stage
    _ledger/flight/             scenes that are being worked on
    _ledger/begun/              tasks that are at work on a scene, or died of it
    _ledger/options.json        what scenes are made with: model, thresholds, mask
    _ledger/sources.parquet     what the archive's products were found to hold
    _ledger/lock/               who writes
    _parts/...        work in progress; nothing a reader globs for
    reports/

A scene is one file in each table, so it appears, changes and disappears by one rename, or by one
upload in an object store. These files are the truth. What they were made from stands in them, and
all of ``_ledger/`` can be made anew from them.

Format 1 had a JSON file for each scene and stage, ``_ledger/STAGE/NAME.json``, and a file
``scenes/NAME.parquet`` for each row of the index.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot.errors import TableError, WorkspaceError
from spark_cot.msi import RESOLUTIONS_M
from spark_cot.storage import (
    check_access,
    find,
    open_parquet,
    read_bytes,
    replacing,
    walk,
    write_text,
)
from spark_cot.tables.scene_index import SceneRow, geo_metadata, index_table
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import SCENES, TABLES, Table

FORMAT_VERSION: Final = 2
_FORMATS: Final = (1, 2)

#: Pixel size of workspaces for which none is asked for, metres.
DEFAULT_RESOLUTION: Final = 20

#: Files of a scene product beside its rasters; the item is written last and makes it whole.
ITEM_NAME: Final = "item.json"
QUICKLOOK_NAME: Final = "quicklook.png"
#: The STAC collections of all products and of those of a tile, and the catalog of a month of it.
COLLECTION_NAME: Final = "collection.json"
CATALOG_NAME: Final = "catalog.json"
#: Files below the products that list them and belong to no scene.
CATALOGUES: Final = frozenset({COLLECTION_NAME, CATALOG_NAME})
INDEX_NAME: Final = "scenes.parquet"

#: Footer entry of a file of the pixel table: its scene's row of the index, as JSON.
SCENE_FOOTER: Final = "spark_cot.scene"
#: Footer entry of files of the later tables: metres, of the workspace.
RESOLUTION_FOOTER: Final = "spark_cot.resolution"
_INDEX_MARK: Final = b"spark_cot.made_from"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything lies below ``root``; ``resolution`` (metres) is that of all its scenes.

    ``format_version`` is that of the state on disk, which the next writing command makes current.
    """

    root: Path
    resolution: int
    format_version: int = FORMAT_VERSION

    @classmethod
    def create(cls, root: Path, resolution: int | None = None) -> Workspace:
        """Open the workspace at ``root``, making it if nothing is there.

        Without a ``resolution`` it is that of the workspace, 20 m for a new one.

        Raises
        ------
        WorkspaceError
            ``resolution`` is none of 10, 20, 60, the folder holds another resolution or format,
            or it cannot be written.
        TableError
            A table in the folder has another schema.
        """
        if resolution not in (None, *RESOLUTIONS_M):
            raise WorkspaceError(f"resolution {resolution} m is none of {RESOLUTIONS_M}")
        check_access(root)
        if not cls.exists(root):
            try:
                cls(root, resolution or DEFAULT_RESOLUTION).mark()
            except OSError as error:
                raise WorkspaceError(
                    f"cannot be written: {error.strerror or error}",
                    str(root),
                    "Choose another --out",
                ) from error
        workspace = cls.open(root)
        if resolution not in (None, workspace.resolution):
            raise WorkspaceError(
                f"holds scenes at {workspace.resolution} m, not {resolution} m",
                str(root),
                "Give the other resolution a folder of its own",
            )
        return workspace

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open an existing workspace; raises like `create`."""
        check_access(root)
        facts = _marked(root) or _seen(root)
        if facts is None:
            raise WorkspaceError(
                "is not a spark_cot workspace", str(root), "Run `spark-cot ingest` into it first"
            )
        if facts["format_version"] not in _FORMATS:
            raise WorkspaceError(
                f"has format version {facts['format_version']}, expected {FORMAT_VERSION}",
                str(root),
                "Use a new folder, or the version of spark_cot that made this one",
            )
        workspace = cls(root.absolute(), facts["resolution"], facts["format_version"])
        for table in TABLES:
            _check_table(root / table.name, table)
        return workspace

    @staticmethod
    def exists(root: Path) -> bool:
        """Whether there is a workspace at ``root``, with its marker or without.

        Raises
        ------
        WorkspaceError
            It holds a table that does not say at which resolution.
        """
        return (_marked(root) or _seen(root)) is not None

    def mark(self) -> None:
        """Write the marker: this is a workspace of the current format."""
        facts = {"format_version": FORMAT_VERSION, "resolution": self.resolution}
        write_text(_marker(self.root), json.dumps(facts) + "\n")

    def pixels(self, tile: str, date: str, scene_id: str) -> Path:
        """File of a scene in the pixel table."""
        return self._partition("pixels", tile, date) / f"{scene_id}.parquet"

    def cot(self, tile: str, date: str, scene_id: str) -> Path:
        """File of a scene in the COT table."""
        return self._partition("cot", tile, date) / f"{scene_id}.parquet"

    def masked(self, tile: str, date: str, scene_id: str) -> Path:
        """File of a scene in the table of thickness-masked reflectance."""
        return self._partition("masked", tile, date) / f"{scene_id}.parquet"

    def product(self, tile: str, date: str, scene_id: str) -> Path:
        """Folder of a scene's product."""
        return self._partition("products", tile, date) / scene_id

    @property
    def index(self) -> Path:
        """The scene index."""
        return self.root / "scenes" / INDEX_NAME

    @property
    def index_files(self) -> list[Path]:
        """All files of the scene index, in the format that it has on disk."""
        return [self.index] if self.format_version > 1 else _index_of_format_1(self.root)

    @property
    def collection(self) -> Path:
        """STAC collection of all products."""
        return self.root / "products" / COLLECTION_NAME

    @property
    def parts(self) -> Path:
        """Folder of work in progress."""
        return self.root / "_parts"

    @property
    def ledger(self) -> Path:
        """Folder of the state: the log, the lock, the catalogue of the archive."""
        return self.root / "_ledger"

    @property
    def reports(self) -> Path:
        """Folder of the run reports."""
        return self.root / "reports"

    def scene_table(self) -> pa.Table:
        """The scene index, ordered by scene_id: as the last run left it, empty before the first.

        Raises
        ------
        WorkspaceError
            It cannot be read.
        """
        if self.format_version == 1:
            return index_table(map(SceneRow, _scenes_of_format_1(self.root)))
        try:
            with open_parquet(self.index) as file:
                SCENES.check(file.schema_arrow, str(self.index))
                return file.read()
        except FileNotFoundError:
            return SCENES.arrow.empty_table()
        except (pa.ArrowException, OSError) as error:
            raise WorkspaceError(
                f"cannot be read: {error}", str(self.index), "`spark-cot repair` makes it anew"
            ) from error

    def scenes(self) -> list[SceneRecord]:
        """Rows of the scene index, ordered by scene_id; errors as in `scene_table`."""
        return [SceneRecord.from_row(row) for row in self.scene_table().to_pylist()]

    def index_mark(self) -> str:
        """The mark that the scene index was written with, empty if it cannot be read."""
        try:
            with open_parquet(self.index) as file:
                SCENES.check(file.schema_arrow, str(self.index))
                return str((file.metadata.metadata or {}).get(_INDEX_MARK, b"").decode())
        except (TableError, pa.ArrowException, OSError):
            return ""

    def write_index(self, table: pa.Table, mark: str) -> None:
        """Replace the scene index; ``mark`` tells what it was made from."""
        table = table.sort_by("scene_id")
        metadata = SCENES.arrow.metadata | geo_metadata() | {_INDEX_MARK: mark.encode()}
        with replacing(self.index) as temporary:
            pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")

    def _partition(self, table: str, tile: str, date: str) -> Path:
        return self.root / table / f"tile={tile}" / f"date={date}"


def _marker(root: Path) -> Path:
    return root / "_ledger" / "workspace.json"


def _marked(root: Path) -> dict[str, int] | None:
    """What the marker says; None where it is missing or damaged."""
    try:
        facts = json.loads(read_bytes(_marker(root)))
        return {name: int(facts[name]) for name in ("format_version", "resolution")}
    except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
        return None


def _seen(root: Path) -> dict[str, int] | None:
    """What the tables say where there is no marker; None where there is no table."""
    samples = [file for table in TABLES if (file := _any_file(root / table.name)) is not None]
    for file in samples:
        with suppress(pa.ArrowException, OSError, ValueError, LookupError):
            return {"format_version": _format_of(root), "resolution": _resolution_of(file)}
    if samples:
        raise WorkspaceError(
            f"holds {samples[0].relative_to(root)} but no workspace marker",
            str(root),
            f"Write to a new folder; or, if it is a workspace, put "
            f'{{"format_version": {FORMAT_VERSION}, "resolution": METRES}} into {_marker(root)} '
            "and run `spark-cot repair`",
        )
    return None


def _format_of(root: Path) -> int:
    """Format of a workspace without marker, by its scene index."""
    names = {file.name for file in find(root / "scenes", "*.parquet")}
    return FORMAT_VERSION if INDEX_NAME in names or not names else 1


def _resolution_of(file: Path) -> int:
    """Metres, of the scenes in a file of a table or of the index; else LookupError."""
    with open_parquet(file) as table:
        facts = table.metadata.metadata or {}
        if (own := facts.get(RESOLUTION_FOOTER.encode())) is not None:
            return int(own)
        if (scene := facts.get(SCENE_FOOTER.encode())) is not None:
            return int(json.loads(scene)["resolution"])
        return int(table.read(["resolution"])["resolution"][0].as_py())


def _index_of_format_1(root: Path) -> list[Path]:
    return [file for file in find(root / "scenes", "*.parquet") if file.name != INDEX_NAME]


def _scenes_of_format_1(root: Path) -> Iterator[SceneRecord]:
    for file in _index_of_format_1(root):
        try:
            row = pq.read_table(pa.BufferReader(read_bytes(file))).to_pylist()[0]
            yield SceneRecord.from_row(row)
        except (pa.ArrowException, OSError, LookupError) as error:
            log.warning("%s cannot be read, its scene is left out: %s", file, error)


def _check_table(folder: Path, table: Table) -> None:
    """Compare the schema of one file of the table with the declared one, unless it is outdated.

    The next run makes outdated files anew; whoever reads one of them checks it.
    """
    sample = _any_file(folder)
    if sample is not None:
        with suppress(pa.ArrowInvalid), open_parquet(sample) as file:  # `verify` finds damage
            if not table.is_outdated(file.schema_arrow):
                table.check(file.schema_arrow, str(sample))


def _any_file(folder: Path) -> Path | None:
    """Some file of a table, the first that is come across."""
    files = (place / name for place, _, names in walk(folder) for name in names)
    return next((file for file in files if file.suffix == ".parquet"), None)
