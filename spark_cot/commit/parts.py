"""Two-phase commit of a scene's file: parts first, then one rename or one upload.

Tasks write the parts of a scene wherever and whenever Spark runs them. Part files are named by
what they hold (stage, scene, key, index) and their content depends on nothing else, so retried,
speculative or repeated tasks write the same bytes to the same place, and a rerun after a kill
takes up the parts that are already there. Whichever task finds all parts present joins them and
publishes the result in the table. Two that do so at once publish equal files: no lock is needed
and no reader sees anything but a whole scene. In an object store the parts are objects too, for
executors on several machines share nothing else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from spark_cot.commit.files import FileRecord, record_of
from spark_cot.commit.stitch import stitch
from spark_cot.storage import (
    find,
    local_copies,
    open_parquet,
    read_all,
    remove_folder,
    replacing,
    write_text,
)

#: Footer entry of a committed file: the key of what it was made from.
KEY: Final = "spark_cot.key"

#: Suffix of the file beside a part that keeps the seconds it took, for a later task to add up.
_CLOCK: Final = ".seconds"


def content_key(**facts: object) -> str:
    """16 hexadecimal characters that change when any of ``facts`` (JSON values) does."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def footer(path: Path) -> dict[str, str]:
    """Key-value metadata of a committed table file, without Arrow's own; empty if it is missing."""
    try:
        with open_parquet(path) as file:
            metadata = file.metadata.metadata or {}
    except FileNotFoundError:
        return {}
    return {k.decode(): v.decode() for k, v in metadata.items() if k != b"ARROW:schema"}


@dataclass(frozen=True, slots=True)
class Committed:
    """A file that is in its table.

    Attributes
    ----------
    rows : int
    seconds : float
        Task time its parts took; 0 if another task committed it.
    record : dict
        Its size and checksum, as the ledger keeps them.
    """

    rows: int
    seconds: float
    record: FileRecord


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that make up one file of a table.

    Attributes
    ----------
    folder : Path
        Place of the parts until then, such as ``_parts/ingest/SCENE``; this file's alone, and in
        the store of the table.
    key : str
        Of what the file is made from: source, grid, model, configuration.
    count : int
        Number of parts, in the order of their rows in the file.
    target : Path
        The file in the table.
    facts : mapping
        What the committed file says of its making beside the key, in its key-value metadata.
    """

    folder: Path
    key: str
    count: int
    target: Path
    facts: Mapping[str, str] = field(default_factory=dict)

    def has(self, index: int) -> bool:
        """Whether part ``index`` needs no more work."""
        return self._path(index).exists() or self.is_committed()

    def write(self, index: int, writer: Callable[[Path], None]) -> None:
        """Let ``writer`` fill the file of part ``index``, unless the part is already there."""
        if self.has(index):
            return
        path = self._path(index)
        started = time.monotonic()
        try:
            with replacing(path) as temporary:
                writer(temporary)
                write_text(path.with_suffix(_CLOCK), f"{time.monotonic() - started:.3f}")
        except FileNotFoundError:
            if not self.is_committed():  # else a twin of this task cleared the parts
                raise

    def commit(self) -> Committed | None:
        """Join the parts into the table; None while parts are missing."""
        seconds, record = 0.0, None
        if self._are_all_there():
            try:
                seconds = sum(map(float, read_all(find(self._place, f"*{_CLOCK}")).values()))
                with (
                    local_copies(self._paths()) as paths,
                    replacing(self.target, self.folder) as temporary,
                ):
                    stitch(paths, temporary, {KEY: self.key, **self.facts})
                    record = record_of(temporary)
            except FileNotFoundError:
                if not self.is_committed():
                    raise
        rows = self._committed_rows()
        if rows is None:
            return None
        self.discard()
        return Committed(rows, seconds, record or record_of(self.target))

    def rows(self) -> int | None:
        """Rows of all parts together; None while parts are missing, or cleared by a commit."""
        if not self._are_all_there():
            return None
        try:
            return sum(map(_rows, self._paths()))
        except FileNotFoundError:
            return None

    def is_committed(self) -> bool:
        """Whether the file in the table was made from this key."""
        return self._committed_rows() is not None

    def discard(self) -> None:
        """Remove all parts, also those of older keys."""
        remove_folder(self.folder)

    def _committed_rows(self) -> int | None:
        """Rows of the file in the table; None if it is missing or made from another key."""
        try:
            with open_parquet(self.target) as file:
                key = (file.metadata.metadata or {}).get(KEY.encode(), b"").decode()
                return int(file.metadata.num_rows) if key == self.key else None
        except (FileNotFoundError, pa.ArrowInvalid):  # a power cut leaves files without content
            return None

    def _are_all_there(self) -> bool:
        return set(self._paths()) <= set(find(self._place))

    @property
    def _place(self) -> Path:
        return self.folder / self.key

    def _paths(self) -> list[Path]:
        return [self._path(index) for index in range(self.count)]

    def _path(self, index: int) -> Path:
        return self._place / f"{index:05d}.part"


def _rows(path: Path) -> int:
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)
