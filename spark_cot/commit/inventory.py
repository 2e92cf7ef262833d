"""Which files of a workspace belong to a commit, and which do not.

A ledger entry records the files its commit made, with size and checksum. Files in the tables that
no entry records are orphans: a killed run made them, or someone else did. Work in progress is
what a killed run leaves behind; the next run takes it up or replaces it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict

from spark_cot.commit.ledger import Ledger, LedgerEntry
from spark_cot.storage import sizes
from spark_cot.tables.workspace import CATALOG_NAME, COLLECTION_NAME, Workspace

#: The stages that commit files of scenes.
STAGES: Final = ("ingest", "apply", "products")

#: Folders whose files belong to scenes.
_OF_SCENES: Final = ("pixels", "scenes", "cot", "masked", "products")


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that belongs to no commit; ``path`` is relative to the workspace."""

    path: str
    size: int
    kind: Literal["orphan", "leftover"]


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
    return str(file).removeprefix(f"{workspace.root}/")


def files_of(entry: LedgerEntry) -> dict[str, FileRecord]:
    """The files an entry records, by path in the workspace."""
    files: dict[str, FileRecord] = entry.facts.get("files", {})
    return files


def strays(workspace: Workspace) -> list[Stray]:
    """Orphans and leftovers, sorted by path.

    Work in progress counts as leftover: while a job runs, that is wrong.
    """
    owned = set(_owned(workspace))
    whole_folders = _owned_folders(owned)
    found = []
    for file, size in sizes(workspace.root).items():
        path = relative(workspace, file)
        folder = path.split("/")[0]
        if folder == "_parts" or (file.name.startswith(".") and file.suffix == ".tmp"):
            found.append(Stray(path, size, "leftover"))
        elif folder == "products" and file.name in (COLLECTION_NAME, CATALOG_NAME):
            continue
        elif folder in _OF_SCENES and path not in owned and _folder(path) not in whole_folders:
            found.append(Stray(path, size, "orphan"))
    return sorted(found, key=lambda stray: stray.path)


def usage(workspace: Workspace) -> dict[str, int]:
    """Bytes below each folder of the workspace, by its name."""
    total: dict[str, int] = {}
    for file, size in sizes(workspace.root).items():
        folder, slash, _ = relative(workspace, file).partition("/")
        if slash:
            total[folder] = total.get(folder, 0) + size
    return dict(sorted(total.items()))


def _owned(workspace: Workspace) -> Iterator[str]:
    for stage in STAGES:
        for entry in Ledger(workspace, stage).entries().values():
            yield from files_of(entry)


def _owned_folders(owned: Collection[str]) -> set[str]:
    """Folders of which one file is recorded for all of them.

    Version 0.1 recorded of a scene product the STAC item alone, which names the other files.
    """
    counts = Counter(_folder(path) for path in owned if path.startswith("products/"))
    return {folder for folder, files in counts.items() if files == 1} - {"products"}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
