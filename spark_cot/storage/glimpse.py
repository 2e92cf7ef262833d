"""A look at what is not known yet: the names in one folder, the first bytes of one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from spark_cot.storage.places import is_remote, store_and_key


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder: a folder, a regular file, a link, or none of these."""

    name: str
    is_folder: bool
    is_file: bool
    is_link: bool = False


def entries(folder: Path) -> list[Entry]:
    """What lies directly in a folder, sorted by name: one request. Links are not followed.

    Raises
    ------
    OSError
        It cannot be listed.
    """
    if is_remote(folder):
        store, key = store_and_key(folder)
        listed = (
            (facts["name"][len(key) + 1 :], facts["type"]) for facts in store.ls(key, detail=True)
        )
        found = [Entry(name, kind == "directory", kind == "file") for name, kind in listed if name]
    else:
        with os.scandir(folder) as scanned:
            found = [
                Entry(
                    entry.name,
                    entry.is_dir(follow_symlinks=False),
                    entry.is_file(follow_symlinks=False),
                    entry.is_symlink(),
                )
                for entry in scanned
            ]
    return sorted(found, key=lambda entry: entry.name)


def read_start(path: Path, size: int) -> bytes:
    """The first ``size`` bytes of a file, or all there are."""
    if is_remote(path):
        store, key = store_and_key(path)
        with store.open(key, "rb", cache_type="none") as stream:
            return bytes(stream.read(size))
    with path.open("rb") as stream:
        return stream.read(size)
