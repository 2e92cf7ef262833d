"""Which files of a workspace belong to a commit, and which do not.

A ledger entry records the files its commit made, with size and checksum. Files in the tables that
no entry records are orphans: a killed run made them, or someone else did. Work in progress is
what a killed run leaves behind; the next run takes it up or replaces it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from spark_cot.storage import sizes
from spark_cot.tables.ledger import Entry, Ledger
from spark_cot.tables.workspace import Workspace

#: The stages that commit files of scenes.
STAGES: Final = ("ingest", "apply", "products")

#: Folders whose files belong to scenes.
_OF_SCENES: Final = ("pixels", "scenes", "cot", "masked", "products")
_COLLECTION: Final = "products/collection.json"


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that belongs to no commit; ``path`` is relative to the workspace."""

    path: str
    size: int
    kind: Literal["orphan", "leftover"]


def recorded(workspace: Workspace, *files: Path) -> dict[str, dict[str, Any]]:
    """What a ledger entry keeps of its files: size and SHA-256, by path in the workspace."""
    return {relative(workspace, file): record_of(file) for file in files}


def record_of(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    return {"bytes": file.stat().st_size, "sha256": sha256(file)}


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def relative(workspace: Workspace, file: Path) -> str:
    """Path of a file in the workspace."""
    return str(file).removeprefix(f"{workspace.root}/")


def files_of(entry: Entry) -> dict[str, dict[str, Any]]:
    """The files an entry records, by path in the workspace."""
    files: dict[str, dict[str, Any]] = entry.facts.get("files", {})
    return files


def assets_of(item: Path) -> dict[str, dict[str, Any]]:
    """The assets of a scene product by file name, as its STAC item describes them.

    Raises
    ------
    ValueError, KeyError, OSError
        It is no STAC item, or cannot be read.
    """
    assets = json.loads(item.read_text(encoding="utf-8"))["assets"].values()
    return {asset["href"].removeprefix("./"): asset for asset in assets}


def strays(workspace: Workspace) -> list[Stray]:
    """Orphans and leftovers, sorted by path.

    Work in progress counts as leftover: while a job runs, that is wrong.
    """
    owned = set(_owned(workspace))
    found = []
    for file, size in sizes(workspace.root).items():
        path = relative(workspace, file)
        folder = path.split("/")[0]
        if folder == "_parts" or (file.name.startswith(".") and file.suffix == ".tmp"):
            found.append(Stray(path, size, "leftover"))
        elif folder in _OF_SCENES and path not in owned:
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
    yield _COLLECTION
    for stage in STAGES:
        for entry in Ledger(workspace, stage).entries().values():
            yield from files_of(entry)
            if stage == "products":
                yield from _owned_assets(workspace, files_of(entry))


def _owned_assets(workspace: Workspace, files: Iterable[str]) -> Iterator[str]:
    """Assets beside a recorded item; none if it is damaged, which `verify` says."""
    for path in files:
        if path.endswith("/item.json"):
            folder = path.rpartition("/")[0]
            try:
                yield from (f"{folder}/{name}" for name in assets_of(workspace.root / path))
            except (ValueError, KeyError, OSError):
                continue
