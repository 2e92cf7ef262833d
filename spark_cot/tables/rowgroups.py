"""Row groups of a Parquet table as float32 matrices, each checked against its footer.

Nothing here knows Petastorm or shuffles anything: a row group is read whole, or it is a TableError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spark_cot.errors import TableError
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.storage import is_file, is_remote, path_of, walk

Float32 = NDArray[np.float32]
Location = str | Path | Sequence[str | Path]

#: Files kept open with their parsed footers, some megabytes each. A footer of 147 row groups and
#: 47 columns takes five times as long to parse as 15 columns of one row group take to read.
_OPEN_FILES: Final = 32

#: Footers are small and far away in an object store: many are asked for at once.
_FOOTERS_AT_ONCE: Final = 8

#: Bytes at the end of a Parquet file after its footer: the footer's length and "PAR1".
#: Source: Apache Parquet, "File Format".
_TAIL_BYTES: Final = 8


class RowGroup(NamedTuple):
    """One row group: its file, a key of `ParquetTable.files`, and its ordinal in there."""

    file: str
    ordinal: int


class ParquetTable:
    """Numeric columns of a table of Parquet files, read one row group at a time.

    Integer bands are reflectance x 10000, as in the pixel table, and are divided by it; floats and
    all other columns are read as they are stored.

    Parameters
    ----------
    location : str, pathlib.Path or a sequence of them
        Parquet files, or folders with ``*.parquet`` at any depth, as paths, ``file://`` or
        ``s3://`` URLs. Names that start with ``_`` or ``.`` are passed over.
    columns : Sequence[str]
        Columns to read, in the order of the matrices.

    Attributes
    ----------
    location : str
        For messages.
    columns : tuple[str, ...]
    files : dict[str, pathlib.Path]
        The files by name: sorted within a folder, folders in the order they were given.
    row_groups : dict[RowGroup, int]
        Rows of each row group by its footer, in file order.

    Raises
    ------
    TableError
        There is no file or no row, a file is no whole Parquet file, or it lacks one of the columns
        or has it with a type that is no number.
    SetupError
        The location is a URL of another kind, or the packages for S3 are missing.
    """

    def __init__(self, location: Location, columns: Sequence[str]) -> None:
        places = [location] if isinstance(location, str | Path) else list(location)
        self.location = ", ".join(map(str, places))
        self.columns = tuple(columns)
        self.files = {str(path): path for place in places for path in _below(_path(place))}
        if not self.files:
            raise TableError(
                "no Parquet file is there",
                self.location,
                "Give a .parquet file or a folder of them",
            )
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as threads:
            found = threads.map(partial(_row_groups, columns=self.columns), self.files.values())
            self.row_groups = dict(chain.from_iterable(found))
        if not self.rows:
            raise TableError(
                f"{len(self.files)} Parquet files hold no rows",
                self.location,
                "Give a table with rows",
            )
        self._counts = Counter(row_group.file for row_group in self.row_groups)
        self._open = lru_cache(maxsize=_OPEN_FILES)(_open)

    @property
    def rows(self) -> int:
        """Rows of the whole table, by its footers."""
        return sum(self.row_groups.values())

    def read(self, row_group: RowGroup) -> Float32:
        """The columns of one row group, ``(rows, columns)`` float32.

        Raises
        ------
        TableError
            It cannot be read, it or its file is not what the footer said when the table was
            opened, or it holds a null, a NaN or an infinite value.
        """
        file, ordinal = row_group
        with readable(file):
            opened = self._open(self.files[file])
            if opened.num_row_groups != self._counts[file]:
                raise _changed(
                    f"holds {opened.num_row_groups} row groups, had {self._counts[file]}", file
                )
            stored = opened.read_row_group(ordinal, columns=list(self.columns), use_threads=False)
        if stored.num_rows != self.row_groups[row_group]:
            raise _changed(
                f"row group {ordinal} holds {stored.num_rows} rows, its footer said "
                f"{self.row_groups[row_group]}",
                file,
            )
        values = np.empty((stored.num_rows, len(self.columns)), np.float32)
        with np.errstate(over="ignore"):  # a double too large for float32 is found below
            for target, name in zip(values.T, self.columns, strict=True):
                _fill(target, stored.column(name), name)
        if not np.isfinite(values).all():
            raise _not_finite(values, self.columns, row_group)
        return values


def has_columns(location: Location, columns: Sequence[str]) -> bool:
    """Whether all files of a table have the columns, of whatever type.

    Parameters
    ----------
    location, columns
        As of :class:`ParquetTable`, as are the errors.
    """
    for file, path in ParquetTable(location, ()).files.items():
        with readable(file), _open(path) as opened:
            if not set(columns) <= set(opened.schema_arrow.names):
                return False
    return True


def read_rows(location: Location, columns: Sequence[str], rows: int | None = None) -> Float32:
    """The first rows of a table in file order.

    Parameters
    ----------
    location, columns
        As of :class:`ParquetTable`, as are the errors.
    rows : int, optional
        How many, if there are so many; by default all.

    Returns
    -------
    numpy.ndarray
        ``(n, columns)`` float32.
    """
    table = ParquetTable(location, columns)
    wanted = table.rows if rows is None else min(rows, table.rows)
    matrix, filled = np.empty((wanted, len(columns)), np.float32), 0
    for row_group in table.row_groups:
        if filled == wanted:
            break
        part = table.read(row_group)[: wanted - filled]
        matrix[filled : filled + len(part)] = part
        filled += len(part)
    return matrix


def in_turn(table: ParquetTable, indexes: Sequence[int]) -> Generator[Float32, None, None]:
    """Read row groups one after the other, as `ParquetTable.read` does.

    Parameters
    ----------
    table : ParquetTable
    indexes : Sequence[int]
        Positions in ``table.row_groups``, in the order to read them.

    Yields
    ------
    numpy.ndarray
        ``(rows, columns)`` float32 of one row group.
    """
    row_groups = list(table.row_groups)
    for index in indexes:
        yield table.read(row_groups[index])


def _fill(target: Float32, stored: pa.ChunkedArray, name: str) -> None:
    """Write a stored column to ``target`` ``(rows,)``; nulls become NaN."""
    values = stored.to_numpy()
    if name in BAND_IDS and pa.types.is_integer(stored.type):
        np.divide(values, REFLECTANCE_SCALE, out=target, dtype=np.float32)
    else:
        target[:] = values


def _not_finite(values: Float32, columns: tuple[str, ...], row_group: RowGroup) -> TableError:
    counts = zip(columns, np.count_nonzero(~np.isfinite(values), axis=0), strict=True)
    faults = [f"{count} in {name}" for name, count in counts if count]
    return TableError(
        f"null, NaN or infinite values in row group {row_group.ordinal}: {', '.join(faults)}",
        row_group.file,
        "Leave these rows out where the table is made",
    )


def _path(place: str | Path) -> Path:
    # What follows file:// is the path itself: `split=train` is not percent-encoded.
    return path_of(place.removeprefix("file://") if isinstance(place, str) else place)


def _below(place: Path) -> list[Path]:
    if is_file(place):
        return [place]
    found = []
    for folder, subfolders, names in walk(place):
        subfolders[:] = filter(_is_data, subfolders)
        found += [folder / name for name in names if name.endswith(".parquet") and _is_data(name)]
    return sorted(found)


def _is_data(name: str) -> bool:
    return not name.startswith(("_", "."))


def _row_groups(path: Path, columns: tuple[str, ...]) -> list[tuple[RowGroup, int]]:
    """The row groups of a file with their numbers of rows; its columns and size are checked."""
    file = str(path)
    with readable(file), _open(path) as opened:
        footer, schema = opened.metadata, opened.schema_arrow
        size = path.stat().st_size
    _check_columns(schema, columns, file)
    needed = _data_end(footer) + footer.serialized_size + _TAIL_BYTES
    if size < needed:
        raise _damaged(f"is {size} bytes long, its footer asks for {needed}", file)
    return [(RowGroup(file, i), footer.row_group(i).num_rows) for i in range(footer.num_row_groups)]


def _check_columns(schema: pa.Schema, columns: tuple[str, ...], file: str) -> None:
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise TableError(
            f"columns {missing} are missing, present are {schema.names}",
            file,
            "Use a table with these columns, or train on those present",
        )
    types = {name: schema.field(name).type for name in columns}
    unfit = [
        f"{name} is {kind}"
        for name, kind in types.items()
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind))
    ]
    if unfit:
        raise TableError(
            f"{', '.join(unfit)}, expected integers or floats",
            file,
            "Train on numeric columns only",
        )


def _data_end(footer: pq.FileMetaData) -> int:
    """Offset at which the last row group ends; row groups lie in the order of the footer."""
    if not footer.num_row_groups:
        return 0
    last = footer.row_group(footer.num_row_groups - 1)
    chunks = [last.column(i) for i in range(last.num_columns)]
    return max((_start(chunk) + chunk.total_compressed_size for chunk in chunks), default=0)


def _start(chunk: pq.ColumnChunkMetaData) -> int:
    first = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    return int(first)


def _open(path: Path) -> pq.ParquetFile:
    if not is_remote(path):
        return pq.ParquetFile(path)
    # No read-ahead: Arrow joins neighbouring ranges itself and knows which it needs.
    remote: Any = path
    return pq.ParquetFile(remote.open("rb", cache_type="none"), pre_buffer=True)


@contextmanager
def readable(file: str) -> Iterator[None]:
    """Turn what Arrow and the file system raise inside the block into TableError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise _damaged(f"cannot be read as Parquet: {error}", file) from error


def _changed(what: str, file: str) -> TableError:
    return TableError(what, file, "Do not write to a table that is being read; start again")


def _damaged(what: str, file: str) -> TableError:
    return TableError(what, file, "Copy or write the file again; it is damaged or still being made")
