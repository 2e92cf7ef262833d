"""Staging of files before they are committed, and write errors with a cure."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rasterio._err import CPLE_BaseError  # raised by rasterio.shutil.copy; has no public name
from rasterio.errors import RasterioError

from spark_cot.errors import WorkspaceError
from spark_cot.storage import remove_folder, work_folder

#: Staging folders start so; one that a killed process left behind may be deleted.
STAGING_PREFIX: Final = ".staging-"

#: GDAL passes no error number on.
_CURE: Final = "Check that its disk works and is not full, then run again: finished scenes are kept"
_CURES: Final[dict[int | None, str]] = {
    errno.ENOSPC: "Free space or write to another disk, then run again: finished scenes are kept",
    errno.EDQUOT: "Free space within the quota, then run again: finished scenes are kept",
    errno.EACCES: "Make the folder writable for the user the job runs as",
    errno.EROFS: "Choose an output folder on a writable file system",
}


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Temporary folder from which files can be published below ``folder``; then removed.

    Raises
    ------
    WorkspaceError
        If anything inside could not be written: disk full, quota, permissions.
    """
    with write_errors(folder):
        scratch = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=work_folder(folder)))
        try:
            yield scratch
        finally:
            remove_folder(scratch)


@contextmanager
def write_errors(target: Path) -> Iterator[None]:
    """Turn the operating system's and GDAL's write errors into a WorkspaceError with a cure."""
    try:
        yield
    except (OSError, RasterioError, CPLE_BaseError) as error:
        cure = _CURES.get(getattr(error, "errno", None), _CURE)
        reason = getattr(error, "strerror", None) or str(error.__cause__ or error)
        raise WorkspaceError(f"cannot be written: {reason}", str(target), cure) from error
