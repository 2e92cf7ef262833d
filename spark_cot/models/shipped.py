"""The models that come with the package, made by `make models`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from spark_cot.errors import ModelError

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
    """Folder of a bundle that ships; unpacked where the package is a zip file.

    Raises
    ------
    ModelError
        None has that name.
    """
    if name not in SHIPPED:
        raise ModelError(f"no model {name!r} ships, there are {list(SHIPPED)}")
    bundle = resources.files("spark_cot.models") / "bundles" / name
    return bundle if isinstance(bundle, Path) else _unpacked(name)


@cache
def _unpacked(name: str) -> Path:
    """A copy of the bundle, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="spark-cot-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in (resources.files("spark_cot.models") / "bundles" / name).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
