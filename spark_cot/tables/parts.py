"""Two-phase commit of a scene's file: parts first, then one rename.

Tasks write the parts of a scene wherever and whenever Spark runs them. Part files are named by
what they hold (stage, scene, key, index) and their content depends on nothing else, so retried,
speculative or repeated tasks write the same bytes to the same place, and a rerun after a kill
takes up the parts that are already there. Whichever task finds all parts present joins them and
renames the result into the table. Two that do so at once rename equal files: no lock is needed
and no reader sees anything but a whole scene.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from spark_cot.tables.stitch import stitch
from spark_cot.tables.workspace import replacing, write_text

#: Footer entry of a committed file: the identity of what it was made from.
KEY: Final = "spark_cot.key"


def identity(**facts: object) -> str:
    """16 hexadecimal characters that change when any of ``facts`` (JSON values) does."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def footer(path: Path) -> dict[str, str]:
    """Key-value metadata of a committed table file, without Arrow's own; empty if it is missing."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except FileNotFoundError:
        return {}
    return {k.decode(): v.decode() for k, v in metadata.items() if k != b"ARROW:schema"}


@dataclass(frozen=True, slots=True)
class Committed:
    """A file that is in its table: its rows and the task seconds its parts took."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that make up one file of a table.

    Attributes
    ----------
    folder : Path
        Place of the parts until then, such as ``_parts/ingest/SCENE``; this file's alone, and on
        the file system of the table.
    key : str
        Identity of what the file is made from: source, grid, model, configuration.
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
                write_text(_clock(path), f"{time.monotonic() - started:.3f}")
        except FileNotFoundError:
            if not self.is_committed():  # else a twin of this task cleared the parts
                raise

    def commit(self) -> Committed | None:
        """Join the parts into the table; None while parts are missing."""
        paths, seconds = self._paths(), 0.0
        if all(path.exists() for path in paths):
            try:
                seconds = sum(float(_clock(path).read_text()) for path in paths)
                with replacing(self.target, self.folder) as temporary:
                    stitch(paths, temporary, {KEY: self.key, **self.facts})
            except FileNotFoundError:
                if not self.is_committed():
                    raise
        if not self.is_committed():
            return None
        self.discard()
        return Committed(int(pq.read_metadata(self.target).num_rows), seconds)

    def rows(self) -> int | None:
        """Rows of all parts together; None while parts are missing, or cleared by a commit."""
        try:
            return sum(int(pq.read_metadata(path).num_rows) for path in self._paths())
        except FileNotFoundError:
            return None

    def is_committed(self) -> bool:
        """Whether the file in the table was made from this key."""
        return footer(self.target).get(KEY) == self.key

    def discard(self) -> None:
        """Remove all parts, also those of older keys."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return [self._path(index) for index in range(self.count)]

    def _path(self, index: int) -> Path:
        return self.folder / self.key / f"{index:05d}.part"


def _clock(part: Path) -> Path:
    """File beside a part that keeps the seconds it took, which a later task adds up."""
    return part.with_suffix(".seconds")
