"""From files to ledger entries: what tables and products say of their making.

The file that commits a scene (`commit.listing`) names the scene, its key and what it was made from.
Of a ledger entry it cannot say how often it was tried and how long it took, nor anything of
failures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot.commit.files import FileRecord, record_of, record_of_bytes
from spark_cot.commit.ledger import MADE, STAGES, LedgerEntry, Made, utc
from spark_cot.commit.listing import Found
from spark_cot.commit.parts import KEY
from spark_cot.errors import SparkCotError, TableError
from spark_cot.models.classes import CloudClass
from spark_cot.progress import progress
from spark_cot.storage import open_parquet, read_bytes
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT
from spark_cot.tables.workspace import ITEM_NAME, SCENE_FOOTER, Workspace

#: Beginning of a checksum in STAC: code and length of SHA-256 (multiformats.io/multihash).
SHA256_MULTIHASH: Final = "1220"

#: What the footer of every file of a table says of its schema.
_OF_SCHEMA: Final = frozenset(COT.arrow.metadata) - {b"spark_cot.schema_version"}

_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was read back from files, and why it could not be from others.

    Attributes
    ----------
    entries : list[LedgerEntry]
    foreign : dict
        Reasons by path: files that are no result of ours, or of another scene.
    silent : dict
        Reasons by path: results that do not say what they were made from, or are not whole.
    unreadable : dict
        Reasons by path: files that the store did not give.
    """

    entries: list[LedgerEntry] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def note(self, path: str, result: LedgerEntry | Exception) -> None:
        """Take up what reading the file at ``path`` came to."""
        if isinstance(result, LedgerEntry):
            self.entries.append(result)
        else:
            self._kind(result)[path] = _words(result)

    def _kind(self, error: Exception) -> dict[str, str]:
        if isinstance(error, ForeignFileError):
            return self.foreign
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            return self.unreadable
        return self.silent


