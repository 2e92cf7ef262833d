"""Metadata files as element trees: safe parsing, and look-ups that name what is missing."""

from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from spark_cot.errors import ProductError


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
        except ParseError as error:
            raise ProductError(
                f"XML is cut short or damaged ({error})", where, "Download the product again"
            ) from error
        except DefusedXmlException as error:
            raise ProductError(
                f"XML declares entities or a document type ({type(error).__name__})",
                where,
                "Metadata of real products has neither: take it from a source you trust",
            ) from error

    def elements(self, path: str) -> list[Element]:
        """All elements at ``path`` (``A/B`` for B in A), anywhere in the file."""
        return self.root.findall(f".//{_any_namespace(path)}")

    def text(self, path: str) -> str:
        """Text of the first element at ``path``; ProductError if it is missing or empty."""
        found = self.find(path)
        if found is None:
            raise self.missing(path)
        return found

    def number(self, path: str) -> float:
        """The same as a number; ProductError if it is not one."""
        text = self.text(path)
        try:
            return float(text)
        except ValueError as error:
            raise ProductError(f"<{path}> is {text!r}, expected a number", self.where) from error

    def find(self, path: str) -> str | None:
        """Text of the first element at ``path``, or None if it is missing or empty."""
        element = self.root.find(f".//{_any_namespace(path)}")
        return (element.text or "").strip() or None if element is not None else None

    def missing(self, path: str) -> ProductError:
        """The error for an element that should be there."""
        return ProductError(
            f"element <{path}> is missing", self.where, "Download the product again"
        )


def _any_namespace(path: str) -> str:
    return "/".join(f"{{*}}{step}" for step in path.split("/"))
