"""Two-phase commit of a scene's file: parts first, then one rename or one upload.

Tasks write the parts of a scene wherever and whenever Spark runs them. Part files are named by
what they hold (stage, scene, key, index) and their rows depend on nothing else, so retried,
speculative or repeated tasks write the same rows to the same place, and a rerun after a kill
takes up the parts that are already there. Whichever task finds all parts present joins them and
publishes the result in the table. Two that do so at once publish equal files: no lock is needed
and no reader sees anything but a whole scene. In an object store the parts are objects too, for
executors on several machines share nothing else. The footer of a part also says how long it took,
for whichever task adds that up.

Parts do not wait for the disk, for a rerun makes them again; the file in the table does. After a
power cut a part may be empty or cut short: one without a footer at its end counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from spark_cot.commit.files import FileRecord, record_of
from spark_cot.commit.stitch import Joined, is_whole, join, sign
from spark_cot.storage import is_remote, open_parquet, remove_folder, replacing, sizes

#: Footer entry of a committed file: the key of what it was made from.
KEY: Final = "spark_cot.key"


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
    sum_up : callable, optional
        Gives what it says beside that, of what the parts have noted, in their order.
    """

    folder: Path
    key: str
    count: int
    target: Path
    facts: Mapping[str, str] = field(default_factory=dict)
    sum_up: Callable[[Sequence[str]], Mapping[str, str]] | None = None

    def missing(self) -> list[int]:
        """Indexes of the parts that need work, from one look; none once the file is committed."""
        if self.is_committed():
            return []
        whole = self._whole()
        return [index for index, path in enumerate(self._paths()) if path not in whole]

    def write(self, index: int, writer: Callable[[Path], str | None]) -> None:
        """Let ``writer`` fill the file of part ``index``, unless the part is already there.

        What it gives is noted in the part for `sum_up`.
        """
        path = self._path(index)
        if is_whole(path) or self.is_committed():
            return
        started = time.monotonic()
        try:
            with replacing(path, durable=False) as temporary:
                note = writer(temporary)
                sign(temporary, time.monotonic() - started, note or "")
        except FileNotFoundError:
            if not self.is_committed():  # else a twin of this task cleared the parts
                raise

    def joined(self) -> Joined | None:
        """The parts together; None while some are missing, or once a commit has cleared them."""
        whole, paths = self._whole(), self._paths()
        if not whole.keys() >= set(paths):
            return None
        try:
            found = {path: whole[path] for path in paths}
            return join(found, {KEY: self.key, **self.facts}, self.sum_up)
        except FileNotFoundError:
            return None

    def commit(self, joined: Joined | None = None) -> Committed | None:
        """Put the file into the table; None while parts are missing.

        Who has asked for the parts together gives them, so that they are not looked at again.
        """
        joined, record = joined or self.joined(), None
        if joined is not None:
            try:
                record = joined.publish(self.target, self.folder)
            except FileNotFoundError:
                if not self.is_committed():
                    raise
        rows = joined.rows if joined is not None else self._committed_rows()
        if rows is None:
            return None
        self.discard()
        seconds = joined.seconds if joined is not None and record is not None else 0.0
        return Committed(rows, seconds, record or record_of(self.target))

    def is_committed(self) -> bool:
        """Whether the file in the table was made from this key."""
        return self._committed_rows() is not None

    def discard(self) -> None:
        """Remove all parts, also those of older keys."""
        remove_folder(self.folder)

    def _committed_rows(self) -> int | None:
        """Rows of the file in the table; None if it is missing, damaged or of another key."""
        try:
            with open_parquet(self.target) as file:
                key = (file.metadata.metadata or {}).get(KEY.encode(), b"").decode()
                return int(file.metadata.num_rows) if key == self.key else None
        except (FileNotFoundError, pa.ArrowInvalid):  # a power cut leaves files without content
            return None

    def _whole(self) -> dict[Path, int]:
        """The parts that are there to their end, with their bytes."""
        found = sizes(self._place)
        return {path: size for path, size in found.items() if is_remote(path) or is_whole(path)}

    @property
    def _place(self) -> Path:
        return self.folder / self.key

    def _paths(self) -> list[Path]:
        return [self._path(index) for index in range(self.count)]

    def _path(self, index: int) -> Path:
        return self._place / f"{index:05d}.part"
