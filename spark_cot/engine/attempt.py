"""One attempt at one scene in one stage: it ends in an outcome with an entry for the log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from spark_cot.commit.files import FileRecord
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.engine.outcome import Outcome
from spark_cot.errors import reason
from spark_cot.storage import read_bytes, write_text


@dataclass(frozen=True, slots=True)
class Finished:
    """What a scene came to.

    Attributes
    ----------
    rows : int
    seconds : float
        Task time.
    facts : mapping
        The configuration that it was made with.
    details : mapping
        What else is known of it, see `LedgerEntry`.
    files : dict
        Size and SHA-256 of the committed files by path in the workspace.
    """

    rows: int
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a scene in a stage; it travels with the tasks.

    Attributes
    ----------
    stage : str
    name : str
        scene_id, or the product's name while that is unknown.
    key : str
        Identity of what the result is made from.
    source : str
        Path of the product.
    before : LedgerEntry, optional
        What the log said of the scene in this stage when the attempt began.
    failure : Path, optional
        File that says why a task of the attempt has failed, for the other tasks to see.
    """

    stage: str
    name: str
    key: str
    source: str
    before: LedgerEntry | None = None
    failure: Path | None = None

    @property
    def number(self) -> int:
        """How often this key has been tried, this time included."""
        before = self.before
        return before.attempt + 1 if before is not None and before.key == self.key else 1

    def of_many_tasks(self, folder: Path) -> Self:
        """The attempt for tasks that tell each other of a failure by a file in ``folder``."""
        return replace(self, failure=folder / f"{uuid.uuid4().hex}.failed")

    def run(self, work: Callable[[], Finished | None]) -> Outcome | None:
        """Do one task of the attempt.

        ``work`` gives None while other tasks of the scene are not through. Whatever it raises
        fails the scene and nothing else; once one task has failed the others are not begun.
        """
        if why := self._failed_before():
            return self.refuse(why)
        try:
            finished = work()
        except Exception as error:
            return self.fail(error)
        if finished is None:
            return None
        entry = LedgerEntry(
            self.stage,
            self.name,
            self.key,
            "done",
            source=self.source,
            attempt=self.number,
            rows=finished.rows,
            seconds=finished.seconds,
            facts=finished.facts,
            details=finished.details,
            files=finished.files,
        )
        return Outcome(self.name, "done", self.source, entry.rows, entry.seconds, entry=entry)

    def fail(self, error: Exception) -> Outcome:
        """The failure, of which the attempt's other tasks are told."""
        why = reason(error)
        if self.failure is not None:
            with suppress(OSError):  # the disk may be full: then they fail by themselves
                write_text(self.failure, why)
        return self.refuse(why)

    def refuse(self, why: str) -> Outcome:
        """The failure in words; what is known of what the workspace still holds stays."""
        before = self.before
        entry = LedgerEntry(
            self.stage,
            self.name,
            self.key,
            "failed",
            source=self.source,
            attempt=self.number,
            error=why,
            facts=before.facts if before is not None else {},
            details=before.details if before is not None else {},
            files=before.files if before is not None else {},
        )
        return Outcome(self.name, "failed", self.source, reason=why, entry=entry)

    def skip(self) -> Outcome:
        """The outcome of a scene that was finished with this key before."""
        return Outcome(self.name, "skipped", self.source)

    def _failed_before(self) -> str:
        """Why another task of the attempt has failed; empty if none has."""
        if self.failure is None:
            return ""
        try:
            return read_bytes(self.failure).decode()
        except FileNotFoundError:
            return ""
