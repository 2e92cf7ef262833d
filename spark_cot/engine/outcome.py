"""What became of each scene in a stage, and of the stage as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.report.run import State
from spark_cot.safe import PassedOver


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scene in one stage.

    Attributes
    ----------
    name : str
        scene_id, or the product's name where the product could not be read.
    state : State
    source : str
        Path of the product.
    rows : int
        Rows written, 0 where none were.
    seconds : float
        Task time.
    reason : str
        Why it failed.
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
    """A stage over an archive.

    Attributes
    ----------
    stage : str
    seconds : float
        Wall time.
    outcomes : list[Outcome]
        Of the scenes that had work to do in this run, in some stage, ordered by name.
    rest : mapping
        How many further scenes there are in each state.
    passed_over : list[PassedOver]
        What was come across in the archive and is no scene.
    """

    stage: str
    seconds: float
    outcomes: list[Outcome] = field(default_factory=list)
    rest: Mapping[State, int] = field(default_factory=dict)
    passed_over: list[PassedOver] = field(default_factory=list)

    def count(self, state: State) -> int:
        """Number of scenes left in ``state``."""
        own = sum(outcome.state == state for outcome in self.outcomes)
        return own + self.rest.get(state, 0)

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
    """0 all done; 1 some scenes failed, within the ratio, or were not seen; 2 more failed.

    Scenes that were skipped count as good ones, those that were superseded not at all.
    """
    results = list(results)
    unseen = any(item.unseen for result in results for item in result.passed_over)
    outcomes = [outcome for result in results for outcome in result.outcomes]
    names = {outcome.name for outcome in outcomes}
    failed = {outcome.name for outcome in outcomes if outcome.state == "failed"}
    skipped = max((result.rest.get("skipped", 0) for result in results), default=0)
    if not failed:
        return int(unseen)
    return 1 if len(failed) <= max_failure_ratio * (len(names) + skipped) else 2
