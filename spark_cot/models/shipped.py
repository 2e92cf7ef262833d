"""The models that come with the package, made by `make models`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spark_cot.errors import ModelError

_FOLDER: Final = Path(__file__).parent / "bundles"

#: What each is for; the first is the default for archives.
SHIPPED: Final = {
    "student": "one network taught by cot12, the default for archives",
    "cot12": "three networks, all bands but B01",
    "cot11": "three networks, without B10, for an unfit cirrus band or pixels without one",
    "cot6": "three networks, B02 B03 B04 B08 B11 B12, for six-band data",
}
DEFAULT: Final = next(iter(SHIPPED))


def default_model() -> Path:
    """Folder of the bundle that is applied where none is named."""
    return shipped_model(DEFAULT)


def shipped_model(name: str) -> Path:
    """Folder of a bundle that ships.

    Raises
    ------
    ModelError
        None has that name.
    """
    if name not in SHIPPED:
        raise ModelError(f"no model {name!r} ships, there are {list(SHIPPED)}")
    return _FOLDER / name
