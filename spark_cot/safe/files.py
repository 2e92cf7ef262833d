"""The files of one product: a SAFE folder, one in an object store, or a zip read in place."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final, Protocol

from spark_cot.errors import ProductError
from spark_cot.storage import gdal_path, is_file, is_remote, objects, path_of, read_bytes, seekable

#: The metadata files of real products are below 1 MB; anything near this limit is an attack.
MAX_XML_BYTES: Final = 64 * 2**20

_DOWNLOAD_AGAIN: Final = "Download the product again"
_PIECE_BYTES: Final = 2**20


class ProductFiles(Protocol):
    """Files of a product; names are relative to its SAFE folder and use ``/``."""

    def children(self, folder: str) -> list[str]:
        """Sorted names of the files and folders directly inside ``folder``; ``""`` is the top."""

    def read(self, name: str) -> bytes:
        """Content of a metadata file of at most ``MAX_XML_BYTES``."""

    def version(self, name: str) -> str:
        """Text that changes when the file is replaced, without reading its content.

        Raises ProductError where nothing or no regular file is.
        """

    def check(self, name: str) -> None:
        """Read the file against its checksum where the product keeps one: in a zip file.

        GDAL does not: damage that still decodes would pass for reflectance. Raises ProductError.
        """

    def gdal_path(self, name: str) -> str:
        """Path under which GDAL opens the file."""


def open_files(path: str) -> ProductFiles:
    """Files of the SAFE folder or zip file at ``path``.

    Raises
    ------
    ProductError
        If nothing is there, or the zip file is damaged, unsafe or holds no single SAFE folder.
    """
    place = path_of(path)
    try:
        if is_remote(place) and not path.lower().endswith(".zip"):
            if (folder := _Objects(path)).children(""):
                return folder
        elif place.is_dir():
            return _Folder(path)
        if is_file(place):
            return _Zip(path)
    except OSError as error:
        raise ProductError(f"cannot be opened: {error.strerror or error}", path) from error
    raise ProductError("no such product", path, "Check the path, or remove it from the list")


@dataclass(frozen=True)
class _Folder:
    path: str

    def children(self, folder: str) -> list[str]:
        place = f"{self.path}/{folder}"
        try:
            with os.scandir(place) as entries:
                return sorted(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise ProductError(f"cannot be read: {error.strerror}", place) from error

    def read(self, name: str) -> bytes:
        file = Path(self.path, name)
        _check_size(self._status(name).st_size, str(file))
        try:
            return file.read_bytes()
        except OSError as error:
            raise ProductError(f"cannot be read: {error.strerror}", str(file)) from error

    def version(self, name: str) -> str:
        status = self._status(name)
        return f"{name} {status.st_size} {status.st_mtime_ns}"

    def check(self, name: str) -> None:
        pass

    def _status(self, name: str) -> os.stat_result:
        """Status of a regular file: opening a pipe or a device would wait or never end."""
        file = f"{self.path}/{name}"
        try:
            status = os.stat(file)  # noqa: PTH116 (every image of every product, every night)
        except OSError as error:
            raise ProductError(f"cannot be read: {error.strerror}", file) from error
        if not stat.S_ISREG(status.st_mode):
            raise ProductError("is not a regular file", file, _DOWNLOAD_AGAIN)
        return status

    def gdal_path(self, name: str) -> str:
        return str(Path(self.path, name))


@dataclass(frozen=True)
class _Objects:
    """A SAFE folder in an object store: one listing tells all but the content."""

    path: str

    @cached_property
    def _members(self) -> dict[str, tuple[int, str]]:
        return objects(path_of(self.path))

    def children(self, folder: str) -> list[str]:
        return _children(self._members, folder)

    def read(self, name: str) -> bytes:
        size, _ = self._member(name)
        _check_size(size, f"{self.path}/{name}")
        return read_bytes(path_of(self.path) / name)

    def version(self, name: str) -> str:
        size, etag = self._member(name)
        return f"{name} {size} {etag}"

    def check(self, name: str) -> None:
        pass

    def gdal_path(self, name: str) -> str:
        return gdal_path(path_of(self.path) / name)

    def _member(self, name: str) -> tuple[int, str]:
        if name not in self._members:
            raise ProductError("is a folder, expected a file", f"{self.path}/{name}")
        return self._members[name]


@dataclass(frozen=True)
class _Zip:
    path: str

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        """Member files by their name relative to the SAFE folder."""
        with _opened(self.path) as archive:
            members = archive.infolist()
        _check_members(members, self.path)
        root = f"{_safe_folder(members, self.path)}/"
        return {m.filename.removeprefix(root): m for m in members if m.filename.startswith(root)}

    def children(self, folder: str) -> list[str]:
        return _children(self._members, folder)

    def read(self, name: str) -> bytes:
        member = self._member(name)
        _check_size(member.file_size, f"{self.path}/{name}")
        return b"".join(self._content(name))

    def version(self, name: str) -> str:
        member = self._member(name)
        return f"{name} {member.file_size} {member.CRC}"

    def check(self, name: str) -> None:
        for _ in self._content(name):
            pass

    def _content(self, name: str) -> Iterator[bytes]:
        """The file in pieces; its length and CRC-32 are checked on the way."""
        try:
            with _opened(self.path) as archive, archive.open(self._member(name)) as stream:
                while piece := stream.read(_PIECE_BYTES):
                    yield piece
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            # RuntimeError: encrypted, or compressed in a way Python does not know.
            raise ProductError(
                f"zip member cannot be read: {error}", f"{self.path}/{name}", _DOWNLOAD_AGAIN
            ) from error

    def gdal_path(self, name: str) -> str:
        # Braces let GDAL find the archive's end whatever its suffix.
        archive = gdal_path(path_of(self.path).absolute())
        return f"/vsizip/{{{archive}}}/{self._member(name).filename}"

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise ProductError("is a folder, expected a file", f"{self.path}/{name}")
        return self._members[name]


def _children(names: Iterable[str], folder: str) -> list[str]:
    """Files and folders directly inside ``folder`` among the relative ``names`` of all files."""
    prefix = f"{folder}/" if folder else ""
    inside = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return sorted({name.split("/")[0] for name in inside} - {""})


def _opened(path: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(seekable(path_of(path)))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        # ValueError and struct.error: names or fields that are damaged.
        raise ProductError(f"not a readable zip file: {error}", path, _DOWNLOAD_AGAIN) from error


def _check_size(size: int, where: str) -> None:
    if size > MAX_XML_BYTES:
        raise ProductError(
            f"metadata file of {size} bytes, at most {MAX_XML_BYTES} expected",
            where,
            _DOWNLOAD_AGAIN,
        )


def _check_members(members: Iterable[zipfile.ZipInfo], where: str) -> None:
    """Refuse names that leave the archive or occur twice, and links, which could point anywhere."""
    names = set()
    for member in members:
        name = member.filename
        if name in names:
            raise ProductError(f"zip member {name!r} occurs twice", where, _DOWNLOAD_AGAIN)
        names.add(name)
        escapes = (
            PurePosixPath(name).is_absolute()
            or ".." in PurePosixPath(name).parts
            or PureWindowsPath(name).drive
            or "\\" in name
        )
        if escapes or stat.S_ISLNK(member.external_attr >> 16):
            fault = "leads out of the archive" if escapes else "is a symbolic link"
            raise ProductError(
                f"zip member {name!r} {fault}",
                where,
                "Take the product from a source you trust",
            )


def _safe_folder(members: Iterable[zipfile.ZipInfo], where: str) -> str:
    roots = sorted({m.filename.split("/")[0] for m in members if "/" in m.filename})
    folders = [root for root in roots if root.endswith(".SAFE")]
    if len(folders) != 1:
        raise ProductError(
            f"found {', '.join(folders) or 'no .SAFE folder'}, expected exactly one .SAFE folder",
            where,
            "Zip each product by itself with its .SAFE folder at the top",
        )
    return folders[0]
