"""One attempt at one scene in one stage: every way it can end is an outcome and a ledger entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spark_cot.commit.ledger import Ledger
from spark_cot.engine.outcome import Outcome
from spark_cot.errors import reason


@dataclass(frozen=True, slots=True)
class Finished:
    """What a scene came to: rows, task seconds and what the report shows beside."""

    rows: int
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a scene in a stage; it travels with the tasks.

    Attributes
    ----------
    ledger : Ledger
        Of the stage.
    name : str
        scene_id, or the product's name while that is unknown.
    key : str
        Identity of what the result is made from.
    source : str
        Path of the product.
    number : int
        From 1.
    """

    ledger: Ledger
    name: str
    key: str
    source: str
    number: int

    @classmethod
    def next(cls, ledger: Ledger, name: str, key: str, source: str) -> Attempt:
        """The attempt after those in the ledger."""
        return cls(ledger, name, key, source, ledger.attempts(name, key) + 1)

    def run(self, work: Callable[[], Finished | None]) -> Outcome | None:
        """Do one task of the attempt.

        ``work`` gives None while other tasks of the scene are not through. Whatever it raises
        fails the scene and nothing else; once one task has failed the others are not begun.
        """
        if self._has_failed():
            return None
        try:
            finished = work()
        except Exception as error:
            return self.fail(error)
        if finished is None:
            return None
        self.ledger.record(
            self.name,
            self.key,
            "done",
            source=self.source,
            attempt=self.number,
            rows=finished.rows,
            seconds=finished.seconds,
            facts=finished.facts,
        )
        return Outcome(self.name, "done", self.source, finished.rows, finished.seconds)

    def fail(self, error: Exception) -> Outcome:
        """Record the failure."""
        return self.refuse(reason(error))

    def refuse(self, why: str) -> Outcome:
        """Record the failure in words; the facts stay those of what the workspace still holds."""
        before = self.ledger.get(self.name)
        self.ledger.record(
            self.name,
            self.key,
            "failed",
            source=self.source,
            attempt=self.number,
            error=why,
            facts=before.facts if before is not None else {},
        )
        return Outcome(self.name, "failed", self.source, reason=why)

    def skip(self) -> Outcome:
        """The outcome of a scene that was finished with this key before."""
        return Outcome(self.name, "skipped", self.source)

    def _has_failed(self) -> bool:
        entry = self.ledger.get(self.name)
        return entry is not None and (entry.state, entry.key, entry.attempt) == (
            "failed",
            self.key,
            self.number,
        )
