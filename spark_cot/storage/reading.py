"""Reading no more than is needed: ranges of large files, small files together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot.storage.faults import about
from spark_cot.storage.places import is_remote, store_and_key
from spark_cot.storage.publish import work_folder


@contextmanager
def local_copies(paths: list[Path]) -> Iterator[list[Path]]:
    """The files themselves, or copies for as long as the block runs, for libraries that need files.

    Raises
    ------
    FileNotFoundError
        One of them is missing.
    """
    if not any(map(is_remote, paths)):
        yield paths
        return
    with tempfile.TemporaryDirectory(dir=work_folder(paths[0])) as folder:
        copies = [Path(folder, f"{index}-{path.name}") for index, path in enumerate(paths)]
        for path, copy in zip(paths, copies, strict=True):
            store, key = store_and_key(path)
            with about(path):
                store.get_file(key, str(copy))
        yield copies


def seekable(path: Path) -> Path | BinaryIO:
    """What a library reads at places of its choice: the path, or a stream of range requests."""
    if not is_remote(path):
        return path
    store, key = store_and_key(path)
    with about(path):
        stream: BinaryIO = store.open(key, "rb", block_size=1 << 18)
    return stream


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file of which only what is asked for is read: footer, row groups, columns.

    Raises
    ------
    pa.ArrowInvalid
        It is no whole Parquet file.
    OSError
        It is missing, or cannot be read.
    """
    if is_remote(path):
        store, key = store_and_key(path)
        # No read-ahead: Arrow joins neighbouring ranges itself and knows which it needs.
        with about(path):
            stream = store.open(key, "rb", cache_type="none")
        with stream:
            with about(path), _damage(path):
                file = pq.ParquetFile(stream, pre_buffer=True)
            with file:
                yield file
    else:
        with about(path), _damage(path):
            file = pq.ParquetFile(path)
        with file:
            yield file


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Tell a damaged footer, of which Arrow makes an OSError too, from a file that is not read."""
    try:
        yield
    except OSError as error:
        if type(error) is OSError and error.errno is None:
            raise pa.ArrowInvalid(f"{path}: {error}") from error
        raise


def read_bytes(path: Path) -> bytes:
    """Content of a small file, whole and of one version: an object is asked for once.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    if is_remote(path):
        store, key = store_and_key(path)
        with about(path):
            return bytes(store.cat_file(key, max_concurrency=1))
    return path.read_bytes()


def read_all(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Content of small files by path, in the order given, without those that are missing."""
    paths = list(paths)
    if not any(map(is_remote, paths)):
        return dict(_read_each(paths))
    store, _ = store_and_key(paths[0])
    keys = {store_and_key(path)[1]: path for path in paths}
    with about(paths[0].parent):
        found = store.cat(list(keys), on_error="return", max_concurrency=1)
    for key, value in found.items():
        if isinstance(value, Exception) and not isinstance(value, FileNotFoundError):
            with about(keys[key]):
                raise value
    return {path: found[key] for key, path in keys.items() if isinstance(found[key], bytes)}


def _read_each(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    for path in paths:
        with suppress(FileNotFoundError):
            yield path, path.read_bytes()
