"""Size and checksum of files, and their paths in the workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypedDict

from spark_cot.storage import move
from spark_cot.tables.workspace import Workspace

#: Folder of what was set aside, in that of work in progress: some readers take every file that lies
#: in a table for one of it.
_SET_ASIDE: Final = "damaged"


class FileRecord(TypedDict):
    """A file's size, and its SHA-256 in hexadecimal; empty where nobody has taken it yet."""

    bytes: int
    sha256: str


def recorded(workspace: Workspace, *files: Path) -> dict[str, FileRecord]:
    """Size and SHA-256 of files, by path in the workspace."""
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


def set_aside(workspace: Workspace, paths: Iterable[str]) -> list[str]:
    """Move files that commit damaged results away, as far as they are there; they are due then."""
    due = list(paths)
    for path in due:
        with suppress(FileNotFoundError):
            move(workspace.root / path, workspace.parts / _SET_ASIDE / path)
    return due
