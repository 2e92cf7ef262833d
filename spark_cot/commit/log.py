"""The log of a workspace: all ledger entries in one Delta table, of which the last ones count.

``_ledger/state`` is read in a few requests however many scenes there are, and written by the driver
alone, once per wave and stage. Rows are added and never changed; of each stage and scene the row
with the highest number counts. The log is an index of what the tables say: `commit.state` makes it
anew where it is lost. Format: Delta Lake transaction log protocol, written by delta-rs.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.lock import check_lease, lease_on
from spark_cot.commit.outlines import ROWS_AT_ONCE, Outlines, entries_of
from spark_cot.errors import WorkspaceError
from spark_cot.storage import (
    delta_place,
    find,
    is_remote,
    read_all,
    read_bytes,
    remove_folder,
    sizes,
)
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace

#: Raised when older versions can no longer read the log; it stands in the table's description.
FORMAT: Final = 1
_DESCRIPTION: Final = "spark_cot log, format "

#: A row that says that the scene's earlier rows count no more.
_FORGOTTEN: Final = "forgotten"

#: So many files are read with few requests; then the last rows are written into one.
_FILES_AT_MOST: Final = 16
#: Files that a compaction has replaced stay for those who are reading them.
_HOURS_KEPT: Final = 1

_SCHEMA: Final = pa.schema(
    [
        ("stage", pa.string()),
        ("name", pa.string()),
        ("number", pa.int64()),
        ("key", pa.string()),
        ("state", pa.string()),
        ("source", pa.string()),
        ("rows", pa.int64()),
        ("seconds", pa.float64()),
        ("attempt", pa.int32()),
        ("error", pa.string()),
        ("facts", pa.string()),
        ("details", pa.string()),
        ("files", pa.string()),
        ("size", pa.int64()),
        ("finished_at", pa.string()),
        ("strips", pa.string()),
    ]
)
#: Columns that the first logs lack.
_LATER: Final = frozenset({"strips"})
#: A change of colour for a terminal.
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
#: What plans and lists look at.
_OUTLINE: Final = ("key", "source", "attempt", "error", "facts", "finished_at", "strips")
_READ_ERRORS: Final = (DeltaError, OSError, pa.ArrowException)

log = logging.getLogger(__name__)


class LogLostError(WorkspaceError):
    """A workspace without its log, which can be made from the tables."""


class LogDamagedError(WorkspaceError):
    """A log whose content is damaged; it can be made anew from the tables."""


class Log:
    """The ledger entries of a workspace.

    Threads may share it; only one process writes at a time (`commit.lock`).

    Parameters
    ----------
    workspace : Workspace
    given : iterable of LedgerEntry, optional
        Entries that stand for the table, which is not looked at: those of a workspace that keeps
        them in another form. Nothing can be appended.
    """

    def __init__(self, workspace: Workspace, given: Iterable[LedgerEntry] | None = None) -> None:
        self.workspace = workspace
        self._given = None if given is None else _table(given, 1)
        self._table: DeltaTable | None = None
        self._files: dict[str, bytes] = {}
        self._last = 0
        self._writing = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where the Delta table lies."""
        return self.workspace.ledger / "state"

    def check(self) -> None:
        """Raise what `rows` raises unless the log can be read."""
        self._read(["stage", "name", "number", "state"])

    def rows(self, columns: Sequence[str] | None = None, stage: str | None = None) -> pa.Table:
        """The rows that count, one per stage and name, in the order they were written.

        Parameters
        ----------
        columns : sequence of str, optional
            Of the log; beside them there are stage, name, number and state. By default all, also
            those that a newer version has added.
        stage : str, optional
            By default all stages.

        Raises
        ------
        LogLostError
            There is no log.
        LogDamagedError
            Its content is not what was written.
        WorkspaceError
            It cannot be read now, or is of a newer format.
        """
        wanted = None
        if columns is not None:
            wanted = list(dict.fromkeys(["stage", "name", "number", "state", *columns]))
        return _that_count(_last(self._read(wanted, stage)))

    def entries(self, stage: str, names: Collection[str] | None = None) -> dict[str, LedgerEntry]:
        """The entries of a stage by name, all or those of ``names``; errors as in `rows`."""
        if names is not None and not names:
            return {}
        rows = _of(self.rows(_SCHEMA.names, stage), names)
        return {entry.name: entry for entry in entries_of(rows)}

    def outlines(self, stage: str) -> Outlines:
        """All entries of a stage with what plans and lists look at, not even half of it."""
        return Outlines(self.rows(_OUTLINE, stage))

    def scenes(self) -> list[SceneRecord]:
        """Rows of the scene index as the ingest recorded them, ordered by scene_id."""
        found = (entry.scene for entry in entries_of(self.rows(["key", "details"], "ingest")))
        return sorted((s for s in found if s is not None), key=lambda scene: scene.scene_id)

    def sources(self, names: Collection[str]) -> dict[str, str]:
        """The products that scenes came from, as far as they are known, by scene."""
        return _by_name(_of(self.rows(["source"], "ingest"), names), "source")

    def never_done(self, stage: str) -> dict[str, str]:
        """Sources by name of what has failed in a stage and has no files of earlier success."""
        rows = self.rows(["source", "size"], stage)
        return _by_name(rows.filter(pc.less(rows["size"], 0)), "source")

    def mark(self) -> str:
        """Which log this is and how far it goes; another one after each append."""
        which = "given" if self._given is not None else self._open().metadata().id
        return f"{which}:{self._last_number()}"

    def names_since(self, mark: str) -> set[str] | None:
        """Names with rows that were written after ``mark``; None if that was of another log."""
        which, _, number = mark.partition(":")
        if which != self.mark().partition(":")[0]:
            return None
        rows = self._read(["name", "number"])
        return set(rows.filter(pc.greater(rows["number"], int(number)))["name"].to_pylist())

    def append(self, entries: Collection[LedgerEntry]) -> None:
        """Let ``entries`` count from now on: all of them or, if this fails, none.

        Raises
        ------
        WorkspaceError
            The log cannot be written; or read, see `rows`.
        """
        if entries:
            self._append([entry.to_row() for entry in entries])

    def forget(self, stage: str, names: Collection[str]) -> None:
        """Let the entries of ``names`` count no more; errors as in `append`."""
        if names:
            self._append([{"stage": stage, "name": n, "state": _FORGOTTEN} for n in names])

    def replace(self, entries: Iterable[LedgerEntry]) -> None:
        """Let exactly ``entries`` count; what was there before may be damaged or missing."""
        with self._writing, self._written():
            remove_folder(self.folder)
            self._table, self._last = None, 1
            self._write(_table(entries, self._last), "append")

    def salvaged(self) -> list[LedgerEntry]:
        """What its readable files hold, also those of a log that as a whole cannot be read."""
        tables = []
        for path in find(self.folder, "*.parquet"):
            try:
                tables.append(_rows_of(read_bytes(path), None, None))
            except _READ_ERRORS as error:
                log.warning("%s of the log cannot be read: %s", path, error)
        needed = {*_SCHEMA.names} - _LATER
        tables = [table for table in tables if needed <= {*table.column_names}]
        if not tables:
            return []
        rows = pa.concat_tables(tables, promote_options="default")
        rows = _that_count(_last(rows))
        return [LedgerEntry.from_row(row) for row in rows.to_pylist()]

    def _read(self, columns: list[str] | None, stage: str | None = None) -> pa.Table:
        """All rows there are, or those of a stage."""
        if self._given is not None:
            given = self._given if columns is None else self._given.select(columns)
            return given if stage is None else given.filter(pc.equal(given["stage"], stage))
        with self._reading():
            names = [uri.rpartition("/")[2] for uri in self._open().file_uris()]
            self._files = {n: self._files.get(n) or read_bytes(self.folder / n) for n in names}
            rows = [_rows_of(content, columns, stage) for content in self._files.values()]
            known = [name for name in _SCHEMA.names if columns is None or name in columns]
            empty = _SCHEMA.empty_table().select(known)
            return pa.concat_tables([empty, *rows], promote_options="default")

    def _last_number(self) -> int:
        """Number of the last rows, 0 for an empty log: it grows with each append."""
        return pc.max(self._read(["number"])["number"]).as_py() or 0

    def _append(self, rows: list[dict[str, Any]]) -> None:
        check_lease(lease_on(self.workspace))
        with self._writing:
            if not self._last:
                self._last = self._last_number()
            self._last += 1
            with self._written():
                numbered = [row | {"number": self._last} for row in rows]
                self._write(pa.Table.from_pylist(numbered, _SCHEMA), "append")
            self._keep_small()

    def _write(self, rows: pa.Table, mode: Literal["append", "overwrite"]) -> None:
        """One commit, on the disk when this returns."""
        url, options = delta_place(self.folder)
        write_deltalake(
            self._table or url,
            rows,
            mode=mode,
            schema_mode="merge",
            description=f"{_DESCRIPTION}{FORMAT}",
            storage_options=options,
        )
        if not is_remote(self.folder):
            _settle(self.folder)

    def _keep_small(self) -> None:
        """Now and then write what counts into one file; if that fails the log stays as it is."""
        try:
            table = self._open()
            if len(table.file_uris()) <= _FILES_AT_MOST:
                return
            self._write(_last(self._read(None)), "overwrite")
            table.create_checkpoint()
            table.vacuum(_HOURS_KEPT, dry_run=False, enforce_retention_duration=False)
            table.cleanup_metadata()
        except (*_READ_ERRORS, WorkspaceError) as error:
            log.warning("the log in %s is not compacted: %s", self.folder, error)

    def _open(self) -> DeltaTable:
        """The table; it is opened once, since nobody else writes while this process does."""
        if self._table is None:
            url, options = delta_place(self.folder)
            table = DeltaTable(url, storage_options=options)
            self._check_format(table.metadata().description or "")
            self._check_commits()
            self._table = table
        return self._table

    def _check_format(self, description: str) -> None:
        found = description.removeprefix(_DESCRIPTION)
        if found == description or not found.isdigit():
            raise LogDamagedError("is no log of spark_cot", str(self.folder), _CURE)
        if int(found) > FORMAT:
            raise WorkspaceError(
                f"the log has format {found}, this version of spark_cot knows {FORMAT}",
                str(self.folder),
                "Use the version of spark_cot that wrote it, or a later one",
            )

    def _check_commits(self) -> None:
        """Refuse commits without content, which a power cut leaves and delta-rs takes for none."""
        found = sizes(self.folder / "_delta_log")
        empty = [p.name for p, size in found.items() if not size and p.suffix != ".tmp"]
        if empty:
            what = f"is damaged: {', '.join(empty)} without content"
            raise LogDamagedError(what, str(self.folder), _CURE)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        where = str(self.workspace.root)
        try:
            yield
        except TableNotFoundError as error:
            raise LogLostError("has no log of what was done", where, _CURE) from error
        except _READ_ERRORS as error:
            if (fault := self._fault_of_store(error)) is not None:
                raise WorkspaceError(
                    f"its log cannot be read now: {_line(fault)}",
                    where,
                    "Check that its disk or store works, and run again",
                ) from error
            what = f"its log is damaged: {_line(error)}"
            raise LogDamagedError(what, where, _CURE) from error

    def _fault_of_store(self, error: Exception) -> OSError | None:
        """Why files are not given; None if they are, so that ``error`` is about their content."""
        is_missing = isinstance(error, FileNotFoundError)
        if isinstance(error, OSError) and error.errno is not None and not is_missing:
            return error
        try:
            read_all(find(self.folder))
        except OSError as fault:
            return fault
        return None

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except _READ_ERRORS as error:
            raise WorkspaceError(
                f"its log cannot be written: {_line(error)}",
                str(self.workspace.root),
                "Free space or restore access, and run again: what is finished is found again",
            ) from error


