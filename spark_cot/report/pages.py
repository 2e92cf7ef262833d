"""What all pages share: templates in which every text is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """The templates of this room; a value that is missing is an error."""
    return Environment(
        loader=PackageLoader("spark_cot.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
