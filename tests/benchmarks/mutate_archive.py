"""Damage to zip files and to names: each function does one kind, and says what it did."""

from __future__ import annotations

import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from mutate_bytes import blank_range, cut, drop_range, flip, flip_within, repeat_range

Mutation = Callable[[Path, Random], str]

LOCAL_HEADER: Final = b"PK\x03\x04"
CENTRAL_HEADER: Final = b"PK\x01\x02"
NEW_NAMES: Final = (
    ("wrong tile", "S2B_MSIL1C_20240305T104819_N0510_R051_T60XYZ_20240305T125347.SAFE"),
    ("wrong date", "S2B_MSIL1C_19990101T000000_N0510_R051_T31TCJ_19990101T000000.SAFE"),
    ("wrong satellite", "S2A_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347.SAFE"),
    ("unicode", "S2B_MSIL1C_20240305_Grünwald_雲.SAFE"),
    ("spaces", "S2B_MSIL1C_20240305T104819 (1) copy.SAFE"),
    ("lower case", "s2b_msil1c_20240305t104819_n0510_r051_t31tcj_20240305t125347.safe"),
    ("very long", f"S2B_MSIL1C_{'A' * 230}.SAFE"),
    ("no suffix", "S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347"),
    ("another level", "S2B_MSIL2A_20240305T104819_N0510_R051_T31TCJ_20240305T125347.SAFE"),
    ("line break", "S2B_MSIL1C_20240305\n104819.SAFE"),
)


