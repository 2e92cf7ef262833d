"""The files of one product: a SAFE folder, one in an object store, or a zip read in place.

A product may lie one folder deeper than its path says, as unpacking often leaves it:
``X.SAFE/X.SAFE``.
"""

import errno
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, Final, Protocol, TypeVar

from spark_cot.errors import ProductError
from spark_cot.safe import naming
from spark_cot.storage import (
    about,
    gdal_path,
    is_file,
    is_remote,
    objects,
    path_of,
    read_bytes,
    seekable,
)

#: The metadata files of real products are below 1 MB; anything near this limit is an attack.
MAX_XML_BYTES: Final = 64 * 2**20

_DOWNLOAD_AGAIN: Final = "Download the product again"
_ZIP_ALONE: Final = "Zip each product by itself with its .SAFE folder at the top"
_PIECE_BYTES: Final = 2**20

#: What both Python and GDAL decode: all that the producers use.
_DECODED: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
#: Compression methods by the names that their tools use (PKWARE, APPNOTE.TXT 6.3.10, 4.4.5).
_METHODS: Final = {
    **{1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "BZip2", 14: "LZMA", 20: "Zstandard"},
    **{93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"},
}
_ENCRYPTED: Final = 0x1

#: A file in a zip file, and an object, as GDAL's paths name them.
_ZIPPED: Final = re.compile(
    r"/vsizip/(?:\{(?P<braced>[^{}]+)\}|(?P<plain>.+?\.zip))/(?P<name>.+)", re.DOTALL
)
_IN_S3: Final = "/vsis3/"


class ProductFiles(Protocol):
    """Files of a product; names are relative to its SAFE folder and use ``/``."""

    def where(self, name: str) -> str:
        """Place of a file or folder, for messages."""

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
        If nothing is there, or the zip file is damaged, unsafe or holds no single product.
    """
    place = path_of(path)
    try:
        if is_remote(place) and not path.lower().endswith(".zip"):
            if (folder := _Objects(path)).children(""):
                return folder
        elif place.is_dir():
            return _open_folder(path)
        if is_file(place):
            return _Zip(path)
    except OSError as error:
        raise ProductError(f"cannot be opened: {error.strerror or error}", path) from error
    raise ProductError("no such product", path, "Check the path, or remove it from the list")


def zip_names(path: str) -> list[str]:
    """Names in a zip file, with ``/``; no content is read.

    Raises
    ------
    ProductError
        If it is damaged or cannot be read.
    """
    with _opened(path) as archive:
        return [_plain_name(member) for member in archive.infolist()]


def content_of(gdal_path: str) -> bytes | None:
    """All bytes of a file by the path that `ProductFiles.gdal_path` gave; None if a zip is damaged.

    Raises
    ------
    OSError
        It cannot be read.
    """
    zipped = _ZIPPED.fullmatch(gdal_path)
    if zipped is None:
        return read_bytes(_place(gdal_path))
    place = _place(zipped["braced"] or zipped["plain"])
    try:
        with about(place), zipfile.ZipFile(seekable(place)) as archive:
            (member,) = (m for m in archive.infolist() if _plain_name(m) == zipped["name"])
            return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError):
        return None


def _place(gdal_path: str) -> Path:
    remote = gdal_path.startswith(_IN_S3)
    return path_of(f"s3://{gdal_path.removeprefix(_IN_S3)}" if remote else gdal_path)


def _open_folder(path: str) -> "_Folder":
    """The folder that holds the product: ``path``, or the one of a product's name inside it."""
    inside = sorted(os.listdir(path))  # noqa: PTH208 (names only)
    if "GRANULE" not in inside and not any(map(naming.PRODUCT_XML.fullmatch, inside)):
        named = (Path(path, name) for name in inside if naming.L1C.match(name))
        deeper = [place for place in named if place.is_dir()]
        if len(deeper) == 1:
            return _open_folder(str(deeper[0]))
    return _Folder(path, inside)


@dataclass(frozen=True)
class _Folder:
    """A SAFE folder and the names directly inside it."""

    path: str
    top: list[str]

    def where(self, name: str) -> str:
        return str(Path(self.path, name))

    def children(self, folder: str) -> list[str]:
        if not folder:
            return self.top
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
    def _root(self) -> str:
        roots = naming.product_roots(self._objects)
        return roots[0] if len(roots) == 1 else ""

    @cached_property
    def _objects(self) -> dict[str, tuple[int, str]]:
        return objects(path_of(self.path))

    @cached_property
    def _members(self) -> dict[str, tuple[int, str]]:
        return _inside(self._objects, self._root)

    def where(self, name: str) -> str:
        return f"{self.path}/{self._root}{name}"

    def children(self, folder: str) -> list[str]:
        return _children(self._members, folder)

    def read(self, name: str) -> bytes:
        size, _ = self._member(name)
        _check_size(size, self.where(name))
        return read_bytes(path_of(self.where(name)))

    def version(self, name: str) -> str:
        size, etag = self._member(name)
        return f"{name} {size} {etag}"

    def check(self, name: str) -> None:
        pass

    def gdal_path(self, name: str) -> str:
        return gdal_path(path_of(self.where(name)))

    def _member(self, name: str) -> tuple[int, str]:
        if name not in self._members:
            raise ProductError("is a folder, expected a file", self.where(name))
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
        files = {_plain_name(m): m for m in members if not m.is_dir()}
        roots = naming.product_roots(files)
        if len(roots) != 1:
            found = ", ".join(root.rstrip("/") for root in roots) or "no product"
            raise ProductError(f"found {found}, expected exactly one", self.path, _ZIP_ALONE)
        return _inside(files, roots[0])

    def where(self, name: str) -> str:
        return f"{self.path}/{name}"

    def children(self, folder: str) -> list[str]:
        return _children(self._members, folder)

    def read(self, name: str) -> bytes:
        member = self._member(name)
        _check_size(member.file_size, self.where(name))
        return b"".join(self._content(name))

    def version(self, name: str) -> str:
        member = self._member(name)
        return f"{name} {member.file_size} {member.CRC}"

    def check(self, name: str) -> None:
        for _ in self._content(name):
            pass

    def _content(self, name: str) -> Iterator[bytes]:
        """The file in pieces; its length and CRC-32 are checked on the way."""
        member, where = self._member(name), self.where(name)
        try:
            with (
                about(path_of(self.path)),
                _opened(self.path) as archive,
                archive.open(member) as stream,
            ):
                while piece := stream.read(_PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise ProductError(f"cannot be read: {error.strerror or error}", where) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # RuntimeError: flags that Python does not know.
            raise ProductError(
                f"zip member cannot be read: {error}", where, _DOWNLOAD_AGAIN
            ) from error

    def gdal_path(self, name: str) -> str:
        member = self._member(name)
        archive = gdal_path(path_of(self.path).absolute())
        if not {"{", "}"} & set(archive):
            # Braces let GDAL find the archive's end whatever its suffix.
            archive = f"{{{archive}}}"
        return f"/vsizip/{archive}/{_plain_name(member)}"

    def _member(self, name: str) -> zipfile.ZipInfo:
        """A file that can be decoded."""
        if name not in self._members:
            raise ProductError("is a folder, expected a file", self.where(name))
        member = self._members[name]
        if member.flag_bits & _ENCRYPTED:
            raise ProductError(
                "zip member is encrypted", self.where(name), "Unpack the product with its password"
            )
        if member.compress_type not in _DECODED:
            method = _METHODS.get(member.compress_type, "an unknown method")
            raise ProductError(
                f"zip member is compressed with {method} ({member.compress_type}), expected Deflate"
                " or none",
                self.where(name),
                "Unpack the product, or zip it again with Deflate",
            )
        return member


T = TypeVar("T")


def _inside(files: Mapping[str, T], root: str) -> dict[str, T]:
    """Files below ``root``, by their name relative to it."""
    return {n.removeprefix(root): file for n, file in files.items() if n.startswith(root)}


def _children(names: Iterable[str], folder: str) -> list[str]:
    """Files and folders directly inside ``folder`` among the relative ``names`` of all files."""
    prefix = f"{folder}/" if folder else ""
    inside = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return sorted({name.split("/")[0] for name in inside} - {""})


def _opened(path: str) -> zipfile.ZipFile:
    place = path_of(path)
    try:
        with about(place):
            return _zip_file(seekable(place))
    except OSError as error:
        raise ProductError(f"cannot be read: {error.strerror or error}", path) from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        # ValueError and struct.error: names or fields that are damaged.
        raise ProductError(f"not a readable zip file: {error}", path, _DOWNLOAD_AGAIN) from error


def _zip_file(file: Path | BinaryIO) -> zipfile.ZipFile:
    """The zip file; one that cannot be read is not said to be none, as Python does."""
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        unread = error.__context__
        if isinstance(unread, OSError) and unread.errno != errno.EINVAL:  # of a file too short
            raise unread from None
        raise


def _check_size(size: int, where: str) -> None:
    if size > MAX_XML_BYTES:
        raise ProductError(
            f"metadata file of {size} bytes, at most {MAX_XML_BYTES} expected",
            where,
            _DOWNLOAD_AGAIN,
        )


def _plain_name(member: zipfile.ZipInfo) -> str:
    """Name as GDAL reads it: some tools write backslashes, some ``./`` in front."""
    return member.filename.replace("\\", "/").removeprefix("./")


def _check_members(members: Iterable[zipfile.ZipInfo], where: str) -> None:
    """Refuse names that leave the archive or occur twice, and links, which could point anywhere."""
    names = set()
    for member in members:
        name = _plain_name(member)
        if name in names:
            raise ProductError(f"zip member {name!r} occurs twice", where, _DOWNLOAD_AGAIN)
        names.add(name)
        escapes = (
            PurePosixPath(name).is_absolute()
            or ".." in PurePosixPath(name).parts
            or PureWindowsPath(name).drive
        )
        if escapes or stat.S_ISLNK(member.external_attr >> 16):
            fault = "leads out of the archive" if escapes else "is a symbolic link"
            raise ProductError(
                f"zip member {name!r} {fault}",
                where,
                "Take the product from a source you trust",
            )
