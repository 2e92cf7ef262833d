"""Errors of file systems and object stores, with the path they are about."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

#: Clients of object stores raise these without an error number.
_NUMBERS: Final[dict[type[OSError], int]] = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    PermissionError: errno.EACCES,
    TimeoutError: errno.ETIMEDOUT,
}


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Let errors of the block that name no file be about ``path``; their kind stays the same.

    Raises
    ------
    OSError
        Of a subclass where there is one; also for what an object store's client raises beside.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(_number(error), error.strerror or str(error), str(path)) from error
    except Exception as error:
        if not type(error).__module__.startswith(("botocore.", "aiobotocore.")):
            raise
        raise OSError(errno.EIO, str(error), str(path)) from error


def _number(error: OSError) -> int:
    known = (number for kind, number in _NUMBERS.items() if isinstance(error, kind))
    return error.errno or next(known, errno.EIO)
