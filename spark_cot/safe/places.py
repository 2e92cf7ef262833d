"""Paths and URLs of an archive as text: any text, for names in archives are anyone's."""

import os
from pathlib import Path

from spark_cot.storage import is_remote, path_of


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def name_of(path: str) -> str:
    """Last name of a path."""
    return path.rpartition("/")[2]


def real_path(path: str) -> str:
    """The path without links; of an object, and of what no path can be, itself."""
    if is_remote(path_of(path)) or "\0" in path:
        return path
    return os.path.realpath(path)


def printable(path: str) -> str:
    """A path as text that every file and screen takes; other bytes than UTF-8 are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_folder(place: Path) -> bool:
    """Whether a folder is there that can be looked at."""
    return place.is_dir() if is_remote(place) else os.path.isdir(place)  # noqa: PTH112 (any text)


def is_file(place: Path) -> bool:
    """Whether a file is there that can be looked at."""
    return place.is_file() if is_remote(place) else os.path.isfile(place)  # noqa: PTH113 (any text)


def is_link(path: str) -> bool:
    """Whether it is a symbolic link, wherever it leads."""
    return not is_remote(path_of(path)) and os.path.islink(path)  # noqa: PTH114 (any text)
