"""What became of each scene in a stage, and of the stage as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.errors import Cause
from spark_cot.report.run import State
from spark_cot.safe import PassedOver

#: Attempted scenes from which on their share of failures is judged.
JUDGED_FROM: Final = 10


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
        Why it failed, or was given up.
    cause : Cause, optional
        Where the fault of what failed lies.
    granule : str
        Of a damaged product, the name of the granule (`plan.generations.generation_name`).
    again : bool
        Whether another try is worth while when the other scenes are through: its worker died, or
        the store did not answer.
    entry : LedgerEntry, optional
        What the log is to be told; None once it knows, and where there is nothing to tell.
    """

    name: str
    state: State
    source: str = ""
    rows: int = 0
    seconds: float = 0.0
    reason: str = ""
    cause: Cause | None = None
    granule: str = ""
    again: bool = False
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
    """One outcome per scene from those of its tasks, None dropped.

    What is worth another try goes before a failure, and that before a commit.
    """
    by_name: dict[str, Outcome] = {}
    for outcome in results:
        if outcome is not None:
            other = by_name.setdefault(outcome.name, outcome)
            by_name[outcome.name] = max(other, outcome, key=_weight)
    return [by_name[name] for name in sorted(by_name)]


def _weight(outcome: Outcome) -> tuple[bool, bool]:
    return outcome.again, outcome.state == "failed"


def is_too_many(failed: int, attempted: int, good: int, max_failure_ratio: float) -> bool:
    """Whether so many failures of ``attempted`` scenes speak against the job.

    ``good`` is how many further scenes are done. Of a few scenes one is a large share, and says
    little: the ratio counts from `JUDGED_FROM` attempted scenes on.
    """
    return attempted >= JUDGED_FROM and failed > max_failure_ratio * (attempted + good)


def exit_code(results: Iterable[StageResult], max_failure_ratio: float) -> int:
    """0 all done; 1 some failed within the ratio, were given up or not seen; 2 more failed.

    Scenes that were skipped count as good ones, those that were superseded not at all, those that
    were given up not among the attempted.
    """
    results = list(results)
    unseen = any(item.unseen for result in results for item in result.passed_over)
    by_state: dict[State, set[str]] = {}
    for outcome in (outcome for result in results for outcome in result.outcomes):
        by_state.setdefault(outcome.state, set()).add(outcome.name)
    failed, given_up = by_state.get("failed", set()), by_state.get("given-up", set())
    attempted = failed | by_state.get("done", set())
    others = by_state.get("skipped", set()) - attempted
    skipped = max((result.rest.get("skipped", 0) for result in results), default=0)
    if is_too_many(len(failed), len(attempted), len(others) + skipped, max_failure_ratio):
        return 2
    return int(bool(failed or given_up) or unseen)
