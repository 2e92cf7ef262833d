"""Metadata files as element trees: safe parsing, and look-ups that name what is missing."""

import math
import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from spark_cot.errors import ProductError

#: Python would also read ``1_000``, ``nan`` and digits of other scripts.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Metadata:
    """A parsed metadata file; elements are found by name whatever their namespace.

    Parameters
    ----------
    content : bytes
    where : str
        The file, for messages.

    Raises
    ------
    ProductError
        If the file is not well-formed XML, or declares entities or a document type.
    """

    def __init__(self, content: bytes, where: str) -> None:
        self.where = where
        try:
            self.root: Element = fromstring(content, forbid_dtd=True)
        except DefusedXmlException as error:
            raise ProductError(
                f"XML declares entities or a document type ({type(error).__name__})",
                where,
                "Metadata of real products has neither: take it from a source you trust",
            ) from error
        except (ParseError, ValueError, LookupError) as error:
            # ValueError and LookupError: an encoding that the parser or Python does not know.
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
        """The same as a number; ProductError if it is not a finite one."""
        return number(self.text(path), path, self.where)

    def find(self, path: str) -> str | None:
        """Text of the elements at ``path``, or None if there are none or the text is empty.

        Raises
        ------
        ProductError
            If the elements state different texts: nothing tells which one holds.
        """
        texts = {(element.text or "").strip() for element in self.elements(path)}
        if len(texts) > 1:
            raise ProductError(
                f"<{path}> is stated as {' and as '.join(sorted(map(repr, texts)))}",
                self.where,
                "Download the product again",
            )
        return next(iter(texts), None) or None

    def missing(self, path: str) -> ProductError:
        """The error for an element that should be there."""
        return ProductError(
            f"element <{path}> is missing", self.where, "Download the product again"
        )


def number(text: str, name: str, where: str) -> float:
    """A finite number from the text of an element; ProductError if it is not one."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ProductError(f"<{name}> is {text!r}, expected a number", where)
    return value


def _any_namespace(path: str) -> str:
    return "/".join(f"{{*}}{step}" for step in path.split("/"))
