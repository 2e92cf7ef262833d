"""Petastorm's reader over chosen row groups: its machinery, with a pool and a worker of our own.

`petastorm.make_batch_reader` is a `petastorm.reader.Reader` with a worker and a pool that do not
suit tables of small row groups. On a synthetic table of 147 row groups of 3300 rows it reached 0.07
of plain pyarrow (dummy pool; 0.12 with the thread pool, which returns in no fixed order):

- `ArrowReaderWorker` opens the file and parses its footer twice for every row group (11 ms, where
  15 columns take 1 ms to read) and passes each column through pandas;
- the ventilator feeds a pool ``workers_count + 2`` row groups and then naps for 10 ms, and
  `DummyPool` naps for 100 ms whenever it finds nothing to do;
- shards are ``index % shard_count`` in every epoch, whatever the seed, so where each file ends in a
  short row group one rank can get all the short ones.

The worker and the pool are arguments of `Reader`; which row groups a rank reads, and in which
order, is decided by the caller.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from typing import Any, BinaryIO

from petastorm.reader import Reader
from petastorm.workers_pool import EmptyResultError
from pyarrow.filesystem import FileSystem

from spark_cot.errors import TableError
from spark_cot.models.architecture import Float32
from spark_cot.tables.rowgroups import ParquetTable, RowGroup, readable

# Petastorm 0.12.1 works through pyarrow's first Parquet API, a dozen warnings of pyarrow 14 a run.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")
# And it tells at every start that the table holds no pickled schema, which is as it should be.
logging.getLogger("petastorm").setLevel(logging.WARNING)

#: Far more than Petastorm's ventilator needs to hand over its next task, which it has in memory.
_PATIENCE_SECONDS = 60.0


def read_row_groups(table: ParquetTable, indexes: Sequence[int]) -> Generator[Float32, None, None]:
    """Read row groups through a new Petastorm reader.

    Parameters
    ----------
    table : ParquetTable
    indexes : Sequence[int]
        Positions in ``table.row_groups``, each at most once, in the order to read them.

    Yields
    ------
    numpy.ndarray
        ``(rows, columns)`` float32 of one row group.

    Raises
    ------
    TableError
        A row group cannot be read, or what Petastorm delivered is not what the footers say: every
        row of the row groups once.
    """
    row_groups = list(table.row_groups)
    due = [row_groups[index] for index in indexes]
    delivered = []
    with readable(table.location):
        reader = _HandReader(table, indexes)
    with reader:
        for row_group, values in reader:
            delivered.append(row_group)
            yield values
    if delivered != due:
        rows = sum(table.row_groups.get(row_group, 0) for row_group in delivered)
        raise TableError(
            f"the reader delivered {len(delivered)} row groups with {rows} rows, the footers have "
            f"{len(due)} with {sum(table.row_groups[row_group] for row_group in due)}",
            ", ".join(sorted({row_group.file for row_group in set(due) ^ set(delivered)})),
            "Do not write to a table that is being read; start again",
        )


class _HandReader(Reader):  # type: ignore[misc]
    """Petastorm's reader of the row groups in one rank's hand."""

    def __init__(self, table: ParquetTable, hand: Sequence[int]) -> None:
        self._table, self._hand = table, hand
        super().__init__(
            _TableFiles(table),
            list(table.files),
            worker_class=_RowGroupWorker,
            reader_pool=_OwnThreadPool(len(hand)),
            shuffle_row_groups=False,
            is_batched_reader=True,
        )

    def _filter_row_groups(self, _: Any, pieces: Any, *__: Any) -> tuple[Sequence[int], None]:
        """Indexes of the pieces to read, in place of Petastorm's shard; and no predicate."""
        if [_row_group(piece) for piece in pieces] != list(self._table.row_groups):
            raise TableError(
                f"its {len(pieces)} row groups are not the {len(self._table.row_groups)} found "
                "when it was opened",
                self._table.location,
                "Do not write to a table that is being read; start again",
            )
        return self._hand, None


def _row_group(piece: Any) -> RowGroup:
    return RowGroup(piece.path, piece.row_group)


class _TableFiles(FileSystem):  # type: ignore[misc]
    """The files of a table, wherever they are, as the file system that Petastorm asks for.

    Only the files that the table lists exist. So Petastorm finds no ``_common_metadata``, in which
    it would look for a schema to unpickle.
    """

    def __init__(self, table: ParquetTable) -> None:
        self.table = table

    def isdir(self, _: str) -> bool:
        return False

    def isfile(self, path: str) -> bool:
        return path in self.table.files

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        return self.table.files[path].open(mode)  # type: ignore[return-value]


class _RowGroupWorker:
    """Reads a row group and publishes which one it is, and its values."""

    def __init__(self, _: int, publish: Callable[[object], None], args: tuple[Any, ...]) -> None:
        files, pieces = args[0], args[4]
        self._table, self._pieces, self._publish = files.table, pieces, publish

    def process(self, piece_index: int, **_: Any) -> None:
        row_group = _row_group(self._pieces[piece_index])
        self._publish((row_group, self._table.read(row_group)))

    @staticmethod
    def new_results_queue_reader() -> type[_Results]:
        return _Results


class _Results:
    """Passes on what the worker published."""

    batched_output = True

    @staticmethod
    def read_next(pool: _OwnThreadPool, *_: Any) -> Any:
        try:
            return pool.get_results()
        except EmptyResultError:
            raise StopIteration from None


class _OwnThreadPool:
    """Works in the thread that asks for results, in the order of the tasks.

    No other thread or process can die, and no two runs differ. ``workers_count`` bounds what the
    ventilator hands over before it naps: all of it, since a task is but an index.
    """

    diagnostics: Any = None

    def __init__(self, tasks: int) -> None:
        self.workers_count = tasks
        self._left = tasks
        self._tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._results: list[object] = []

    def start(self, worker_class: Any, worker_args: tuple[Any, ...], ventilator: Any) -> None:
        self._worker = worker_class(0, self._results.append, worker_args)
        self._ventilator = ventilator
        ventilator.start()

    def ventilate(self, **task: Any) -> None:
        self._tasks.put(task)

    def get_results(self) -> object:
        if not self._left:
            raise EmptyResultError
        self._left -= 1
        self._worker.process(**self._tasks.get(timeout=_PATIENCE_SECONDS))
        return self._results.pop()

    def stop(self) -> None:
        self._ventilator.stop()

    def join(self) -> None:
        """Nothing runs after `stop`."""
