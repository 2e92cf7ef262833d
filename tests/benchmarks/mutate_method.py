"""Zip files whose members are compressed, or encrypted, in any of the ways that there are."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
from pathlib import Path
from random import Random
from typing import Final

from mutate_archive import CENTRAL_HEADER, LOCAL_HEADER
from truth import EXACT, Change, Told, refused

BOTH: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Codes of methods (PKWARE, APPNOTE.TXT 6.3.10, 4.4.5) and how messages call them.
METHODS: Final = {
    **{1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "BZip2", 14: "LZMA", 20: "Zstandard"},
    **{93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"},
    **{10: "an unknown method", 77: "an unknown method"},
}
#: Methods that Python itself writes.
WRITTEN: Final = {12: zipfile.ZIP_BZIP2, 14: zipfile.ZIP_LZMA}
ENCRYPTED: Final = 0x1
#: Files of real products that nobody reads.
BESIDE: Final = ("manifest.safe", "HTML/star_bg.jpg", "rep_info/S2_PDI.xsd", "DATASTRIP/x/QI/m.jp2")


class Pipe:
    """Where nobody can go back: sizes and checksums stand behind each member."""

    def __init__(self, sink: io.BytesIO) -> None:
        self.write, self.flush, self.close = sink.write, sink.flush, lambda: None


def decoded(product: Path, rng: Random) -> Told:
    """Stored and deflated members side by side, at any level, in a file or through a pipe."""
    sink, piped, large = io.BytesIO(), rng.random() < 0.5, rng.random() < 0.3
    with zipfile.ZipFile(Pipe(sink) if piped else sink, "w") as archive:
        for name, content in _members(product):
            level = rng.randint(1, 9)
            method = rng.choice(BOTH)
            archive.compression, archive.compresslevel = method, level
            with archive.open(name, "w", force_zip64=large) as file:
                file.write(content)
    _replace(product, sink.getvalue())
    return f"stored and deflated, piped {piped}, 64-bit sizes {large}", EXACT


def one_otherwise(product: Path, rng: Random) -> Told:
    """One member by a method that is not decoded, or encrypted: one that is read, or not."""
    members = _members(product)
    read = rng.random() < 0.6
    names = [name for name, _ in members if name.endswith(("xml", "jp2"))]
    return _otherwise(product, {rng.choice(names) if read else _beside(product, rng)}, rng)


def images_otherwise(product: Path, rng: Random) -> Told:
    """All images, or all metadata."""
    ending = rng.choice((".jp2", ".xml"))
    chosen = {name for name, _ in _members(product) if name.endswith(ending)}
    return _otherwise(product, chosen, rng)


def folders_otherwise(product: Path, rng: Random) -> Told:
    """Entries of folders, whose methods and flags mean nothing."""
    folders = {f"{product.name}/", f"{product.name}/GRANULE/"}
    content = _marked(_plain(product, sorted(folders)), folders, rng.choice((*METHODS, None)))
    _replace(product, content)
    return "folders by a method that is not decoded", EXACT


def _otherwise(product: Path, chosen: set[str], rng: Random) -> Told:
    method = rng.choice((*METHODS, None))
    is_read = any(Path(product.parent, name).exists() for name in chosen)
    beside = [] if is_read else sorted(chosen)
    written = WRITTEN.get(method or 0, zipfile.ZIP_STORED)
    content = _plain(product, beside, dict.fromkeys(chosen, written))
    if method not in WRITTEN:
        content = _marked(content, chosen, method)
    _replace(product, content)
    cause = f"is compressed with {METHODS[method]} ({method})" if method else "is encrypted"
    what = f"{len(chosen)} members, first {min(chosen)[-30:]}: {cause}"
    return what, refused(cause) if is_read else EXACT


def _members(product: Path) -> list[tuple[str, bytes]]:
    files = sorted(p for p in product.rglob("*") if p.is_file())
    return [(f"{product.name}/{p.relative_to(product)}", p.read_bytes()) for p in files]


def _beside(product: Path, rng: Random) -> str:
    return f"{product.name}/{rng.choice(BESIDE)}"


def _plain(product: Path, more: list[str], methods: dict[str, int] | None = None) -> bytes:
    """A zip file of the product and more names."""
    sink, methods = io.BytesIO(), methods or {}
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in [*_members(product), *((name, b"") for name in more)]:
            archive.writestr(name, content, methods.get(name, zipfile.ZIP_DEFLATED))
    return sink.getvalue()


def _marked(content: bytes, chosen: set[str], method: int | None) -> bytes:
    """The same with another method, or the mark of encryption, in both headers of members."""
    changed = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        at = archive.start_dir
        for member in archive.infolist():
            if member.filename in chosen:
                for start, mark in ((member.header_offset, LOCAL_HEADER), (at, CENTRAL_HEADER)):
                    flags = start + (6 if mark == LOCAL_HEADER else 8)
                    if method is None:
                        changed[flags] |= ENCRYPTED
                    else:
                        struct.pack_into("<H", changed, flags + 2, method)
            at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
    return bytes(changed)


def _replace(product: Path, content: bytes) -> None:
    shutil.rmtree(product)
    product.with_suffix(".zip").write_bytes(content)


CHANGES: Final[tuple[Change, ...]] = (
    *(decoded, one_otherwise, one_otherwise, images_otherwise, folders_otherwise),
)
