"""What lies below a folder, in as few requests as there are thousands of objects.

Only "no such file" means that nothing is there. Any other error is raised with its path: a disk
that cannot be read must never look like an empty one.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from spark_cot.storage.faults import about
from spark_cot.storage.places import is_remote, store_and_key

log = logging.getLogger(__name__)

#: Errors that say that nothing has the name; the last one is a link that leads to itself.
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a listing tells of a file: bytes, and when it was last written (POSIX seconds)."""

    size: int
    modified: float


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; OSError where that cannot be known."""
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Whether there is such a file; OSError where that cannot be known."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def find(folder: Path, pattern: str = "*") -> list[Path]:
    """Files below ``folder`` whose name matches ``pattern``, sorted; none if it is missing."""
    return sorted(path for path in listing(folder) if fnmatch(path.name, pattern))


def sizes(top: Path) -> dict[Path, int]:
    """Bytes of every file below ``top``, by path; none if it is missing."""
    return {path: facts.size for path, facts in listing(top).items()}


def listing(top: Path, *, through_links: bool = True) -> dict[Path, FileFacts]:
    """Every file below ``top``, by path; none if it is missing.

    Symbolic links count as what they lead to, for a table may lie on several disks. Without
    ``through_links`` they, and all that is behind them, are left out.

    Raises
    ------
    OSError
        A folder or file cannot be looked at.
    """
    if is_remote(top):
        found = _objects(top).items()
        return {top / name: _facts(facts) for name, facts in found}
    return {
        Path(top, folder, name): FileFacts(status.st_size, status.st_mtime)
        for folder, files in _scan(str(top), through_links)
        for name, status in files.items()
    }


def folders(top: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Every folder below ``top``, and itself, that has files; none if it is missing.

    As `listing`, by folder and without its paths: a third of the time, a fifth of the memory.

    Yields
    ------
    folder : str
        Relative to ``top``; empty for itself.
    sizes : dict[str, int]
        Bytes by name of the files directly inside.
    """
    if is_remote(top):
        found: dict[str, dict[str, int]] = {}
        for path, facts in _objects(top).items():
            folder, _, name = path.rpartition("/")
            found.setdefault(folder, {})[name] = facts["size"]
        yield from found.items()
    else:
        for folder, files in _scan(str(top)):
            yield folder, {name: status.st_size for name, status in files.items()}


def objects(folder: Path) -> dict[str, tuple[int, str]]:
    """Size in bytes and ETag of every object below ``folder``, by relative name: one listing."""
    return {name: (facts["size"], facts["ETag"]) for name, facts in _objects(folder).items()}


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders from ``top`` down with the names in them, as `os.walk`: lazy, and to be pruned.

    A folder that belongs to someone else is left out, with a warning.
    """
    if is_remote(top):
        store, start = store_and_key(top)
        with about(top):
            for key, subfolders, files in store.walk(start, on_error=_unless_absent):
                yield top / key[len(start) + 1 :], subfolders, files
    else:
        for folder, subfolders, files in os.walk(top, onerror=_unless_absent):
            yield Path(folder), subfolders, files


def _unless_absent(error: OSError) -> None:
    if isinstance(error, PermissionError):
        log.warning("left out: %s", error)
    elif not isinstance(error, FileNotFoundError) and error.errno not in _ABSENT:
        raise error


def _mode(path: Path) -> int | None:
    """Type of a file or folder, as in ``st_mode``; None if there is none."""
    if is_remote(path):
        store, key = store_and_key(path)
        try:
            with about(path):
                kind = store.info(key)["type"]
        except FileNotFoundError:
            return None
        return stat.S_IFDIR if kind == "directory" else stat.S_IFREG
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return None
    except ValueError:  # no file can have such a name
        return None


def _objects(folder: Path) -> dict[str, dict[str, Any]]:
    store, top = store_and_key(folder)
    with about(folder):
        found = store.find(top, detail=True)
    return {
        key.removeprefix(f"{top}/"): facts
        for key, facts in found.items()
        if facts["type"] == "file"  # s3fs gives the folder if it was empty and is no more
    }


def _facts(found: dict[str, Any]) -> FileFacts:
    return FileFacts(found["size"], found["LastModified"].timestamp())


def _scan(
    top: str,
    through_links: bool = True,
    folder: str = "",
    above: tuple[tuple[int, int], ...] = (),
) -> Iterator[tuple[str, dict[str, os.stat_result]]]:
    """Every folder at or below ``folder`` of ``top`` that has files, with these by name.

    ``above`` are device and inode of the folders that lead there: a link may lead back up.
    """
    place = f"{top}/{folder}" if folder else top
    files: dict[str, os.stat_result] = {}
    inside = []
    with suppress(FileNotFoundError, NotADirectoryError):  # others rename and remove
        status = os.stat(place)  # noqa: PTH116 (text all along)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        with os.scandir(place) as entries:
            for entry in entries:
                if not through_links and entry.is_symlink():
                    continue
                try:
                    if entry.is_dir():
                        inside.append(entry.name)
                    else:
                        files[entry.name] = entry.stat()
                except OSError as error:
                    if error.errno not in _ABSENT:
                        raise
        if files:
            yield folder, files
        for name in inside:
            deeper = f"{folder}/{name}" if folder else name
            yield from _scan(top, through_links, deeper, (*above, identity))
