"""Files that appear whole or not at all: by rename or link, or by one upload."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_cot.storage.places import is_remote, store_and_key


def create(target: Path, content: str) -> bool:
    """Make ``target`` with ``content`` (UTF-8) unless it exists; of many callers one succeeds.

    A hard link on file systems, a PUT with ``If-None-Match: *`` on object stores: the file is
    never seen empty or half-written.

    Returns
    -------
    bool
        Whether this call made it.
    """
    if is_remote(target):
        return _put_new(target, content)
    temporary = _temporary(target.parent, target.name)
    try:
        temporary.write_text(content, encoding="utf-8")
        target.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


@contextmanager
def replacing(target: Path, scratch: Path | None = None) -> Iterator[Path]:
    """Give a temporary file; publish it as ``target`` if the block succeeds, else delete it.

    ``scratch`` is the folder for the temporary file; it must be on the file system of
    ``target``, whose folder is the default.
    """
    temporary = _temporary(scratch or target.parent, target.name)
    try:
        yield temporary
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` (UTF-8) so that a reader sees the old content or the new, never a mixture."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def publish(made: Path, target: Path) -> None:
    """Let the finished file ``made``, in the `work_folder` of the target's store, be ``target``.

    One rename, or one upload: a reader sees the old file or the new, never a mixture.
    """
    if is_remote(target):
        store, key = store_and_key(target)
        store.put_file(str(made), key)
    else:
        make_folder(target.parent)
        made.replace(target)


def work_folder(folder: Path) -> Path:
    """Local folder for files to be published below ``folder``: itself, so that a rename does.

    For an object store it is the node's scratch space: that of Spark inside of a Spark task.
    """
    if is_remote(folder):
        return Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0])
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it, also while a twin of this task removes them.

    Raises
    ------
    FileExistsError
        A file has its name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # it was there, and gone when `mkdir` looked what it is
        if folder.is_file():
            raise
        make_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove ``folder`` and all below it, if there is any."""
    if is_remote(folder):
        store, key = store_and_key(folder)
        if found := store.find(key):
            store.rm(found)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _put_new(target: Path, content: str) -> bool:
    store, key = store_and_key(target)
    try:
        store.pipe_file(key, content.encode(), mode="create")
    except FileExistsError:
        return False
    except OSError:  # not every server says which condition failed
        if not target.exists():
            raise
        return False
    return True


def _temporary(folder: Path, name: str) -> Path:
    return work_folder(folder) / f".{name}.{uuid.uuid4().hex}.tmp"
