"""The plan of a run: what every scene of an archive needs, decided from what is known of it.

Facts in, decisions out; nothing here reads or writes. A stage's result has a key made of its
input's key and the stage's configuration, and its input is the result of the stage before. So the
fingerprint of a product and the configurations of all stages tell, without a look at any table,
which result a scene should have; the ledger tells which it has.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar, get_args

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.parts import content_key
from spark_cot.plan.select import Selectable
from spark_cot.plan.sources import Archive, Granule, Unreadable
from spark_cot.safe import latest_generation

Kind = Literal[
    "new",
    "changed",
    "outdated-format",
    "outdated-model",
    "outdated-configuration",
    "unfinished",
    "failed-before",
    "given-up",
    "superseded",
    "gone",
    "done",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

#: Scenes of these kinds have work to do.
TO_DO: Final = frozenset(KINDS[: KINDS.index("given-up")])

#: Scenes of these kinds are named; the others are counted.
_TOLD: Final = TO_DO | {"given-up"}

#: Of a configuration: the version of what a stage writes, raised when its form changes.
_FORMAT: Final = frozenset({"spark_cot.schema_version", "product_version"})

#: What a stage's result is made of beside its input: JSON values by name.
Configuration = Mapping[str, Any]
#: Configurations by stage, in the order in which stages follow each other.
Configurations = Mapping[str, Configuration]


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """What the workspace says: ledger entries by stage and name, scenes held by each stage."""

    entries: Mapping[str, Mapping[str, LedgerEntry]]
    held: Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a scene.

    Attributes
    ----------
    name : str
        scene_id, or the product's name where that is unknown.
    kind : Kind
    source : str
        Path of the product.
    found : Granule or Unreadable, optional
        What there is to work on; None for scenes that are gone.
    stage : str
        First stage that has work to do; empty if none has.
    attempts : int
        How often that stage has failed with the same input and configuration.
    reason : str
        Why it failed, or what supersedes it.
    """

    name: str
    kind: Kind
    source: str
    found: Granule | Unreadable | None = None
    stage: str = ""
    attempts: int = 0
    reason: str = ""


S = TypeVar("S", bound=Selectable)


@dataclass(frozen=True, slots=True)
class DueScene(Generic[S]):
    """A scene to work on, from ``stage`` on: one of an archive, or of the scene index."""

    scene: S
    stage: str

    @property
    def name(self) -> str:
        """The scene_id."""
        return self.scene.scene_id


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of an archive.

    Attributes
    ----------
    archive : Archive
    counts : mapping
        Scenes of each kind that occurs.
    decisions : list[Decision]
        On what has work to do or was given up, by name; the rest is counted and no more.
    scenes : list[DueScene[Granule]]
        What is to be worked on, in this order.
    """

    archive: Archive
    counts: Mapping[Kind, int]
    decisions: list[Decision]
    scenes: list[DueScene[Granule]]

    @classmethod
    def of(
        cls,
        archive: Archive,
        decisions: Iterable[Decision],
        newest_first: bool = True,
        most: int | None = None,
    ) -> Plan:
        """The plan that ``decisions``, each looked at once, make; the others as of `choose`."""
        counts, kept = Counter[Kind](), []
        for decision in decisions:
            counts[decision.kind] += 1
            if decision.kind in _TOLD:
                kept.append(decision)
        kept.sort(key=lambda decision: (decision.name, decision.source))
        found = {kind: counts[kind] for kind in KINDS if counts[kind]}
        due = choose(kept, newest_first, most)
        return cls(archive, found, kept, due)

    @property
    def granules(self) -> list[Granule]:
        """Where the scenes that are to be worked on come from."""
        return [due.scene for due in self.scenes]

    @property
    def unreadable(self) -> list[Unreadable]:
        """What was opened in vain when the plan was made, and not given up before."""
        todo = [decision for decision in self.decisions if decision.kind in TO_DO]
        return [decision.found for decision in todo if isinstance(decision.found, Unreadable)]


def result_key(upstream: str, configuration: Configuration) -> str:
    """Key of a stage's result, made of its input's key and the stage's configuration."""
    return content_key(upstream=upstream, **configuration)


def decide(
    archive: Archive,
    state: WorkspaceState,
    configurations: Configurations,
    retries: float = math.inf,
) -> Iterator[Decision]:
    """One decision on each scene and each unreadable product, made when it is asked for.

    Parameters
    ----------
    archive : Archive
    state : WorkspaceState
    configurations : mapping
        The first stage is the ingest.
    retries : float
        How often what failed is tried again with the same input and configuration.
    """
    ingested = state.entries["ingest"]
    for _, copies in groupby(archive.granules.by_scene(), key=attrgetter("scene_id")):
        (kept,), superseded = latest_generation(copies, partial(_trust, ingested))
        yield from (_on_superseded(*pair) for pair in superseded)
        yield _on_scene(kept, state, configurations, retries)
    for item in archive.unreadable:
        yield _on_unreadable(item, ingested, retries)
    yield from _gone(archive, ingested)


