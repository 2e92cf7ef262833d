"""Where files lie: on a file system or in an object store, behind the methods of ``pathlib.Path``.

Paths such as ``s3://bucket/workspace`` are universal-pathlib's `UPath`, which has the methods of
``pathlib.Path`` and is annotated as one throughout the package; it pickles, so tasks carry it.
What differs between the two kinds of store is here and nowhere else: a file system has rename; an
object store has none, but shows an object only when its upload is complete, and every question to
it is a request, so that small files are asked for together.

Credentials and endpoint come from the environment (``AWS_*``), as for every S3 client.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from upath import UPath

from spark_cot.errors import SetupError

#: What a worker on another machine needs to know of the driver's environment.
_TRAVELLING: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


def path_of(place: str | Path) -> Path:
    """The path that ``place``, a path or an ``s3://bucket/key``, names.

    Raises
    ------
    SetupError
        It is a URL of another kind, the packages for S3 are missing, or the store does not let
        us in.
    """
    if not isinstance(place, str):
        return place
    if "://" not in place:
        return Path(place)
    if not place.startswith("s3://") or place == "s3://":
        raise SetupError("is no path and no s3:// URL", place, "Give s3://bucket/folder")
    # A cached listing would not show what another task has written since.
    path = UPath(place.rstrip("/"), use_listings_cache=False)
    _check_access(path.drive)
    return cast(Path, path)


@cache
def _check_access(bucket: str) -> None:
    """Ask for a bucket once in a process, so that a wrong setting is one clear error."""
    url = f"s3://{bucket}"
    try:
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

        store = UPath(url).fs
    except ImportError as error:
        raise SetupError("needs the S3 packages", url, "pip install 'spark-cot[s3]'") from error
    try:
        store.call_s3("head_bucket", Bucket=bucket)
    except FileNotFoundError as error:
        raise SetupError("no such bucket", url, "Check the name, or make it first") from error
    except (BotoCoreError, OSError) as error:
        raise SetupError(
            f"cannot be reached: {error}",
            url,
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL if the store "
            "is not Amazon's",
        ) from error


def worker_environment() -> dict[str, str]:
    """Variables through which Spark's Python workers reach what this process reaches."""
    return {name: os.environ[name] for name in _TRAVELLING if name in os.environ}


def gdal_path(path: Path) -> str:
    """Path under which GDAL opens ``path``."""
    return str(path) if isinstance(path, Path) else f"/vsis3/{_remote(path).path}"


def gdal_options() -> dict[str, str]:
    """What GDAL must be told beside ``AWS_*`` credentials, which it reads from the environment.

    It knows no ``AWS_ENDPOINT_URL``, and would go on reading a replaced object from its cache.
    Variables of its own names win. Source: GDAL documentation, "Network based file systems".
    """
    options = {"CPL_VSIL_CURL_NON_CACHED": "/vsis3/", "GDAL_HTTP_MAX_RETRY": "5"}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        url = urlsplit(endpoint)
        options["AWS_S3_ENDPOINT"] = f"{url.netloc}{url.path}".rstrip("/")
        options["AWS_HTTPS"] = "YES" if url.scheme == "https" else "NO"
        options["AWS_VIRTUAL_HOSTING"] = "FALSE"
    return {name: value for name, value in options.items() if name not in os.environ}


def create(target: Path, content: str) -> bool:
    """Make ``target`` with ``content`` (UTF-8) unless it exists; of many callers one succeeds.

    A hard link on file systems, a PUT with ``If-None-Match: *`` on object stores: the file is
    never seen empty or half-written.

    Returns
    -------
    bool
        Whether this call made it.
    """
    if not isinstance(target, Path):
        return _put_new(_remote(target), content)
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
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        made.replace(target)
    else:
        remote = _remote(target)
        remote.fs.put_file(str(made), remote.path)


def work_folder(folder: Path) -> Path:
    """Local folder for files to be published below ``folder``: itself, so that a rename does.

    For an object store it is the node's scratch space: that of Spark inside of a Spark task.
    """
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0])


