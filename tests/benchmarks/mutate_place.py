"""Sound products in odd places: names, nesting, links, permissions, lists, zips of other tools.

Each must be read exactly, or be told with its path and the reason.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from mutate_archive import CENTRAL_HEADER, places, zip_folder

Mutation = Callable[[Path, Random], str]

LETTERS: Final = (
    *(b"a", b"Z", b"_", b" ", b"-", b"~", b"#", b"%20", b"[", b"]", b"[x]", b"(1)", b"{", b"}"),
    *(b"?", b"*", b"\\", b'"', b"'", b"\n", b"\r", b"\t", b"\x01", b"\x7f", b"$HOME", b"&", b";"),
    *(b"|", b"!", b"=", b",", b":", b"+", b"@", "é".encode(), "雲".encode(), "\u2028".encode()),
    *(b"\xff", b"\xe9", b"zip:", b"S2B_MSIL1C_", b"L1C_T31TCJ_", b"MTD", b"GRANULE"),
)
STARTS: Final = (b"", b"", b"", b"S2B_MSIL1C_", b"S2B_MSIL1C_", b".")
ENDINGS: Final = (b"", b".SAFE", b".safe", b".zip", b".ZIP", b" (1).zip", b" - Copy.SAFE", b".1")


def _odd_name(rng: Random) -> bytes:
    letters = rng.choices(LETTERS, k=rng.randint(1, 12))
    return rng.choice(STARTS) + b"".join(letters) + rng.choice(ENDINGS)


def _below(folder: Path, *names: bytes) -> Path:
    return folder.joinpath(*map(os.fsdecode, names))


def any_name(product: Path, rng: Random) -> str:
    """Any bytes that a file system takes, with the ending of another kind of product too."""
    name, zipped = _odd_name(rng), rng.random() < 0.5
    if zipped:
        name = name.lstrip(b".")  # hidden files are of no interest
    source = zip_folder(product) if zipped else product
    source.rename(_below(source.parent, name))
    return f"{'zip file' if zipped else 'folder'} named {name!r}"


def any_folder(product: Path, rng: Random) -> str:
    """Below folders of such names."""
    names = [_odd_name(rng) for _ in range(rng.randint(1, 3))]
    folder = _below(product.parent, *names)
    folder.mkdir(parents=True)
    target = zip_folder(product) if rng.random() < 0.5 else product
    target.rename(folder / target.name)
    return f"in the folders {names}"


def nested(product: Path, rng: Random) -> str:
    """In folders of its own name, as unpacking leaves it."""
    name, depth = product.name, rng.randint(1, 3)
    outer = [rng.choice((name, product.stem, name.lower())) for _ in range(depth)]
    aside = product.rename(product.with_name("aside"))
    folder = product.parent.joinpath(*outer)
    folder.mkdir(parents=True)
    aside.rename(folder / name)
    return f"nested in {outer}"


def linked(product: Path, rng: Random) -> str:
    """Behind links, with others that lead back, to themselves and nowhere."""
    elsewhere = product.parent.parent / "elsewhere"
    elsewhere.mkdir()
    target = zip_folder(product) if rng.random() < 0.5 else product
    moved = target.rename(elsewhere / target.name)
    how = rng.choice(("product", "renamed", "folder", "chain", "twice"))
    archive = product.parent
    if how in ("product", "twice"):
        (archive / moved.name).symlink_to(moved)
    if how == "renamed":
        (archive / "current").symlink_to(moved)
    if how == "chain":
        (elsewhere / "hop").symlink_to(moved)
        (archive / moved.name).symlink_to("../elsewhere/hop")
    if how in ("folder", "twice"):
        (archive / "2024").symlink_to("../elsewhere")
    (elsewhere / "loop").symlink_to(archive)
    (archive / "self").symlink_to("self")
    (archive / "gone").symlink_to("nowhere")
    return f"behind links: {how}"


def locked(product: Path, rng: Random) -> str:
    """A file or folder that may not be read, listed or entered."""
    aside = rng.random() < 0.5
    if aside:
        folder = product.parent / "locked"
        folder.mkdir()
        product = product.rename(folder / product.name)
    if rng.random() < 0.3:
        product = zip_folder(product)
    victim = rng.choice([product, product.parent, *sorted(product.rglob("*"))])
    if victim.name == "archive":
        victim = product
    mode = rng.choice((0o000, 0o100, 0o200, 0o400, 0o600))
    victim.chmod(mode)
    return f"{victim.relative_to(product.parent.parent)} has mode {mode:03o}"


def in_a_list(product: Path, rng: Random) -> str:
    """In a list as editors of any system write it."""
    encoding = rng.choice(("utf-8", "utf-8-sig", "utf-16", "latin-1"))
    newline = rng.choice(("\n", "\r\n", "\r"))
    name = rng.choice(("plain", "Grünwald", "a#b", "with space", "[x]"))
    folder = product.parent / name
    folder.mkdir()
    product = product.rename(folder / product.name)
    line = rng.choice(
        (
            *(f"{name}/{product.name}", f"{name}/{product.name}/", f"{name}/", str(product)),
            *(f"{name}/{product.name}/MTD_MSIL1C.xml", f"  {name}/*.SAFE  # all", f"./{name}"),
        )
    )
    text = newline.join(("# products", "", line, ""))
    (folder.parent / "list.txt").write_bytes(text.encode(encoding))
    return f"list in {encoding} with {newline!r} and the line {line!r}"


def packed_otherwise(product: Path, rng: Random) -> str:
    """A zip file as other tools write it: methods, separators, folders, what lies beside."""
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    mixed = rng.choice((methods[:2], methods[:2], methods))
    top = rng.choice((f"{product.name}/", "", f"{product.stem}/{product.name}/", "./", "a/b/"))
    mac, folders, separator = rng.random() < 0.3, rng.random() < 0.5, rng.choice("//\\")
    with zipfile.ZipFile(product.with_suffix(".zip"), "w") as archive:
        for file in sorted(product.rglob("*")):
            name = f"{top}{file.relative_to(product)}"
            if file.is_dir() and not folders:
                continue
            member = zipfile.ZipInfo(f"{name}/" if file.is_dir() else name)
            member.filename = member.filename.replace("/", separator)
            member.compress_type = rng.choice(mixed)
            archive.writestr(member, b"" if file.is_dir() else file.read_bytes())
            if mac:
                archive.writestr(f"__MACOSX/{name}/._x", b"\0\5\26\7")
    shutil.rmtree(product)
    return f"zip with methods {mixed}, below {top!r}, {separator!r}, folders {folders}, mac {mac}"


def method_unknown(product: Path, rng: Random) -> str:
    """A method that nobody here decodes, or a password."""
    path = zip_folder(product)
    content = bytearray(path.read_bytes())
    start = rng.choice(places(bytes(content), CENTRAL_HEADER))
    method = rng.choice((1, 6, 9, 14, 20, 77, 93, 95, 98, 99, None))
    if method is None:
        content[start + 8] |= 1
    else:
        content[start + 10 : start + 12] = struct.pack("<H", method)
    path.write_bytes(content)
    return f"entry at {start}: {'encrypted' if method is None else f'method {method}'}"


def obey_permissions() -> None:
    """Take the powers of root from this process: files are closed to it as to anyone."""
    version_3, this_process = 0x20080522, 0
    header = struct.pack("Ii", version_3, this_process)
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")


def unlock(place: Path) -> None:
    """Give permissions back, so that the place can be removed."""
    for folder, _, files in os.walk(place):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                path.chmod(0o700)


PLACE_MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(any_name, any_name, any_folder, nested, linked, locked, locked, in_a_list),
    *(packed_otherwise, packed_otherwise, method_unknown),
)
