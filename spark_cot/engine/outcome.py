"""What became of each scene in a stage, and of the stage as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.report.run import State


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scene in one stage.

    Attributes
    ----------
    name : str
        scene_id, or the product's name where the product could not be read.
    state : {"done", "skipped", "failed", "superseded"}
    source : str
        Path of the product.
    rows : int
        Rows written, 0 where none were.
    seconds : float
        Task time.
    reason : str
        Why it failed or was superseded.
    entry : LedgerEntry, optional
        What the log is to be told; None once it knows, and where there is nothing to tell.
    """

    name: str
    state: State
    source: str = ""
    rows: int = 0
    seconds: float = 0.0
    reason: str = ""
    entry: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage over an archive: wall seconds and the outcome of every scene, ordered by name."""

    stage: str
    seconds: float
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, state: State) -> int:
        """Number of scenes left in ``state``."""
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def rows(self) -> int:
        """Rows written by this run."""
        return sum(outcome.rows for outcome in self.outcomes)


def merged(results: Iterable[Outcome | None]) -> list[Outcome]:
    """One outcome per scene from those of its tasks: a failure before a commit, None dropped."""
    by_name: dict[str, Outcome] = {}
    for outcome in results:
        if outcome is not None and (outcome.name not in by_name or outcome.state == "failed"):
            by_name[outcome.name] = outcome
    return [by_name[name] for name in sorted(by_name)]


def exit_code(results: Iterable[StageResult], max_failure_ratio: float) -> int:
    """0 all done; 1 some scenes failed, within the ratio; 2 more failed than that."""
    outcomes = [o for r in results for o in r.outcomes if o.state != "superseded"]
    names = {outcome.name for outcome in outcomes}
    failed = {outcome.name for outcome in outcomes if outcome.state == "failed"}
    if not failed:
        return 0
    return 1 if len(failed) <= max_failure_ratio * len(names) else 2
