"""The plan of a run: what every scene of an archive needs, decided from what is known of it.

Facts in, decisions out; nothing here reads or writes. A stage's result has a key made of its
input's key and the stage's configuration, and its input is the result of the stage before. So the
fingerprint of a product and the configurations of all stages tell, without a look at any table,
which result a scene should have; the ledger tells which it has.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, get_args

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.parts import content_key
from spark_cot.plan.generations import (
    Generations,
    by_strip,
    damage_of,
    elders,
    generation_name,
    is_ingested,
    joined,
    lacks_strips,
    why_superseded,
)
from spark_cot.plan.select import Selectable
from spark_cot.plan.sources import Archive, Granule, Unreadable

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

#: Of a configuration: what a stage's code is in numbers, raised by hand. Results from before there
#: was a revision are of the first.
_FIRST: Final[Mapping[str, Any]] = {"revision": 1, "spark_cot.revision": "1"}
_FORMAT: Final = frozenset({"spark_cot.schema_version", "product_version", *_FIRST})

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
        Why it is due, why it failed, or what supersedes it.
    elders : mapping
        By name of each granule that may turn out to be damaged (`generations.generation_name`), the
        decision on what stands in then: an older generation, and the scene's other datastrips.
    """

    name: str
    kind: Kind
    source: str
    found: Granule | Unreadable | None = None
    stage: str = ""
    attempts: int = 0
    reason: str = ""
    elders: Mapping[str, Decision] = field(default_factory=dict)


S = TypeVar("S", bound=Selectable)


