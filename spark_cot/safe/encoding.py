"""Texts that begin with a byte order mark: it tells the encoding, whatever else a file says."""

import codecs
from typing import Final

#: The longer marks first: that of UTF-32 begins as one of UTF-16 does.
_ENCODINGS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def marked_encoding(content: bytes) -> str | None:
    """Encoding by the mark in front, under a name with which Python takes the mark off.

    None without one.
    """
    marks = (mark for mark in _ENCODINGS if content.startswith(mark))
    mark = next(marks, None)
    return _ENCODINGS[mark] if mark else None