def zip_folder(product: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    """Replace a SAFE folder by a zip file of it."""
    target = product.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for file in sorted(product.rglob("*")):
            archive.write(file, file.relative_to(product.parent))
    shutil.rmtree(product)
    return target


def on_zip(change: Callable[[Path, str, Random], str]) -> Mutation:
    """A mutation of a SAFE folder from one of its zip file, stored or deflated."""

    def mutation(product: Path, rng: Random) -> str:
        compression = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        path = zip_folder(product, compression)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zipfile warns of duplicate names
            what = change(path, product.name, rng)
        return f"{'stored' if compression == zipfile.ZIP_STORED else 'deflated'} zip: {what}"

    mutation.__name__ = change.__name__
    return mutation


def on_bytes(change: Callable[[bytes, Random], tuple[bytes, str]]) -> Mutation:
    """The same from one of bytes."""

    def rewritten(path: Path, _: str, rng: Random) -> str:
        content, what = change(path.read_bytes(), rng)
        path.write_bytes(content)
        return what

    rewritten.__name__ = change.__name__
    return on_zip(rewritten)


def places(content: bytes, mark: bytes) -> list[int]:
    found, at = [], content.find(mark)
    while at >= 0:
        found.append(at)
        at = content.find(mark, at + 4)
    return found


def flip_local_header(content: bytes, rng: Random) -> tuple[bytes, str]:
    start = rng.choice(places(content, LOCAL_HEADER))
    return flip_within(content, start, start + 30, rng)


def flip_directory(content: bytes, rng: Random) -> tuple[bytes, str]:
    return flip_within(content, content.index(CENTRAL_HEADER), len(content), rng)


def change_directory_field(content: bytes, rng: Random) -> tuple[bytes, str]:
    """Flags, method or sizes in one entry of the central directory (APPNOTE 4.3.12)."""
    start = rng.choice(places(content, CENTRAL_HEADER))
    name, offset, value = rng.choice(
        (
            ("encrypted flag", 8, b"\x01\x00"),
            ("strong encryption flag", 8, b"\x41\x00"),
            ("method 99", 10, b"\x63\x00"),
            ("method bzip2", 10, b"\x0c\x00"),
            ("method deflated", 10, b"\x08\x00"),
            ("CRC", 16, b"\0\0\0\0"),
            ("compressed size 4 GB", 20, b"\xff\xff\xff\xff"),
            ("size 4 GB", 24, b"\xfe\xff\xff\xff"),
            ("size 0", 24, b"\0\0\0\0"),
            ("name length", 28, b"\xff\x7f"),
            ("offset", 42, b"\xfe\xff\xff\x7f"),
            ("offset of another", 42, b"\0\0\0\0"),
        )
    )
    at = start + offset
    return content[:at] + value + content[at + len(value) :], f"{name} in the entry at {start}"


def prefix_garbage(content: bytes, rng: Random) -> tuple[bytes, str]:
    length = rng.choice((1, 100, 70_000))
    return rng.randbytes(length) + content, f"{length} bytes in front"


def append_garbage(content: bytes, rng: Random) -> tuple[bytes, str]:
    length = rng.choice((1, 100, 70_000))
    return content + rng.randbytes(length), f"{length} bytes behind"


def no_zip(_: bytes, rng: Random) -> tuple[bytes, str]:
    content = rng.choice((b"", b"PK\x05\x06" + bytes(18), b"Rar!\x1a\x07", b"<html>login</html>"))
    return content, f"content is {content[:12]!r}"


def add_escaping_member(path: Path, safe: str, rng: Random) -> str:
    name = rng.choice(
        (
            "../outside.txt",
            "/tmp/outside.txt",
            f"{safe}/../../outside.txt",
            f"{safe}/..\\outside.txt",
            "C:/outside.txt",
            "//server/share/outside.txt",
            f"{safe}/GRANULE/../../../outside.txt",
        )
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"outside")
    return f"member {name}"


def add_link_member(path: Path, safe: str, rng: Random) -> str:
    target = rng.choice((b"/etc/passwd", b"../..", b"/dev/zero"))
    link = zipfile.ZipInfo(f"{safe}/GRANULE/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, target)
    return f"symbolic link to {target!r}"


def repeat_member(path: Path, safe: str, rng: Random) -> str:
    with zipfile.ZipFile(path, "a") as archive:
        twin = rng.choice([n for n in archive.namelist() if not n.endswith("/")])
        other = rng.choice([n for n in archive.namelist() if n.endswith(twin[-4:])])
        archive.writestr(twin, rng.choice((b"", b"other", archive.read(other))))
    return f"second member {twin}"


def add_odd_member(path: Path, safe: str, rng: Random) -> str:
    with zipfile.ZipFile(path, "a") as archive:
        name = rng.choice(
            (
                f"{safe}/MTD_MSIL1C.xml/inner",
                f"{safe}/{safe}/MTD_MSIL1C.xml",
                f"{safe.replace('S2B', 'S2A')}/MTD_MSIL1C.xml",
                f"{safe}/GRANULE/L1C_T31TDJ_A000000_20240305T104819/MTD_TL.xml",
                f"__MACOSX/{safe}/._MTD_MSIL1C.xml",
                f"{safe}/MTD_MSIL1C.xml\0.txt",
                f"{safe}//MTD_MSIL1C.xml",
                f"{safe}/./MTD_MSIL1C.xml",
                "x" * 60_000,
            )
        )
        archive.writestr(name, b"odd")
    return f"member {name[:80]!r}"


def metadata_bomb(path: Path, safe: str, rng: Random) -> str:
    size = rng.choice((1 << 20, 100 << 20))
    with zipfile.ZipFile(path) as archive:
        kept = [(m, archive.read(m)) for m in archive.infolist() if "MTD_TL" not in m.filename]
        bomb = next(n for n in archive.namelist() if "MTD_TL" in n)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in kept:
            archive.writestr(member, content)
        archive.writestr(bomb, b"<a>" + b" " * size)
    return f"MTD_TL.xml of {size} bytes that deflate to little"


def rename_product(product: Path, rng: Random) -> str:
    what, name = rng.choice(NEW_NAMES)
    product.rename(product.with_name(name))
    return f"product renamed: {what}"


def rename_granule(product: Path, rng: Random) -> str:
    granule = next(product.glob("GRANULE/*"))
    name = rng.choice(
        (
            granule.name.replace("T31TCJ", "T60XYZ"),
            granule.name.lower(),
            f"{granule.name}é",
            f" {granule.name}",
            f"{granule.name}/inner",
            f"L1C_T{'A' * 200}",
            granule.name.replace("2024", "1999"),
        )
    )
    aside = granule.rename(product / "aside")
    target = Path(granule.parent, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(target)
    return f"granule renamed {name[:80]!r}"


def add_granule(product: Path, rng: Random) -> str:
    granule = next(product.glob("GRANULE/*"))
    twin = granule.with_name(
        rng.choice((granule.name.replace("TCJ", "TDJ"), granule.name.replace("A0", "A1")))
    )
    how = rng.choice(("copy", "empty", "file", "link", "loop"))
    if how == "copy":
        shutil.copytree(granule, twin)
    elif how == "empty":
        twin.mkdir()
    elif how == "file":
        twin.write_text("no folder")
    else:
        twin.symlink_to(granule.name if how == "link" else "../GRANULE")
    return f"second granule {twin.name}: {how}"


def remove_something(product: Path, rng: Random) -> str:
    victim = rng.choice(sorted(product.rglob("*")))
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    return f"{victim.relative_to(product)} removed"


def add_hidden(product: Path, rng: Random) -> str:
    place = rng.choice([product, *(p for p in sorted(product.rglob("*")) if p.is_dir())])
    neighbours = sorted(place.iterdir())
    name = rng.choice((".DS_Store", "Thumbs.db", f"._{neighbours[0].name}", "@eaDir", ".nfs0001"))
    (place / name).write_bytes(b"\0\5\26\7")
    return f"hidden file {name} in {place.relative_to(product.parent)}"


def rename_file(product: Path, rng: Random) -> str:
    file = rng.choice([p for p in sorted(product.rglob("*")) if p.is_file()])
    name = rng.choice(
        (
            file.name.lower(),
            file.name.upper(),
            file.name.replace("_B0", "_B"),
            file.name.replace("_B", "_B1"),
            file.name.replace("T31TCJ", "T31TDJ"),
            file.name.replace("2024", "2023"),
            file.name.replace("_B02", "_B٠٢"),
            f"{file.stem} (1){file.suffix}",
            f"{file.name}.part",
            f"{file.name}\n",
        )
    )
    file.rename(file.with_name(name))
    return f"{file.name} renamed {name!r}"


def listed(product: Path, rng: Random) -> str:
    """Odd lines in a list file, which takes the place of the archive."""
    line = rng.choice(("\0", "x" * 5000, "[", "**", "~", "../nowhere", "C:\\x", "*/[!]*", "\u2028"))
    (product.parent / "list.txt").write_text(f"{product.name}\n{line}\n")
    return f"list file with the line {line[:40]!r}"


ZIP_MUTATIONS: Final[tuple[Mutation, ...]] = (
    *map(on_bytes, (cut, flip, drop_range, repeat_range, blank_range, no_zip)),
    *map(on_bytes, (flip_local_header, flip_directory, flip_directory)),
    *map(on_bytes, (change_directory_field, change_directory_field, change_directory_field)),
    *map(on_bytes, (prefix_garbage, append_garbage)),
    *map(on_zip, (add_escaping_member, add_link_member, repeat_member, add_odd_member)),
    *map(on_zip, (metadata_bomb,)),
)
NAME_MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(rename_product, rename_granule, add_granule, remove_something),
    *(add_hidden, rename_file, rename_file, listed),
)
