"""Which of an archive's granules of a scene make it: its datastrips, in each the one that serves.

Granules of different datastrips hold different parts of a scene, and all are taken; those of one
datastrip are generations of the same part, of which the newest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.plan.sources import Archive, Granule
from spark_cot.safe import Strip

#: Generations of one datastrip, those first that go before.
Generations = Sequence[Granule]


def by_strip(
    granules: Iterable[Granule], trust: Callable[[Granule], int] = lambda _: 0
) -> list[Generations]:
    """The datastrips of a scene, each with its generations; no order of ``granules`` matters.

    The highest baseline goes before, then the latest generation time. Copies equal in both are the
    same product twice: the one trusted most goes before, of equal ones the first path in
    alphabetical order. Strips are ordered by the age of their first generations, whoever is
    trusted; of equal age the first sensed one goes before.

    Parameters
    ----------
    granules : iterable
        Of one scene.
    trust : callable, optional
        What experience says of a copy; more is better.
    """
    ranked = sorted(granules, key=lambda g: (g.source, g.granule))
    ranked.sort(key=lambda g: (*age(g), trust(g)), reverse=True)
    strips: list[list[Granule]] = []
    for granule in ranked:
        own = next((strip for strip in strips if _is_of(granule, strip)), None)
        if own is None:
            strips.append([granule])
        else:
            own.append(granule)
    strips.sort(key=lambda strip: (strip[0].strip, strip[0].granule))
    strips.sort(key=lambda strip: age(strip[0]), reverse=True)
    return list(strips)


def joined(granules: Sequence[Granule]) -> Granule:
    """The granules of a scene's datastrips as one, as it is planned and worked on.

    It was sensed when the first of them was.
    """
    first = min(granule.sensing_time for granule in granules)
    return replace(granules[0], sensing_time=first, others=tuple(granules[1:]))


def elders(generations: Generations) -> list[Granule]:
    """Those that are older than the first; its copies are not."""
    return [granule for granule in generations if age(granule) < age(generations[0])]


def age(granule: Granule) -> tuple[str, datetime]:
    """What generations are ordered by."""
    return granule.baseline, granule.generation_time


def why_superseded(granule: Granule, winner: Granule) -> str:
    """Why a generation is not taken where another one of its datastrip is."""
    name = Path(winner.source).name
    if winner.baseline > granule.baseline:
        return f"{name} is of the higher baseline {winner.baseline}, this one of {granule.baseline}"
    if winner.generation_time > granule.generation_time:
        return f"{name} is a later generation of the same scene"
    return f"{winner.source} holds the same generation of it"


def generation_name(granule: Granule) -> str:
    """What the log calls a generation that failed while another one of its scene serves."""
    return f"{granule.ref.product.name}.{Path(granule.granule).name}"


def damage_of(granule: Granule, entries: Mapping[str, LedgerEntry]) -> LedgerEntry | None:
    """The failure of a generation, if its files are those that failed."""
    failure = entries.get(generation_name(granule))
    return failure if failure is not None and failure.key == granule.signature else None


def damaged_generations(archive: Archive, entries: Mapping[str, LedgerEntry]) -> set[str]:
    """Names among ``entries``, failures, of generations that lie in the archive as they failed."""
    suspects = archive.granules.of_products({entry.source for entry in entries.values()})
    return {generation_name(granule) for granule in suspects if damage_of(granule, entries)}


def is_ingested(granule: Granule, entry: LedgerEntry | None) -> bool:
    """Whether the workspace has pixels of this very product, of whatever state of its files.

    Of a scene of several datastrips it counts whether it has pixels of this one.
    """
    if entry is None or not entry.facts:
        return False
    if len(entry.strips) > 1:
        return any(_are_same(granule.strip, strip) for strip in entry.strips)
    return entry.source == granule.source


def lacks_strips(scene: Granule, entry: LedgerEntry) -> bool:
    """Whether the workspace has pixels of datastrips that have left the archive.

    A product that is there at the path of the first one has not left it, whatever it says now.
    """
    held = [granule.strip for granule in scene.strips]
    is_there = any(granule.source == entry.source for granule in scene.strips)
    strips = entry.strips[1:] if is_there else entry.strips
    return any(not any(_are_same(strip, own) for own in held) for strip in strips)


def _is_of(granule: Granule, strip: Generations) -> bool:
    """Whether it is a further generation; two granules of one product are two datastrips."""
    return _are_same(granule.strip, strip[0].strip) and all(
        granule.source != other.source for other in strip
    )


def _are_same(one: str, other: str) -> bool:
    """Whether two texts tell of one datastrip; those that say nothing do."""
    return not one or not other or Strip.parse(one).is_same(Strip.parse(other))
