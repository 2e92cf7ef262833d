"""The workspace: one folder that holds the tables, the products, the ledger and the reports.

::

    pixels/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819.parquet
    scenes/S2B_T31TCJ_20240305T104819.parquet
    cot/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819.parquet
    masked/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819.parquet
    products/tile=31TCJ/date=2024-03-05/S2B_T31TCJ_20240305T104819/{cot.tif, ..., item.json}
    products/{collection.json, tile=31TCJ/{collection.json, month=2024-03/catalog.json}}
    _ledger/{ingest,apply,products}/NAME.json
    _ledger/sources.parquet     what the archive's products were found to hold
    _ledger/lock/               who writes
    _parts/...        work in progress; nothing a reader globs for
    reports/

A scene is one file in each table, so it appears, changes and disappears by one rename, or by one
upload in an object store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot.errors import WorkspaceError
from spark_cot.msi import RESOLUTIONS_M
from spark_cot.storage import (
    check_access,
    find,
    open_parquet,
    read_all,
    read_bytes,
    walk,
    write_text,
)
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import SCENES, TABLES, Table

FORMAT_VERSION: Final = 1

#: Files of a scene product beside its rasters; the item is written last and makes it whole.
ITEM_NAME: Final = "item.json"
QUICKLOOK_NAME: Final = "quicklook.png"
#: The STAC collections of all products and of those of a tile, and the catalog of a month of it.
COLLECTION_NAME: Final = "collection.json"
CATALOG_NAME: Final = "catalog.json"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything lies below ``root``; ``resolution`` (metres) is that of all its scenes."""

    root: Path
    resolution: int

    @classmethod
    def create(cls, root: Path, resolution: int) -> Workspace:
        """Open the workspace at ``root``, making it if nothing is there.

        Raises
        ------
        WorkspaceError
            ``resolution`` is none of 10, 20, 60, the folder holds another resolution or format,
            or it cannot be written.
        TableError
            A table in the folder has another schema.
        """
        if resolution not in RESOLUTIONS_M:
            raise WorkspaceError(f"resolution {resolution} m is none of {RESOLUTIONS_M}")
        check_access(root)
        marker = _marker(root)
        if not marker.exists():
            _refuse_foreign_tables(root)
            facts = {"format_version": FORMAT_VERSION, "resolution": resolution}
            try:
                write_text(marker, json.dumps(facts) + "\n")
            except OSError as error:
                raise WorkspaceError(
                    f"cannot be written: {error.strerror or error}",
                    str(root),
                    "Choose another --out",
                ) from error
        workspace = cls.open(root)
        if workspace.resolution != resolution:
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
        try:
            facts = json.loads(read_bytes(_marker(root)))
        except FileNotFoundError as error:
            raise WorkspaceError(
                "is not a spark_cot workspace", str(root), "Run `spark-cot ingest` into it first"
            ) from error
        if facts.get("format_version") != FORMAT_VERSION:
            raise WorkspaceError(
                f"has format version {facts.get('format_version')}, expected {FORMAT_VERSION}",
                str(root),
                "Use a new folder, or the version of spark_cot that made this one",
            )
        workspace = cls(root.absolute(), int(facts["resolution"]))
        for table in TABLES:
            _check_table(root / table.name, table)
        return workspace

    @staticmethod
    def exists(root: Path) -> bool:
        """Whether there is a workspace at ``root``."""
        return _marker(root).is_file()

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

    def scene(self, scene_id: str) -> Path:
        """File of a scene in the scene index."""
        return self.root / "scenes" / f"{scene_id}.parquet"

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
        """Folder of the ledger."""
        return self.root / "_ledger"

    @property
    def reports(self) -> Path:
        """Folder of the run reports."""
        return self.root / "reports"

    def scenes(self, names: Iterable[str] | None = None) -> list[SceneRecord]:
        """Rows of the scene index, all or those of ``names``, ordered by scene_id."""
        if names is None:
            files = find(self.root / "scenes", "*.parquet")
        else:
            files = [self.scene(name) for name in names]
        contents = read_all(files).values()
        tables = [pq.read_table(pa.BufferReader(file), schema=SCENES.arrow) for file in contents]
        rows = (row for table in tables for row in table.to_pylist())
        return sorted(map(SceneRecord.from_row, rows), key=lambda scene: scene.scene_id)

    def _partition(self, table: str, tile: str, date: str) -> Path:
        return self.root / table / f"tile={tile}" / f"date={date}"


def _marker(root: Path) -> Path:
    return root / "_ledger" / "workspace.json"


def _refuse_foreign_tables(root: Path) -> None:
    for table in TABLES:
        if _any_file(root / table.name) is not None:
            raise WorkspaceError(
                f"holds a {table.name}/ table but no workspace marker",
                str(root),
                "Write to a new folder",
            )


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