class ForeignFileError(TableError):
    """A file that is no result of ours, or of another scene than its name says."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads entries back from the files of a workspace.

    Attributes
    ----------
    workspace : Workspace
    committing : mapping
        By stage and scene, the files to read.
    sizes : mapping
        Bytes by path of all files of these scenes.
    records : callable
        Gives the scene index by name, for pixel files of version 0.1, which do not hold their row.
    """

    workspace: Workspace
    committing: Mapping[str, Mapping[str, Found]]
    sizes: Mapping[str, int]
    records: Callable[[], Mapping[str, SceneRecord]]

    def read(self) -> Rebuilt:
        """The entries of all files.

        They lack the SHA-256 of tables, which cannot hold their own (`with_checksums`), and those
        of later stages the product they came from.
        """
        tasks = [
            (stage, name, found)
            for stage in STAGES
            for name, found in self.committing.get(stage, {}).items()
        ]
        rebuilt = Rebuilt()
        with (
            progress("Reading what files say", len(tasks), "files", shown=bool(tasks)) as show,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            for number, (found, result) in enumerate(pool.map(self._try, tasks), start=1):
                rebuilt.note(found.path, result)
                show(number)
        return rebuilt

    def _try(self, task: tuple[str, str, Found]) -> tuple[Found, LedgerEntry | Exception]:
        """One file's entry, or why there is none."""
        stage, name, found = task
        read = {"ingest": self._pixels, "apply": self._cot, "products": self._item}[stage]
        try:
            return found, read(name, found)
        except Exception as error:
            return found, error

    def _pixels(self, name: str, found: Found) -> LedgerEntry:
        footer, rows = footer_of(self.workspace, name, found.path)
        made, made_at = _made("ingest", footer), self._time(found)
        if SCENE_FOOTER in footer:
            rest = {"valid_pixels": rows, "ingested_at": made_at.isoformat()}
            record = SceneRecord.from_json(json.loads(footer[SCENE_FOOTER]) | rest)
        elif name in (index := self.records()):
            record = index[name]
        else:
            raise TableError("does not say which product it was made from")
        place = self.workspace.pixels(record.tile, record.date, name)
        if place != self.workspace.root / found.path:
            raise ForeignFileError(f"is of tile {record.tile} and date {record.date}")
        if record.resolution != self.workspace.resolution:
            raise ForeignFileError(f"has pixels of {record.resolution} m")
        return self._entry(
            "ingest",
            name,
            footer[KEY],
            rows=rows,
            source=record.source,
            facts=made.configuration,
            details={"input": made.input, "scene": record.to_json()},
            files={found.path: _size_of(found)},
            finished_at=utc(made_at),
        )

    def _cot(self, name: str, found: Found) -> LedgerEntry:
        footer, rows = footer_of(self.workspace, name, found.path)
        made = _made("apply", footer)
        return self._entry(
            "apply",
            name,
            made.key,
            rows=rows,
            facts=made.configuration,
            details={"input": made.input},
            files={found.path: _size_of(found)},
            finished_at=utc(self._time(found)),
        )

    def _item(self, name: str, found: Found) -> LedgerEntry:
        content = read_bytes(self.workspace.root / found.path)
        item = json.loads(content)
        facts = item["properties"]
        if "spark_cot:key" not in facts:
            raise TableError("does not say what it was made from, as none of version 0.1 does")
        files = item_files(found.path, item)
        missing = [p for p, r in files.items() if self.sizes.get(p) != r["bytes"]]
        if item["id"] != name:
            raise ForeignFileError(f"describes scene {item['id']}")
        if missing:
            raise TableError(f"names files that are missing or others: {', '.join(missing)}")
        size = sum(record["bytes"] for record in files.values())
        files[found.path] = record_of_bytes(content)
        made = Made.from_dict(facts["spark_cot:key"], facts["spark_cot:made"])
        if made.configuration["mask_above"] is not None:
            files |= self._masked(name, found, facts["spark_cot:key"])
        ny, nx = facts["proj:shape"]
        classes = [code.style.name for code in CloudClass]
        return self._entry(
            "products",
            name,
            facts["spark_cot:key"],
            rows=ny * nx,
            facts=made.configuration,
            details={
                "input": made.input,
                "model_hash": facts["spark_cot:model_hash"],
                "cover": {name: facts[f"spark_cot:{name}_cover"] for name in classes},
                "outside": facts["spark_cot:outside_cover"],
                "bytes": size,
                "item": found.path,
            },
            files=files,
            finished_at=utc(self._time(found)),
        )

    def _masked(self, name: str, item: Found, key: str) -> dict[str, FileRecord]:
        """The scene's file of masked reflectance, made together with the item."""
        path = f"masked{item.path.removeprefix('products').removesuffix(f'/{ITEM_NAME}')}.parquet"
        if path not in self.sizes:
            raise TableError(f"has no {path} beside it")
        found = Found(path, self.sizes[path])
        footer, _ = footer_of(self.workspace, name, found.path)
        if footer[KEY] != key:
            raise TableError(f"was not made together with {path}")
        return {path: _size_of(found)}

    def _time(self, found: Found) -> datetime:
        modified = (self.workspace.root / found.path).stat().st_mtime
        return datetime.fromtimestamp(modified, UTC)

    @staticmethod
    def _entry(stage: str, name: str, key: str, **values: Any) -> LedgerEntry:
        return LedgerEntry(stage, name, key, "done", **values)


def with_checksums(workspace: Workspace, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The entries with the SHA-256 of each file that lacks it; such files are read whole.

    Entries of files that cannot be read stay as they are.
    """

    def completed(entry: LedgerEntry) -> LedgerEntry:
        with suppress(OSError):
            taken = {
                path: record if record["sha256"] else record_of(workspace.root / path)
                for path, record in entry.files.items()
            }
            return replace(entry, files=taken)
        return entry

    done = []
    with (
        progress("Taking checksums", len(entries), "files", shown=bool(entries)) as show,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for entry in pool.map(completed, entries):
            done.append(entry)
            show(len(done))
    return done


def item_files(path: str, item: Mapping[str, Any]) -> dict[str, FileRecord]:
    """Size and SHA-256 of the files that the item at ``path`` names, by path in the workspace."""
    folder = path.rpartition("/")[0]
    return {
        f"{folder}/{asset['href'].removeprefix('./')}": {
            "bytes": asset["file:size"],
            "sha256": asset["file:checksum"].removeprefix(SHA256_MULTIHASH),
        }
        for asset in item["assets"].values()
    }


def footer_of(workspace: Workspace, name: str, path: str) -> tuple[dict[str, str], int]:
    """What a scene's file of a table says of its making, and its rows.

    Raises
    ------
    ForeignFileError
        It is no result of ours, or of another scene.
    OSError
        It cannot be read.
    """
    metadata = _metadata(workspace.root / path)
    footer = {k.decode(): v.decode() for k, v in (metadata.metadata or {}).items()}
    if KEY not in footer:
        raise ForeignFileError("has no key of what it was made from")
    if (scene := _scene_of(metadata)) not in (name, None):
        raise ForeignFileError(f"holds scene {scene}")
    return footer, metadata.num_rows


def _size_of(found: Found) -> FileRecord:
    return {"bytes": found.size, "sha256": ""}


def _made(stage: str, footer: Mapping[str, str]) -> Made:
    """What a file was made from; files of version 0.1 name the model alone, if there is one."""
    if MADE in footer:
        return Made.from_dict(footer[KEY], json.loads(footer[MADE]))
    known = {
        name: value
        for name, value in footer.items()
        if name.startswith("spark_cot.") and name != KEY and name.encode() not in _OF_SCHEMA
    }
    return Made(stage, footer[KEY], "", known)


def _scene_of(metadata: pq.FileMetaData) -> str | None:
    """The scene of a file's rows, None if there is no row."""
    if not metadata.num_rows:
        return None
    statistics = metadata.row_group(0).column(metadata.schema.names.index("scene_id")).statistics
    return str(statistics.min)


def _metadata(path: Path) -> pq.FileMetaData:
    """The footer of a Parquet file."""
    try:
        with open_parquet(path) as file:
            return file.metadata
    except pa.ArrowException as error:
        raise ForeignFileError(f"is no whole Parquet file: {error}") from error


def _words(error: Exception) -> str:
    text = str(error) if isinstance(error, SparkCotError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