@contextmanager
def local_copies(paths: list[Path]) -> Iterator[list[Path]]:
    """The files themselves, or copies for as long as the block runs, for libraries that need files.

    Raises
    ------
    FileNotFoundError
        One of them is missing.
    """
    if all(isinstance(path, Path) for path in paths):
        yield paths
        return
    with tempfile.TemporaryDirectory(dir=work_folder(paths[0])) as folder:
        copies = [Path(folder, f"{index}-{path.name}") for index, path in enumerate(paths)]
        for path, copy in zip(paths, copies, strict=True):
            remote = _remote(path)
            remote.fs.get_file(remote.path, str(copy))
        yield copies


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file of which only what is asked for is read: footer, row groups, columns."""
    if isinstance(path, Path):
        with pq.ParquetFile(path) as file:
            yield file
    else:
        # No read-ahead: Arrow joins neighbouring ranges itself and knows which it needs.
        with (
            _remote(path).open("rb", cache_type="none") as stream,
            pq.ParquetFile(stream, pre_buffer=True) as file,
        ):
            yield file


def names(folder: Path) -> set[str]:
    """Names of the files directly in ``folder``; none if it is missing."""
    if isinstance(folder, Path):
        return {path.name for path in folder.glob("*")}
    remote = _remote(folder)
    return {Path(found).name for found in remote.fs.find(remote.path, maxdepth=1)}


def contents(folder: Path, pattern: str) -> dict[Path, bytes]:
    """The small files below ``folder`` whose name matches ``pattern``, by path, sorted.

    Files that others remove meanwhile are left out.
    """
    if isinstance(folder, Path):
        return dict(_read_each(sorted(folder.rglob(pattern))))
    fs, top = _remote(folder).fs, _remote(folder).path
    keys = sorted(key for key in fs.find(top) if fnmatch(Path(key).name, pattern))
    found = fs.cat(keys, on_error="return") if keys else {}
    lost = [value for value in found.values() if isinstance(value, Exception)]
    for error in lost:
        if not isinstance(error, FileNotFoundError):
            raise error
    return {
        folder / key.removeprefix(f"{top}/"): value
        for key, value in found.items()
        if not isinstance(value, Exception)
    }


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders from ``top`` down with the names in them, as `os.walk`: lazy, and to be pruned."""
    if isinstance(top, Path):
        for folder, subfolders, files in os.walk(top):
            yield Path(folder), subfolders, files
    else:
        remote = _remote(top)
        for key, subfolders, files in remote.fs.walk(remote.path):
            yield top / key[len(remote.path) + 1 :], subfolders, files


def sizes(top: Path) -> dict[Path, int]:
    """Bytes of every file below ``top``, by path; none if it is missing."""
    if not isinstance(top, Path):
        remote = _remote(top)
        found = remote.fs.find(remote.path, detail=True)
        return {top / key[len(remote.path) + 1 :]: item["size"] for key, item in found.items()}
    files = (folder / name for folder, _, names in walk(top) for name in names)
    return {path: path.lstat().st_size for path in files if path.exists()}


def remove_folder(folder: Path) -> None:
    """Remove ``folder`` and all below it, if there is any."""
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        remote = _remote(folder)
        if found := remote.fs.find(remote.path):
            remote.fs.rm(found)


def _remote(path: Path) -> Any:
    """``path`` as the `UPath` that it is; its file system is fsspec's, which has no types."""
    return path


def _put_new(target: Any, content: str) -> bool:
    try:
        target.fs.pipe_file(target.path, content.encode(), mode="create")
    except OSError:  # not every server says which condition failed
        if not target.exists():
            raise
        return False
    return True


def _temporary(folder: Path, name: str) -> Path:
    return work_folder(folder) / f".{name}.{uuid.uuid4().hex}.tmp"


def _read_each(paths: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for path in paths:
        try:
            yield path, path.read_bytes()
        except FileNotFoundError:
            continue
