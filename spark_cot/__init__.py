"""Cloud optical thickness of every pixel of Sentinel-2 L1C archives, on Apache Spark.

Importing the package costs nothing: what it offers is loaded when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spark_cot.analysis.prediction import predict
    from spark_cot.analysis.workspace import open_workspace

__all__ = ["__version__", "open_workspace", "predict"]

#: What this package offers by name, and the module that each comes from.
_HOMES: Final = {
    "open_workspace": "spark_cot.analysis.workspace",
    "predict": "spark_cot.analysis.prediction",
}

#: As pyproject.toml has it; where only the code travels, in a zip file, nothing is installed.
__version__: Final = "0.1.0"


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's ``__getattr__`` that imports a name when it is first asked for (PEP 562).

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    homes : mapping
        Module that each name comes from, by name. For type checkers the package imports the same
        names below ``if TYPE_CHECKING``.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(import_module(package), name, value)
        return value

    return find


def __getattr__(name: str) -> Any:
    return lazy(__name__, _HOMES)(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
