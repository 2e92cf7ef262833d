"""Texts in other encodings: metadata, lists, and names in zip files."""

from __future__ import annotations

import codecs
import shutil
import zipfile
from pathlib import Path
from random import Random
from typing import Final

from mutate_xml import either
from truth import EXACT, Change, Told, refused

#: Free text of the kind that processing centres write.
NOTE: Final = "Générée à Grünwald, 5 µm"
LE, BE = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
UTF8, WIDE = codecs.BOM_UTF8, codecs.BOM_UTF32_LE
#: Mark in front, encoding, and the one declared; empty for no declaration.
SOUND: Final = (
    *((b"", "utf-8", "UTF-8"), (b"", "utf-8", "utf-8"), (b"", "utf-8", "")),
    *((UTF8, "utf-8", "UTF-8"), (UTF8, "utf-8", "")),
    *((LE, "utf-16-le", "UTF-16"), (LE, "utf-16-le", ""), (LE, "utf-16-le", "UTF-16LE")),
    *((BE, "utf-16-be", "UTF-16"), (BE, "utf-16-be", ""), (BE, "utf-16-be", "utf-16be")),
    *((b"", "utf-16-le", "UTF-16"), (b"", "utf-16-be", "UTF-16"), (b"", "utf-16-le", "UTF-16LE")),
    *((b"", "latin-1", "ISO-8859-1"), (b"", "latin-1", "iso-8859-1"), (b"", "latin-1", "Latin1")),
    *((b"", "iso-8859-15", "ISO-8859-15"), (b"", "cp1252", "windows-1252")),
    *((b"", "cp850", "cp850"), (b"", "ascii", "US-ASCII"), (b"", "ascii", "")),
)
#: The mark tells the encoding, whatever a tool that wrote the file anew has left declared.
MARKED: Final = (
    *((UTF8, "utf-8", "ISO-8859-1"), (UTF8, "utf-8", "windows-1252"), (UTF8, "utf-8", "UTF-16")),
    *((LE, "utf-16-le", "UTF-8"), (BE, "utf-16-be", "UTF-8"), (LE, "utf-16-le", "ISO-8859-1")),
    *((WIDE, "utf-32-le", "UTF-32"), (WIDE, "utf-32-le", "")),
)
#: Bytes that the declared encoding takes for other letters, in a text that is not read.
HARMLESS: Final = ((b"", "utf-8", "ISO-8859-1"), (b"", "cp1252", "ISO-8859-1"))
#: Bytes that the declared encoding, UTF-8 where none is, does not have, or does not take.
UNSOUND: Final = (
    *((b"", "latin-1", "UTF-8"), (b"", "latin-1", ""), (b"", "cp1252", "UTF-8")),
    *((b"", "latin-1", "US-ASCII"), (b"", "utf-8", "US-ASCII"), (b"", "utf-8", "UTF-16")),
    *((b"", "utf-8", "nonsense-9"), (b"", "shift_jis", "Shift_JIS"), (b"", "utf-32-le", "UTF-32")),
    *((b"", "utf-7", "UTF-7"), (LE, "utf-8", "UTF-8"), (BE, "utf-8", "")),
)
NOT_IT: Final = "is not in the encoding that it declares"


def metadata(product: Path, rng: Random) -> Told:
    """Encodings, marks, declarations and ends of lines."""
    file = either(product, rng)
    kinds = ((SOUND, EXACT), (SOUND, EXACT), (MARKED, EXACT), (HARMLESS, EXACT))
    known, truth = rng.choice((*kinds, (UNSOUND, refused(NOT_IT))))
    mark, encoding, declared = rng.choice(known)
    _, _, body = file.read_text(encoding="utf-8").partition("?>")
    at = body.index(">") + 1
    body = f"{body[:at]}<!-- {NOTE} --><CENTRE>{NOTE}</CENTRE>{body[at:]}"
    head = f"<?xml version='1.0' encoding='{declared}'?>" if declared else ""
    end = rng.choice(("\n", "\r\n", "\r"))
    text = (head + (body if head else body.lstrip())).replace("\n", end)
    file.write_bytes(mark + text.encode(encoding, "xmlcharrefreplace"))
    return f"{file.name}: {mark!r}, {encoding} declared as {declared or None}, {end!r}", truth


LISTS: Final = (
    *((b"", "utf-8"), (UTF8, "utf-8"), (LE, "utf-16-le"), (BE, "utf-16-be")),
    *((WIDE, "utf-32-le"), (b"", "utf-16-le"), (b"", "utf-16-be"), (b"", "utf-32-le")),
    *((b"", "latin-1"), (b"", "cp1252"), (b"", "shift_jis")),
)


def listed(product: Path, rng: Random) -> Told:
    """A list in any encoding, of a product in a folder with any letters."""
    mark, encoding = rng.choice(LISTS)
    letters = ["Grünwald", "plain", "雲の写真"]
    known = [name for name in letters if name.encode(encoding, "replace").decode(encoding) == name]
    folder = product.parent / rng.choice(known)
    folder.mkdir()
    product.rename(folder / product.name)
    end = rng.choice(("\n", "\r\n", "\r"))
    text = end.join((f"# {folder.name}", f"{folder.name}/{product.name}", ""))
    (folder.parent / "list.txt").write_bytes(mark + text.encode(encoding))
    is_ascii = folder.name.isascii() and not encoding.startswith("utf")
    is_known = mark or is_ascii or encoding == "utf-8"
    truth = EXACT if is_known else refused("neither a product nor a text file of paths")
    return f"list in {encoding} with the mark {mark!r} and {end!r}, folder {folder.name}", truth


#: In the encodings of tools that mark their names as UTF-8, and of those that do not.
ZIPPED: Final = ("marked", "utf-8", "cp437", "cp1252", "cp932")


def zipped(product: Path, rng: Random) -> Told:
    """Names with other letters in a zip file, marked as UTF-8 or not, with either separator."""
    encoding, separator = rng.choice(ZIPPED), rng.choice("//\\")
    top = "雲" if encoding == "cp932" else "Grünwald é"
    stored = top.encode("utf-8" if encoding == "marked" else encoding)
    place = top if encoding == "marked" else "Q" * len(stored)
    target = product.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(p for p in product.rglob("*") if p.is_file()):
            member = zipfile.ZipInfo("x")
            name = f"{place}/{product.name}/{file.relative_to(product)}"
            member.filename = name.replace("/", separator)
            archive.writestr(member, file.read_bytes())
    if encoding != "marked":
        target.write_bytes(target.read_bytes().replace(place.encode(), stored))
    shutil.rmtree(product)
    return f"zip with names in {encoding} and {separator!r}", EXACT


CHANGES: Final[tuple[Change, ...]] = (metadata, metadata, listed, zipped)