def past_failures(archive: Archive, never_done: Mapping[str, str]) -> dict[str, str]:
    """Of what the ingest never finished, sources by name, that under no name of the archive."""
    current = _names(archive) | {item.name for item in archive.unreadable}
    return {name: source for name, source in never_done.items() if name not in current}


def choose(
    decisions: Iterable[Decision], newest_first: bool = True, most: int | None = None
) -> list[DueScene[Granule]]:
    """Readable scenes with work to do, ordered by sensing time, then name; at most ``most``."""
    todo = [decision for decision in decisions if decision.kind in TO_DO]
    due = [DueScene(d.found, d.stage) for d in todo if isinstance(d.found, Granule)]
    due.sort(key=lambda scene: scene.name)
    due.sort(key=lambda due: due.scene.sensing_time, reverse=newest_first)
    return due[:most]


def first_stage_due(
    name: str,
    upstream: str,
    state: WorkspaceState,
    configurations: Configurations,
    retries: float = math.inf,
) -> tuple[Kind, str, LedgerEntry | None]:
    """Kind of a scene, the first of its stages that is due, and the ledger's word on that.

    ``upstream`` identifies what the first stage of ``configurations`` reads.
    """
    for stage, configuration in configurations.items():
        upstream = result_key(upstream, configuration)
        entry = state.entries[stage].get(name)
        if entry is None:
            return ("new" if stage == "ingest" else "unfinished"), stage, None
        if entry.key != upstream:
            return _kind_of_change(entry, configuration), stage, entry
        if entry.state == "failed":
            return ("failed-before" if entry.attempt <= retries else "given-up"), stage, entry
        if name not in state.held[stage]:
            return "unfinished", stage, entry
    return "done", "", None


def _trust(entries: Mapping[str, LedgerEntry], granule: Granule) -> int:
    """More for the copy of a scene that was ingested, less for the one that last failed."""
    entry = entries.get(granule.scene_id)
    if entry is None or entry.source != granule.source:
        return 0
    return 1 if entry.state == "done" else -1


def _kind_of_change(entry: LedgerEntry, configuration: Configuration) -> Kind:
    """Why a result has another key than it should: its configuration, or its input."""
    different = {name for name, value in configuration.items() if entry.facts.get(name) != value}
    if different & _FORMAT and entry.facts:
        return "outdated-format"
    if "spark_cot.model_hash" in different and entry.facts:
        return "outdated-model"
    if different and entry.facts:
        return "outdated-configuration"
    return "changed" if entry.stage == "ingest" else "unfinished"


def _on_scene(
    granule: Granule, state: WorkspaceState, configurations: Configurations, retries: float
) -> Decision:
    name = granule.scene_id
    kind, stage, entry = first_stage_due(name, granule.fingerprint, state, configurations, retries)
    decision = Decision(name, kind, granule.source, granule, stage)
    if entry is not None and kind in ("failed-before", "given-up"):
        return replace(decision, attempts=entry.attempt, reason=entry.error)
    return decision


def _on_superseded(granule: Granule, winner: Granule) -> Decision:
    why = f"{Path(winner.source).name} is a later generation of the same scene"
    return Decision(granule.scene_id, "superseded", granule.source, granule, reason=why)


def _on_unreadable(
    item: Unreadable, entries: Mapping[str, LedgerEntry], retries: float
) -> Decision:
    entry, attempts = entries.get(item.name), 0
    kind: Kind = "new"
    if entry is not None and entry.key == item.signature and item.cause != "store":
        attempts = entry.attempt
        kind = "failed-before" if attempts <= retries else "given-up"
    return Decision(item.name, kind, item.source, item, "ingest", attempts, item.reason)


def _gone(archive: Archive, entries: Mapping[str, LedgerEntry]) -> Iterator[Decision]:
    """Ingested scenes that no product of the archive holds any more, as far as one can see."""
    there = _names(archive)
    sources = {item.source for item in archive.unreadable}
    for name, entry in entries.items():
        known = name in there or entry.source in sources or archive.hides(entry.source)
        if entry.facts and not known:
            yield Decision(name, "gone", entry.source)


def _names(archive: Archive) -> set[str]:
    """The scene_ids of an archive."""
    return set(archive.granules.table["scene_id"].to_pylist())
