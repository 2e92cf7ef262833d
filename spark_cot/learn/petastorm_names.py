"""Names of old libraries that Petastorm 0.12.1 imports, lent to it for the time of the import.

Petastorm was last made for pyarrow 14. Two of its modules begin with names that pyarrow has dropped
since, or may drop; none of them does any work here:

- ``pyarrow.filesystem.LocalFileSystem``: `petastorm.utils` asks whether a file system is one;
- ``pyarrow.hdfs.HadoopFileSystem``: `petastorm.hdfs.namenode` derives a client of Hadoop from it;
- ``pyarrow.lib.ArrowIOError``: that client catches it.

A stand-in that stayed would mislead whoever asks pyarrow what it can do, so each is gone when the
import ends, and none is made where pyarrow has the name.

``numpy.unicode_`` and ``numpy.string_``, which NumPy 2 dropped, Petastorm takes only where it
derives a schema from a file, and our reader lets it do no such thing: NumPy stays as it is. And
``distutils``, which Python 3.12 dropped, setuptools brings back; hence that requirement.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

import pyarrow as pa

_CLASSES: Final = {"pyarrow.filesystem": "LocalFileSystem", "pyarrow.hdfs": "HadoopFileSystem"}


@contextmanager
def legacy_names() -> Iterator[None]:
    """Inside the block, ``import petastorm`` finds all the names that it asks for."""
    modules = {name: _stand_in(name) for name in _CLASSES if find_spec(name) is None}
    lib: Any = pa.lib
    lacks_error = not hasattr(lib, "ArrowIOError")
    sys.modules.update(modules)
    if lacks_error:
        lib.ArrowIOError = OSError
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        if lacks_error:
            del lib.ArrowIOError


def _stand_in(name: str) -> ModuleType:
    """A module that holds the one class, empty."""
    module = ModuleType(name)
    setattr(module, _CLASSES[name], type(_CLASSES[name], (), {}))
    return module
