"""Paths and URLs, and what it takes to reach an object store from here and from the workers."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from upath import UPath

from spark_cot.errors import SetupError
from spark_cot.storage.aws import CURE, access

#: Whether this process has named a place in an object store.
_remote_places: Final = threading.Event()


def path_of(place: str | Path) -> Path:
    """The path that ``place``, a path or an ``s3://bucket/key``, names.

    Raises
    ------
    SetupError
        It is a URL of another kind or with credentials in it, or the packages for S3 are missing.
    """
    if not isinstance(place, str):
        return place
    if "://" not in place:
        return Path(place)
    if "@" in place.partition("://")[2].partition("/")[0]:
        raise SetupError(
            "holds credentials, which would stand in every log and table",
            place,
            "Give the URL without, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY beside it",
        )
    if not place.startswith("s3://") or place == "s3://":
        raise SetupError("is no path and no s3:// URL", place, "Give s3://bucket/folder")
    # A cached listing would not show what another task has written since.
    path = UPath(place.rstrip("/"), use_listings_cache=False)
    try:
        store_and_key(path)
    except ImportError as error:
        raise SetupError("needs the S3 packages", place, "pip install 'spark-cot[s3]'") from error
    _remote_places.set()
    return cast(Path, path)


def is_remote(path: Path) -> bool:
    """Whether ``path`` lies in an object store."""
    return not isinstance(path, Path)


def uri_of(place: str) -> str:
    """The URI of a path, or of an ``s3://`` URL, which is one."""
    return place if "://" in place else Path(place).absolute().as_uri()


def worker_environment() -> dict[str, str]:
    """Variables through which Spark's Python workers reach what this process reaches."""
    return access().environment if _remote_places.is_set() else {}


def gdal_path(path: Path) -> str:
    """Path under which GDAL opens ``path``."""
    return f"/vsis3/{store_and_key(path)[1]}" if is_remote(path) else str(path)


def gdal_options(path: str) -> dict[str, str]:
    """What GDAL must be told to open ``path``, beside the keys; variables of its own names win.

    It would go on reading a replaced object from its cache; it gives up at the first refusal, and
    would wait half a minute before its first retry.
    """
    if not _is_network(path):
        return {}
    options = {
        "CPL_VSIL_CURL_NON_CACHED": "/vsis3/",
        "GDAL_HTTP_MAX_RETRY": "3",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        **access().gdal,
    }
    return {name: value for name, value in options.items() if name not in os.environ}


def gdal_keys(path: str) -> dict[str, str]:
    """Credentials for GDAL to open ``path``, by the names of environment variables."""
    return dict(access().keys) if _is_network(path) else {}


def _is_network(path: str) -> bool:
    return "/vsis3/" in path


def delta_place(folder: Path) -> tuple[str, dict[str, str]]:
    """URL of a Delta table's folder and the options with which delta-rs reaches it.

    A commit is a PUT on condition that nobody made that version before. Source: delta-rs
    documentation, "Writing to S3".
    """
    if not is_remote(folder):
        return str(folder), {}
    found = access()
    options = {
        **found.keys,
        "AWS_ENDPOINT_URL": found.endpoint,
        "AWS_REGION": found.region,
        "AWS_ALLOW_HTTP": str(found.endpoint.startswith("http://")).lower(),
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true" if found.is_virtual else "",
        "conditional_put": "etag",
        "max_retries": found.retries,
    }
    return str(folder), {name: value for name, value in options.items() if value}


def store_and_key(path: Path | UPath) -> tuple[Any, str]:
    """The fsspec file system of a remote path, and the bucket and key that it knows it by."""
    remote: Any = path
    return remote.fs, remote.path.rstrip("/")  # a bucket by itself ends with one


def check_access(path: Path) -> None:
    """Raise SetupError if the bucket of a remote path is missing or does not let us in."""
    if is_remote(path):
        _, key = store_and_key(path)
        _check_bucket(key.split("/")[0])


@cache
def _check_bucket(bucket: str) -> None:
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    url = f"s3://{bucket}"
    store, _ = store_and_key(path_of(url))
    try:
        store.call_s3("head_bucket", Bucket=bucket)
    except FileNotFoundError as error:
        raise SetupError("no such bucket", url, "Check the name, or make it first") from error
    except (BotoCoreError, OSError) as error:
        raise SetupError(f"cannot be reached: {error}", url, CURE) from error
