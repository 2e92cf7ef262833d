"""Which files of a workspace belong to a commit.

A ledger entry records the files its commit made, with size and checksum. A whole file in its place
that no entry records owns itself: its entry was lost, or is still to come.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

import pyarrow as pa

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.storage import find, open_parquet, read_bytes, sizes
from spark_cot.tables.workspace import CATALOG_NAME, COLLECTION_NAME, ITEM_NAME, Workspace

#: The stages that commit files of scenes.
STAGES: Final = ("ingest", "apply", "products")

#: Folders whose files belong to scenes.
_OF_SCENES: Final = ("pixels", "scenes", "cot", "masked", "products")

#: A file of a scene in one of the tables.
_TABLE_FILE: Final = re.compile(
    r"scenes/S2\w+\.parquet"
    r"|(pixels|cot|masked)/tile=(?P<tile>\w+)/date=[\d-]+/S2\w_T(?P=tile)_\w+\.parquet"
)


@dataclass(frozen=True, slots=True)
class Owned:
    """The files that belong to commits.

    Attributes
    ----------
    files : frozenset[str]
        Paths in the workspace.
    unreadable : list[str]
        Owners that could not be read, with reasons: more files than ``files`` may be theirs.
    """

    files: frozenset[str]
    unreadable: list[str] = field(default_factory=list)


class FileRecord(TypedDict):
    """What a ledger entry keeps of a file: its size, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


def recorded(workspace: Workspace, *files: Path) -> dict[str, FileRecord]:
    """What a ledger entry keeps of its files: size and SHA-256, by path in the workspace."""
    return {relative(workspace, file): record_of(file) for file in files}


def record_of(file: Path) -> FileRecord:
    """Size and SHA-256 of a file."""
    return {"bytes": file.stat().st_size, "sha256": sha256(file)}


def record_of_bytes(content: bytes) -> FileRecord:
    """Size and SHA-256 of a file that holds ``content``."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def relative(workspace: Workspace, file: Path) -> str:
    """Path of a file in the workspace."""
    return str(file).removeprefix(str(workspace.root).rstrip("/")).removeprefix("/")


def files_of(entry: LedgerEntry) -> dict[str, FileRecord]:
    """The files an entry records, by path in the workspace."""
    files: dict[str, FileRecord] = entry.facts.get("files", {})
    return files


def owned(workspace: Workspace) -> Owned:
    """The files that ledger entries, or the files themselves, say to be a scene's."""
    files: set[str] = set()
    unreadable: list[str] = []
    for stage in STAGES:
        for entry in find(workspace.ledger / stage, "*.json"):
            try:
                files |= set(json.loads(read_bytes(entry))["facts"].get("files", {}))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                unreadable.append(f"{relative(workspace, entry)}: {error!r}")
    for file in (file for table in _OF_SCENES for file in find(workspace.root / table)):
        path = relative(workspace, file)
        try:
            if path not in files:
                files |= set(_own(path, file))
        except OSError as error:
            unreadable.append(f"{path}: {error}")
    folders = _owned_folders(files)
    products = find(workspace.root / "products") if folders else []
    beside = {relative(workspace, file) for file in products}
    files |= {path for path in beside if _folder(path) in folders}
    return Owned(frozenset(files), unreadable)


def usage(workspace: Workspace) -> dict[str, int]:
    """Bytes below each folder of the workspace, by its name."""
    total: dict[str, int] = {}
    for file, size in sizes(workspace.root).items():
        folder, slash, _ = relative(workspace, file).partition("/")
        if slash:
            total[folder] = total.get(folder, 0) + size
    return dict(sorted(total.items()))


def _own(path: str, file: Path) -> Iterator[str]:
    """The files that a file in its place says to be its scene's, itself among them."""
    if path.startswith("products/") and file.name in (COLLECTION_NAME, CATALOG_NAME):
        yield path
    elif _TABLE_FILE.fullmatch(path):
        with suppress(pa.ArrowInvalid), open_parquet(file):
            yield path
    elif path.endswith(f"/{ITEM_NAME}"):
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            assets = json.loads(read_bytes(file))["assets"].values()
            yield path
            yield from (f"{_folder(path)}/{Path(asset['href']).name}" for asset in assets)


def _owned_folders(owned: Collection[str]) -> set[str]:
    """Folders of which one file is recorded for all of them.

    Version 0.1 recorded of a scene product the STAC item alone, which names the other files.
    """
    counts = Counter(_folder(path) for path in owned if path.startswith("products/"))
    return {folder for folder, files in counts.items() if files == 1} - {"products"}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
