"""Every error a user can cause: one base, and messages that say what, where and the cure."""

import errno
import traceback
from collections.abc import Iterator
from typing import Final, Literal

from spark_cot.secrets import hidden

#: Where a fault lies. Nothing is wrong with a product when its store does not answer.
Cause = Literal["product", "store", "resources", "code"]

#: What the operating system says of disks and networks that fail or are full.
_OF_STORES: Final = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "EREMOTEIO", "ENXIO", "ENODEV", "EROFS", "ENOSPC", "EDQUOT"),
        *("ETIMEDOUT", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "ENOTCONN", "EPIPE"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH", "EBUSY", "EAGAIN"),
    )
    if hasattr(errno, name)
)
_OF_RESOURCES: Final = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class SparkCotError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    what : str
        What is wrong, with both sides of a mismatch: what was found and what was expected.
    where : str, optional
        The file, table, scene or option it was found in.
    cure : str, optional
        What the user can do about it.
    """

    def __init__(self, what: str, where: str | None = None, cure: str | None = None) -> None:
        super().__init__(what, where, cure)
        self.what, self.where, self.cure = what, where, cure

    def __str__(self) -> str:
        prefix = f"{self.where}: " if self.where else ""
        suffix = f". {self.cure}" if self.cure else ""
        return hidden(f"{prefix}{self.what.rstrip('.')}{suffix}")


class ProductError(SparkCotError):
    """A Sentinel-2 product that cannot be read as what it claims to be."""


class ModelError(SparkCotError):
    """A model bundle or checkpoint that cannot be loaded or does not fit the data."""


class TableError(SparkCotError):
    """A table whose schema or content is not what the layout promises."""


class WorkspaceError(SparkCotError):
    """A workspace folder that does not fit the request, or cannot be written."""


class SimulationError(SparkCotError):
    """A request to the simulator that has no physical meaning."""


class StoreError(SparkCotError):
    """A disk or object store that does not give or take what it should, for now."""


class JobError(SparkCotError):
    """A Spark job that ended before its tasks did."""


class SetupError(SparkCotError):
    """Java, Spark or an option is missing or unfit."""


class TrainingError(SparkCotError):
    """A training run that cannot start, go on, or be taken up again."""


def cause(error: BaseException) -> Cause:
    """Where a fault lies, by the first of the chain of causes that tells.

    ``store``: network, credentials, throttling, a disk that fails or is full; it is worth another
    try. ``resources``: memory, open files. ``product``: what was read is wrong. ``code``: the rest.
    """
    for link in _chain(error):
        if isinstance(link, StoreError):
            return "store"
        if isinstance(link, MemoryError):
            return "resources"
        if isinstance(link, OSError):
            if link.errno in _OF_STORES or _is_refused_by_store(link):
                return "store"
            if link.errno in _OF_RESOURCES:
                return "resources"
    return "product" if isinstance(error, SparkCotError | OSError) else "code"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_refused_by_store(error: OSError) -> bool:
    """Whether an object store does not let us in; on a disk it is one file that is closed."""
    refused = error.errno in (errno.EACCES, errno.EPERM)
    return refused and str(error.filename or "").startswith("s3:")


def reason(error: BaseException) -> str:
    """Text of the failure list: cause and cure for known errors, the place for unknown ones.

    Secrets are hidden.
    """
    return hidden(_reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, SparkCotError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {error.filename or 'the output'}. Free space and run again"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Check that its disk or store works, run again"
    if isinstance(error, MemoryError):
        return "out of memory. Give each Python worker more, or use fewer cores per executor"
    frames = traceback.extract_tb(error.__traceback__)  # none of an error from another process
    place = "".join(f" at {frame.name}:{frame.lineno}" for frame in frames[-1:])
    return f"unexpected {type(error).__name__}{place}: {error}"
