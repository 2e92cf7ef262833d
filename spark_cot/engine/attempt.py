"""One attempt at one scene in one stage: it ends in an outcome with an entry for the log."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from spark_cot.commit.begun import begun, past
from spark_cot.commit.files import FileRecord
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.engine.outcome import Outcome
from spark_cot.engine.tasks import this_try, wait_for_next_try
from spark_cot.errors import Cause, StoreError, cause, reason
from spark_cot.plan.generations import generation_name
from spark_cot.plan.sources import Granule
from spark_cot.storage import read_bytes, remove_files, write_text
from spark_cot.tables.workspace import Workspace

T = TypeVar("T")

#: In the details of a failure: a worker died of the scene.
DIED: Final = "died"
CURE_OF_DEATH: Final = (
    "Give each Python worker more memory, or use fewer cores per executor; if it dies all the "
    "same, download the product again or leave it out"
)
#: Tries that may die before a scene is left until the others are through, where Spark has more.
_DEATHS: Final = 2


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
    workspace : Workspace, optional
        Where it is marked which tasks have begun; without one none are.
    failure : Path, optional
        File that says why a task of the attempt has failed, for the other tasks to see.
    granules : tuple[Granule, ...]
        What is read, if these are granules of products.
    """

    stage: str
    name: str
    key: str
    source: str
    before: LedgerEntry | None = None
    workspace: Workspace | None = None
    failure: Path | None = None
    granules: tuple[Granule, ...] = ()

    @property
    def number(self) -> int:
        """How often this key has been tried, this time included."""
        before = self.before
        return before.attempt + 1 if before is not None and before.key == self.key else 1

    def of_many_tasks(self, folder: Path) -> Self:
        """The attempt for tasks that tell each other of a failure by a file in ``folder``."""
        return replace(self, failure=folder / f"{uuid.uuid4().hex}.failed")

    def begin(self, work: Callable[[], T], task: str = "0") -> T | Outcome:
        """What ``work`` gives, or the failure of the scene if it raises, or its worker died of it.

        Once one task of the attempt has failed the others are not begun.

        Raises
        ------
        StoreError
            The store does not answer, and Spark is to try the task again.
        """
        if (failure := self._failed_before()) is not None:
            return failure
        try:
            if self.workspace is None:
                return work()
            if how := self._died(self.workspace, task):
                return self._suspect(how)
            with begun(self.workspace, self.name, self.stage, task):
                return work()
        except Exception as error:
            return self.fail(error)

    def run(self, work: Callable[[], Finished | None], task: str = "0") -> Outcome | None:
        """Do one task of the attempt, see `begin`.

        ``work`` gives None while other tasks of the scene are not through.
        """
        finished = self.begin(work, task)
        if isinstance(finished, Outcome):
            return finished
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
        """The failure, of which the attempt's other tasks are told.

        A store that does not answer is no fault of the scene: the log is not told.
        """
        fault, damaged = cause(error), self._damaged(error)
        if fault != "store":
            self._tell(reason(error), fault, damaged)
            return self._failed(reason(error), fault, damaged)
        if wait_for_next_try():
            raise StoreError(reason(error)) from None  # Spark logs the whole chain
        self._tell(reason(error))
        return Outcome(self.name, "failed", self.source, 0, 0.0, reason(error), fault, again=True)

    def refuse(self, why: str, **details: Any) -> Outcome:
        """The failure in words; what is known of what the workspace still holds stays.

        ``details`` are JSON values to be known of it beside.
        """
        before = self.before
        known = dict(before.details) if before is not None else {}
        known.pop(DIED, None)
        entry = LedgerEntry(
            self.stage,
            self.name,
            self.key,
            "failed",
            source=self.source,
            attempt=self.number,
            error=why,
            facts=before.facts if before is not None else {},
            details=known | details,
            files=before.files if before is not None else {},
        )
        return Outcome(self.name, "failed", self.source, reason=why, entry=entry)

    def skip(self) -> Outcome:
        """The outcome of a scene that was finished with this key before."""
        return Outcome(self.name, "skipped", self.source)

    def take_back(self, *places: Path) -> None:
        """Remove files of the scene's last result that lie at none of ``places``, nor below.

        The new result goes there: no reader is to meet both.
        """
        if self.before is None or self.workspace is None:
            return
        root = self.workspace.root
        paths = [root / path for path in self.before.files]
        remove_files(
            path for path in paths if path not in places and not {*path.parents} & {*places}
        )

    def _damaged(self, error: Exception) -> Granule | None:
        """The granule that an error is about."""
        if len(self.granules) < 2:
            return next(iter(self.granules), None)
        where = getattr(error, "where", None) or ""
        about = [g for g in self.granules if g.source.removeprefix("s3://") in where]
        return next((g for g in about if g.granule in where), next(iter(about), None))

    def _failed(
        self, why: str, fault: Cause | None = None, damaged: Granule | None = None
    ) -> Outcome:
        """A failure, of one of the granules if that is known."""
        outcome = replace(self.refuse(why), cause=fault)
        if damaged is None:
            return outcome
        return replace(outcome, source=damaged.source, granule=generation_name(damaged))

    def _died(self, workspace: Workspace, task: str) -> str:
        """How earlier tries of a task have died, if often enough to leave the scene for now."""
        known = past(workspace, self.name, self.stage, task)
        if known.is_convicted:
            return "the job died while it worked on this scene alone"
        if known.deaths < min(_DEATHS, max(1, this_try().most - 1)):
            return ""
        return f"its Python worker died {known.deaths} time{'s' * (known.deaths > 1)}"

    def _suspect(self, how: str) -> Outcome:
        """A scene that workers die of."""
        why = f"{how}: killed for want of memory, or a library crashed. {CURE_OF_DEATH}"
        self._tell(why)
        return replace(self.refuse(why, **{DIED: True}), cause="resources", again=True)

    def _tell(self, why: str, fault: Cause | None = None, damaged: Granule | None = None) -> None:
        """Let the attempt's other tasks know why it has failed."""
        if self.failure is not None:
            place = None if damaged is None else self.granules.index(damaged)
            with suppress(OSError):  # the disk may be full: then they fail by themselves
                write_text(self.failure, json.dumps([why, fault, place]))

    def _failed_before(self) -> Outcome | None:
        """The failure of another task of the attempt, if there is one."""
        if self.failure is None:
            return None
        try:
            why, fault, place = json.loads(read_bytes(self.failure))
        except FileNotFoundError:
            return None
        return self._failed(why, fault, None if place is None else self.granules[place])