@dataclass(frozen=True, slots=True)
class DueScene(Generic[S]):
    """A scene to work on, from ``stage`` on; empty if nothing is due.

    It is one of an archive, or of the scene index. ``elders`` stand in if a granule of it fails,
    see `Decision`.
    """

    scene: S
    stage: str
    elders: Mapping[str, DueScene[S]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scene_id."""
        return self.scene.scene_id

    @property
    def names(self) -> set[str]:
        """That, and the names of all granules that something stands in for."""
        deeper = (elder.names for elder in self.elders.values())
        return {self.name, *self.elders}.union(*deeper)


@dataclass(frozen=True, slots=True)
class StageWork:
    """What a plan makes a stage do: scenes, bytes of theirs that go, bytes that come.

    ``written`` is an estimate from the scenes that are there, None while there are none.
    """

    stage: str
    scenes: int
    replaced: int
    written: int | None


class Due(NamedTuple):
    """What a scene needs: its kind, the first stage due, the ledger's word on that, and why."""

    kind: Kind
    stage: str = ""
    entry: LedgerEntry | None = None
    why: str = ""

    @property
    def attempts(self) -> int:
        """How often that has failed already."""
        failed = self.entry is not None and self.kind in ("failed-before", "given-up")
        return self.entry.attempt if self.entry is not None and failed else 0


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
    work : list[StageWork]
        What that is for each stage.
    """

    archive: Archive
    counts: Mapping[Kind, int]
    decisions: list[Decision]
    scenes: list[DueScene[Granule]] = field(default_factory=list)
    work: list[StageWork] = field(default_factory=list)

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
    def chosen(self) -> list[Decision]:
        """What is worked on, in this order, what is unreadable last."""
        due = {decision.name: decision for decision in self.decisions if decision.kind in TO_DO}
        names = [scene.name for scene in self.scenes] + [item.name for item in self.unreadable]
        indexed = [decision for decision in due.values() if decision.found is None]
        return [due[name] for name in names] + indexed

    @property
    def reasons(self) -> list[tuple[Kind, str, int]]:
        """Why scenes are due and how many for that reason, most first; failures have their own."""
        due = [d for d in self.decisions if d.kind in TO_DO and not isinstance(d.found, Unreadable)]
        found = Counter((d.kind, d.reason) for d in due if not d.attempts)
        return [(kind, why, number) for (kind, why), number in found.most_common()]

    @property
    def unreadable(self) -> list[Unreadable]:
        """What was opened in vain when the plan was made, and not given up before."""
        todo = [decision for decision in self.decisions if decision.kind in TO_DO]
        return [decision.found for decision in todo if isinstance(decision.found, Unreadable)]


def result_key(upstream: str, configuration: Configuration) -> str:
    """Key of a stage's result, made of its input's key and the stage's configuration."""
    return content_key(upstream=upstream, **configuration)


def is_made_of(entry: LedgerEntry, upstream: str, configuration: Configuration) -> bool:
    """Whether a result, or a failure to make one, is of this input and configuration.

    A key may be made of facts that decide no more, such as the version of the package once was:
    then it is enough that those which do are as they should be.
    """
    return entry.key == result_key(upstream, configuration) or (
        not _different(entry, configuration) and entry.key == result_key(upstream, entry.facts)
    )


def is_done(entry: LedgerEntry | None, upstream: str, configuration: Configuration) -> bool:
    """Whether a result of this input and configuration was made."""
    return (
        entry is not None and entry.state == "done" and is_made_of(entry, upstream, configuration)
    )


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
    unreadable = {item.source for item in archive.unreadable}
    trust = partial(_trust, ingested)
    for _, copies in groupby(archive.granules.by_scene(), key=attrgetter("scene_id")):
        strips = by_strip(copies, trust)
        yield from _left(joined([strip[0] for strip in strips]), ingested)
        yield from _on_strips(strips, state, configurations, retries, unreadable)
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
    todo = map(_due, (decision for decision in decisions if decision.kind in TO_DO))
    due = [scene for scene in todo if scene is not None]
    due.sort(key=lambda scene: scene.name)
    due.sort(key=lambda due: due.scene.sensing_time, reverse=newest_first)
    return due[:most]


def _due(decision: Decision) -> DueScene[Granule] | None:
    """What a decision asks for; None where there is nothing to work on."""
    if not isinstance(decision.found, Granule):
        return None
    stage = decision.stage if decision.kind in TO_DO else ""
    found = {name: _due(elder) for name, elder in decision.elders.items()}
    elders = {name: elder for name, elder in found.items() if elder is not None}
    return DueScene(decision.found, stage, elders)


def first_stage_due(
    name: str,
    upstream: str,
    state: WorkspaceState,
    configurations: Configurations,
    retries: float = math.inf,
    stays: bool = False,
) -> Due:
    """What a scene needs; ``upstream`` identifies what the first of these stages reads.

    If the scene ``stays`` its pixels count for what they should be, as long as they are there:
    what there is to make them of now is less.
    """
    for stage, configuration in configurations.items():
        entry = state.entries[stage].get(name)
        if entry is None:
            return Due("new" if stage == "ingest" else "unfinished", stage, why=f"no {stage} yet")
        if stays and stage == "ingest" and entry.state == "done" and name in state.held[stage]:
            upstream = entry.key
            continue
        if not is_made_of(entry, upstream, configuration):
            return _change(entry, configuration)
        if entry.state == "failed":
            kind: Kind = "failed-before" if entry.attempt <= retries else "given-up"
            return Due(kind, stage, entry, entry.error)
        if name not in state.held[stage]:
            return Due("unfinished", stage, entry, f"files of {stage} are missing")
        upstream = entry.key
    return Due("done")


def _change(entry: LedgerEntry, configuration: Configuration) -> Due:
    """Why a result has another key than it should: its configuration, or its input."""
    different = _different(entry, configuration) if entry.facts else {}
    why = "; ".join(
        f"{name.removeprefix('spark_cot.').replace('_', ' ')} {_short(was)}, "
        f"now {_short(configuration[name])}"
        for name, was in different.items()
    )
    if different.keys() & _FORMAT:
        return Due("outdated-format", entry.stage, entry, why)
    if "spark_cot.model_hash" in different:
        return Due("outdated-model", entry.stage, entry, why)
    if different:
        return Due("outdated-configuration", entry.stage, entry, why)
    if entry.stage == "ingest":
        return Due("changed", entry.stage, entry, "its files are others than those ingested")
    return Due("unfinished", entry.stage, entry, "what it is made from was made anew")


def _different(entry: LedgerEntry, configuration: Configuration) -> dict[str, Any]:
    """What a result was made with where it should be made with something else."""
    facts = {**_FIRST, **entry.facts}
    return {n: facts.get(n) for n, value in configuration.items() if facts.get(n) != value}


def _short(fact: Any) -> str:
    """A fact in words; of a hash the digits that models go by."""
    return "none" if fact is None else str(fact)[:16]


def _on_strips(
    strips: Sequence[Generations],
    state: WorkspaceState,
    configurations: Configurations,
    retries: float,
    unreadable: Collection[str],
) -> Iterator[Decision]:
    """On all granules of a scene by datastrip; the last decision is on those that make it.

    These are the newest of each strip. One that was found damaged and given up leaves its place to
    an older generation of its strip, and without one the scene to the other strips.
    """
    ingested = state.entries["ingest"]
    newest = [strip[0] for strip in strips]
    decision = _on_scene(joined(newest), state, configurations, retries, unreadable)
    if decision.stage == "ingest":
        without = dict(_without(strips, ingested.get(decision.name)))
        damaged = {name: damage_of(newest[n], ingested) for name, (n, _) in without.items()}
        for name, failure in damaged.items():
            if failure is not None and failure.attempt > retries:
                place, rest = without[name]
                yield from _superseded(strips[place], but=elders(strips[place]))
                yield _given_up(failure, newest[place], len(rest) == len(strips))
                yield from _on_strips(rest, state, configurations, retries, unreadable)
                return
        failures = [failure for failure in damaged.values() if failure is not None]
        if failures:
            worst = max(failures, key=lambda failure: failure.attempt)
            decision = replace(
                decision, kind="failed-before", attempts=worst.attempt, reason=worst.error
            )
        others = {
            name: list(_on_strips(rest, state, configurations, retries, unreadable))[-1]
            for name, (_, rest) in without.items()
        }
        decision = replace(decision, elders=others)
    for strip in strips:
        yield from _superseded(strip)
    yield decision


def _without(
    strips: Sequence[Generations], entry: LedgerEntry | None
) -> Iterator[tuple[str, tuple[int, list[Generations]]]]:
    """By name of each strip's newest generation, its place and what there is without it.

    Pixels that were made of one while it was sound are better than those of an older one.
    """
    for place, strip in enumerate(strips):
        older = [] if is_ingested(strip[0], entry) else elders(strip)
        rest = [*strips[:place], *([older] if older else []), *strips[place + 1 :]]
        if rest:
            yield generation_name(strip[0]), (place, rest)


def _trust(entries: Mapping[str, LedgerEntry], granule: Granule) -> int:
    """More for the copy of a scene that was ingested, less for the one that last failed."""
    entry = entries.get(granule.scene_id)
    if entry is None or entry.source != granule.source:
        return 0
    return 1 if entry.state == "done" else -1


def _on_scene(
    granule: Granule,
    state: WorkspaceState,
    configurations: Configurations,
    retries: float,
    unreadable: Collection[str] = (),
) -> Decision:
    """On what a scene is made of; ``unreadable`` are products that cannot be opened."""
    name = granule.scene_id
    entry = state.entries["ingest"].get(name)
    own = {strip.source for strip in granule.strips}
    stays = entry is not None and (
        lacks_strips(granule, entry) or (entry.source in unreadable and entry.source not in own)
    )
    due = first_stage_due(name, granule.input, state, configurations, retries, stays)
    return Decision(name, due.kind, granule.source, granule, due.stage, due.attempts, due.why)


def _superseded(strip: Generations, but: Collection[Granule] = ()) -> Iterator[Decision]:
    """On the generations of a strip that are not its newest."""
    winner = strip[0]
    for granule in sorted(strip[1:], key=lambda granule: granule.source):
        if granule not in but:
            why = why_superseded(granule, winner)
            yield Decision(granule.scene_id, "superseded", granule.source, granule, reason=why)


def _given_up(failure: LedgerEntry, granule: Granule, has_elder: bool) -> Decision:
    """On a damaged generation that is not tried again."""
    instead = "An older generation serves" if has_elder else "The scene is without its part"
    why = f"{failure.error}. {instead}"
    return Decision(failure.name, "given-up", granule.source, None, "ingest", failure.attempt, why)


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


def _left(scene: Granule, entries: Mapping[str, LedgerEntry]) -> Iterator[Decision]:
    """On what has left the archive of a scene that is still there in part."""
    entry = entries.get(scene.scene_id)
    if entry is not None and entry.facts and lacks_strips(scene, entry):
        why = "products of other datastrips of it were ingested and have left the archive"
        yield Decision(scene.scene_id, "gone", entry.source, reason=why)


def _names(archive: Archive) -> set[str]:
    """The scene_ids of an archive."""
    return set(archive.granules.table["scene_id"].to_pylist())
