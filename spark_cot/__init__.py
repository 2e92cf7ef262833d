"""Cloud optical thickness of every pixel of Sentinel-2 L1C archives, on Apache Spark."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spark_cot.analysis.prediction import predict
    from spark_cot.analysis.workspace import open_workspace

__all__ = ["__version__", "open_workspace", "predict"]

__version__ = version("spark-cot")

#: Where the public names stand; a module is loaded when its name is first used.
_LAZY: Final = {
    "open_workspace": "spark_cot.analysis.workspace",
    "predict": "spark_cot.analysis.prediction",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
