"""Metadata files as element trees: safe parsing, and look-ups that name what is missing."""

import math
import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError
from xml.parsers.expat import errors

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from spark_cot.errors import ProductError
from spark_cot.msi import BAND_IDS
from spark_cot.safe.encoding import marked_encoding

#: Python would also read ``1_000``, ``nan`` and digits of other scripts.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECLARED: Final = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([\w.-]+)")
_OF_ENCODING: Final = frozenset(
    errors.codes[name]
    for name in (errors.XML_ERROR_UNKNOWN_ENCODING, errors.XML_ERROR_INCORRECT_ENCODING)
)


class Metadata:
    """A parsed metadata file; elements are found by name whatever their namespace.

    Parameters
    ----------
    content : bytes
        In the encoding of the byte order mark in front, else the one declared, else UTF-8.
    where : str
        The file, for messages.

    Raises
    ------
    ProductError
        If the file is not well-formed XML, not in its encoding, or declares entities or a document
        type.
    """

    def __init__(self, content: bytes, where: str) -> None:
        self.where = where
        try:
            marked = marked_encoding(content)
            text = content.decode(marked) if marked else content
            self.root: Element = fromstring(text, forbid_dtd=True)
        except DefusedXmlException as error:
            raise ProductError(
                f"XML declares entities or a document type ({type(error).__name__})",
                where,
                "Metadata of real products has neither: take it from a source you trust",
            ) from error
        except (ParseError, ValueError, LookupError) as error:
            if _is_of_encoding(error, content):
                raise ProductError(
                    f"XML is not in the encoding that it declares, or is damaged ({error})",
                    where,
                    "Write the file as UTF-8, or download the product again",
                ) from error
            raise ProductError(
                f"XML is cut short or damaged ({error})", where, "Download the product again"
            ) from error

    def elements(self, path: str) -> list[Element]:
        """All elements at ``path`` (``A/B`` for B in A), anywhere in the file."""
        return self.root.findall(f".//{_any_namespace(path)}")

    def text(self, path: str) -> str:
        """Text of the elements at ``path``; ProductError if missing, empty or of two minds."""
        found = self.find(path)
        if found is None:
            raise self.missing(path)
        return found

    def number(self, path: str) -> float:
        """The number of the elements at ``path``, however each is written.

        Raises
        ------
        ProductError
            If they are missing or empty, no finite number, or of two minds.
        """
        if not self.states(path):
            raise self.missing(path)
        values = {number(text, path, self.where) for text in self._texts(path)}
        if len(values) > 1:
            raise self._of_two_minds(path)
        return values.pop()

    def states(self, path: str) -> bool:
        """Whether there is a text at ``path``."""
        return any(self._texts(path))

    def find(self, path: str) -> str | None:
        """Text of the elements at ``path``, or None if there are none or the text is empty.

        Raises
        ------
        ProductError
            If the elements state different texts: nothing tells which one holds.
        """
        texts = self._texts(path)
        if len(texts) > 1:
            raise self._of_two_minds(path)
        return next(iter(texts), None) or None

    def _texts(self, path: str) -> set[str]:
        return {(element.text or "").strip() for element in self.elements(path)}

    def _of_two_minds(self, path: str) -> ProductError:
        return ProductError(
            f"<{path}> is stated as {' and as '.join(sorted(map(repr, self._texts(path))))}",
            self.where,
            "Download the product again",
        )

    def missing(self, path: str) -> ProductError:
        """The error for an element that should be there."""
        return ProductError(
            f"element <{path}> is missing", self.where, "Download the product again"
        )


def number(text: str, name: str, where: str) -> float:
    """A finite number from the text of an element; ProductError if it is not one."""
    value = number_or_nan(text)
    if math.isnan(value):
        raise ProductError(f"<{name}> is {text.strip()!r}, expected a number", where)
    return value


def number_or_nan(text: str) -> float:
    """A finite number, space around it left out; NaN if it is not one."""
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    return value if math.isfinite(value) else math.nan


def band_of(element: Element, attribute: str) -> str | None:
    """The band whose index 0 .. 12 an attribute states; None if it does not."""
    index = number_or_nan(element.get(attribute, ""))
    return BAND_IDS[int(index)] if index in range(len(BAND_IDS)) else None


def _is_of_encoding(error: Exception, content: bytes) -> bool:
    """Whether a file was not parsed because of its encoding."""
    if not isinstance(error, ParseError):
        return True  # which Python does not know, or cannot decode by
    declared = _DECLARED.match(content)
    try:
        content.decode(declared[1].decode() if declared else "utf-8")
    except (LookupError, ValueError):
        return True
    return error.code in _OF_ENCODING


def _any_namespace(path: str) -> str:
    return "/".join(f"{{*}}{step}" for step in path.split("/"))
