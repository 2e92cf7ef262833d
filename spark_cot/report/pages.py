"""What all pages share: templates in which every text is escaped, and secrets are hidden."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spark_cot.secrets import hiding


def templates() -> Environment:
    """The templates of this room; a value that is missing is an error."""
    hide = hiding()

    def finalize(value: Any) -> Any:
        return hide(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    return Environment(
        finalize=finalize,
        loader=PackageLoader("spark_cot.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