_CURE: Final = "`spark-cot repair` makes it anew from the tables"


def _table(entries: Iterable[LedgerEntry], number: int) -> pa.Table:
    return pa.Table.from_pylist([e.to_row() | {"number": number} for e in entries], _SCHEMA)


def _of(rows: pa.Table, names: Collection[str] | None) -> pa.Table:
    """Rows of some names; None for all."""
    if names is None:
        return rows
    return rows.filter(pc.is_in(rows["name"], pa.array(names, pa.string())))


def _by_name(rows: pa.Table, column: str) -> dict[str, str]:
    return dict(zip(rows["name"].to_pylist(), rows[column].to_pylist(), strict=True))


def _rows_of(content: bytes, columns: list[str] | None, stage: str | None) -> pa.Table:
    """Rows of one file of the log, all or those of a stage."""
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        if stage is None:
            return file.read(columns)
        batches = file.iter_batches(ROWS_AT_ONCE, columns=columns)
        parts = [batch.filter(pc.equal(batch["stage"], stage)) for batch in batches]
        known = [name for name in file.schema_arrow.names if columns is None or name in columns]
        empty = file.schema_arrow.empty_table().select(known)
        return pa.concat_tables([empty, *(pa.table(part).select(known) for part in parts)])


def _last(rows: pa.Table) -> pa.Table:
    """The last row of each stage and name, in the order they were written."""
    order = pc.sort_indices(rows["number"])
    keys = rows.select(["stage", "name"]).take(order)
    keys = keys.append_column("at", pa.array(np.arange(len(rows))))
    last = keys.group_by(["stage", "name"]).aggregate([("at", "max")])["at_max"]
    return rows.take(order.take(last.take(pc.sort_indices(last))))


def _that_count(rows: pa.Table) -> pa.Table:
    """Last rows without those that are forgotten."""
    return rows.filter(pc.not_equal(rows["state"], _FORGOTTEN))


def _settle(folder: Path) -> None:
    """Have the newest commit of a Delta table on the disk, with the file it names."""
    for place in (folder, folder / "_delta_log"):
        newest = sorted(place.glob("*.*"), key=lambda path: path.stat().st_mtime_ns)[-1:]
        for path in (*newest, place):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _line(error: BaseException) -> str:
    """What an error of delta-rs says, in one line; its early versions colour it."""
    return " ".join(_COLOUR.sub("", str(error)).split())
