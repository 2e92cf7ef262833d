"""What lies below a folder, in as few requests as there are thousands of objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from spark_cot.storage.places import is_remote, store_and_key


def find(folder: Path, pattern: str = "*") -> list[Path]:
    """Files below ``folder`` whose name matches ``pattern``, sorted; none if it is missing."""
    return sorted(path for path in sizes(folder) if fnmatch(path.name, pattern))


def sizes(top: Path) -> dict[Path, int]:
    """Bytes of every file below ``top``, by path; none if it is missing."""
    if is_remote(top):
        return {top / name: size for name, (size, _) in objects(top).items()}
    return dict(_scan(top)) if top.is_dir() else {}


def objects(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and ETag of every object below ``folder``, by relative name: one listing."""
    store, top = store_and_key(folder)
    return {
        key.removeprefix(f"{top}/"): (facts["size"], facts["ETag"])
        for key, facts in store.find(top, detail=True).items()
        if facts["type"] == "file"  # s3fs gives the folder if it was empty and is no more
    }


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders from ``top`` down with the names in them, as `os.walk`: lazy, and to be pruned."""
    if is_remote(top):
        store, start = store_and_key(top)
        for key, subfolders, files in store.walk(start):
            yield top / key[len(start) + 1 :], subfolders, files
    else:
        for folder, subfolders, files in os.walk(top):
            yield Path(folder), subfolders, files


def _scan(folder: str | Path) -> Iterator[tuple[Path, int]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:  # others rename and remove
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _scan(entry.path)
            else:
                with suppress(FileNotFoundError):
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_size
