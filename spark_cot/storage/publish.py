"""Files that appear whole or not at all, and last: by rename or link, or by one upload.

What a file system has been told lies in memory for half a minute. So a file is flushed to its disk
before it gets its name, and its folder after that; a power cut then takes back neither. Parts, and
what lies beside them, go without, for the next run makes them again. Such a file may be empty or
cut short after a power cut, so whoever reads one checks that it is whole. Object stores keep what
they have confirmed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from spark_cot.storage.faults import about
from spark_cot.storage.listing import exists, listing
from spark_cot.storage.places import is_remote, store_and_key

log = logging.getLogger(__name__)

#: Objects that one request can delete. Source: Amazon S3 API reference, DeleteObjects.
DELETED_AT_ONCE: Final = 1000

#: Some network file systems cannot flush a folder; they keep names by themselves.
_CANNOT_FLUSH: Final = (errno.EINVAL, errno.ENOTSUP)


def create(target: Path, content: str) -> bool:
    """Make ``target`` with ``content`` (UTF-8) unless it exists; of many callers one succeeds.

    A hard link on file systems, a PUT with ``If-None-Match: *`` on object stores: the file is
    never seen empty or half-written, and is durable as what `publish` makes.

    Returns
    -------
    bool
        Whether this call made it.
    """
    if is_remote(target):
        return _put_new(target, content)
    temporary = _temporary(target.parent, target.name, durable=True)
    try:
        temporary.write_text(content, encoding="utf-8")
        flush(temporary)
        target.hardlink_to(temporary)
        flush(target.parent)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


@contextmanager
def replacing(target: Path, scratch: Path | None = None, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary file; publish it as ``target`` if the block succeeds, else delete it.

    ``scratch`` is the folder for the temporary file; it must be on the file system of
    ``target``, whose folder is the default. ``durable`` is that of `publish`.
    """
    temporary = _temporary(scratch or target.parent, target.name, durable)
    try:
        yield temporary
        publish(temporary, target, durable=durable)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str, *, durable: bool = True) -> None:
    """Write ``text`` (UTF-8) so that a reader sees the old content or the new, never a mixture."""
    with replacing(target, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def publish(made: Path, target: Path, *, durable: bool = True) -> None:
    """Let the finished file ``made``, in the `work_folder` of the target's store, be ``target``.

    One rename, or one upload: a reader sees the old file or the new, never a mixture. If the
    power fails later, it is still there; not ``durable`` it costs no wait for the disk, and may be
    gone, empty or cut short then.
    """
    if is_remote(target):
        _upload(made, target)
        return
    make_folder(target.parent, durable=durable)
    if durable:
        flush(made)
    made.replace(target)
    if durable:
        flush(target.parent)


def publish_all(made: Iterable[Path], folder: Path) -> None:
    """`publish` finished files in ``folder`` under their own names, durably, in the order given."""
    files = list(made)
    if is_remote(folder):
        for file in files:
            _upload(file, folder / file.name)
        return
    make_folder(folder)
    for file in files:
        flush(file)
    for file in files:
        file.replace(folder / file.name)
    flush(folder)


def move(file: Path, target: Path) -> None:
    """Take a file or folder away and let it be ``target``, also on another disk of this machine.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    if is_remote(file):
        file.rename(target)
        return
    make_folder(target.parent, durable=False)
    shutil.move(file, target)


def flush(path: Path) -> None:
    """Wait until the disk has the content of a file, or the names in a folder."""
    if is_remote(path):
        return
    is_folder = path.is_dir()
    with about(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if not (is_folder and error.errno in _CANNOT_FLUSH):
                raise
        finally:
            os.close(descriptor)


def work_folder(folder: Path) -> Path:
    """Local folder for files to be published below ``folder``: itself, so that a rename does.

    For an object store it is the node's scratch space: that of Spark inside of a Spark task.
    """
    if is_remote(folder):
        return Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0])
    make_folder(folder, durable=False)
    return folder


def make_folder(folder: Path, *, durable: bool = True) -> None:
    """Make ``folder`` and those above it, also while a twin of this task removes them.

    Raises
    ------
    FileExistsError
        A file has its name.
    """
    try:
        folder.mkdir()
    except FileNotFoundError:
        make_folder(folder.parent, durable=durable)
        make_folder(folder, durable=durable)
    except FileExistsError:
        if folder.is_dir():
            return
        if os.path.lexists(folder):
            raise
        make_folder(folder, durable=durable)  # it was there, and gone when we looked what it is
    else:
        if durable:
            flush(folder.parent)


def remove_files(files: Iterable[Path]) -> None:
    """Remove files of one store, as far as they are there; a thousand objects by one request.

    Raises
    ------
    OSError
        One of them cannot be removed; others may be gone.
    """
    remaining = iter(files)
    while batch := list(islice(remaining, DELETED_AT_ONCE)):
        if is_remote(batch[0]):
            _delete(batch)
        else:
            for file in batch:
                file.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove ``folder`` and all below it, if there is any; links are cut, not followed.

    What cannot be removed stays, with a warning: scratch that is left behind fails nobody.
    """
    try:
        if is_remote(folder):
            remove_files(listing(folder))
        else:
            _remove_tree(folder)
    except OSError as error:
        log.warning("left behind: %s", error)


def remove_empty_folders(top: Path) -> None:
    """Remove ``top`` and the folders below it that hold nothing, but none behind a link.

    An object store has no folders.
    """
    if is_remote(top) or top.is_symlink():
        return
    for folder, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):  # it holds something
            Path(folder).rmdir()


def _remove_tree(folder: Path) -> None:
    with suppress(FileNotFoundError):  # a twin of this task removes them as well
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink(missing_ok=True)
        folder.rmdir()


def _upload(made: Path, target: Path) -> None:
    store, key = store_and_key(target)
    with about(target):
        store.put_file(str(made), key)


def _delete(files: list[Path]) -> None:
    store, first = store_and_key(files[0])
    bucket = first.split("/")[0]
    keys = [{"Key": store_and_key(file)[1].removeprefix(f"{bucket}/")} for file in files]
    with about(files[0]):
        answer = store.call_s3(
            "delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True}
        )
    refused: list[dict[str, Any]] = answer.get("Errors", [])
    if refused:
        fault = refused[0]
        why = f"{fault.get('Code')}: {fault.get('Message')}"
        raise OSError(errno.EIO, why, f"s3://{bucket}/{fault.get('Key')}")


def _put_new(target: Path, content: str) -> bool:
    store, key = store_and_key(target)
    try:
        with about(target):
            store.pipe_file(key, content.encode(), mode="create")
    except FileExistsError:
        return False
    except OSError:  # not every server says which condition failed
        if not exists(target):
            raise
        return False
    return True


def _temporary(folder: Path, name: str, durable: bool) -> Path:
    if is_remote(folder):
        folder = work_folder(folder)
    else:
        make_folder(folder, durable=durable)
    return folder / f".{name}.{uuid.uuid4().hex}.tmp"
