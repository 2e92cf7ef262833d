"""What stands in for damaged granules until they are repaired.

That is an older generation of theirs, or else what the scene's other datastrips have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spark_cot.commit.ledger import Entries, LedgerEntry
from spark_cot.engine.outcome import Outcome
from spark_cot.plan.decide import DueScene
from spark_cot.plan.generations import damage_of, generation_name
from spark_cot.plan.sources import Granule


def with_elders(
    work: Callable[[list[Granule], Entries], list[Outcome]],
    wave: Sequence[DueScene[Granule]],
    outcomes: list[Outcome],
    known: Entries,
) -> list[Outcome]:
    """The outcomes of an ingest, in which others stand in for damaged granules.

    The failure of one has a name of its own, so that the scene goes on. What failed for another
    reason than the product's, and what comes again, fails as a whole.
    """
    trying = {scene.name: scene for scene in wave}
    ended: list[Outcome] = []
    while True:
        failed = {o.name: o for o in outcomes if _gives_way(o, trying[o.name])}
        ended += [outcome for outcome in outcomes if outcome.name not in failed]
        if not failed:
            return ended
        ended += [_given_way(trying[name], outcome, known) for name, outcome in failed.items()]
        trying = {name: trying[name].elders[outcome.granule] for name, outcome in failed.items()}
        due = [elder.scene for elder in trying.values() if elder.stage == "ingest"]
        outcomes = work(due, known) if due else []
        outcomes += [
            Outcome(elder.name, "skipped", elder.scene.source)
            for elder in trying.values()
            if elder.stage != "ingest"
        ]


def _gives_way(outcome: Outcome, scene: DueScene[Granule]) -> bool:
    """Whether something stands in for what is damaged."""
    is_damaged = outcome.state == "failed" and outcome.cause == "product" and not outcome.again
    return is_damaged and outcome.granule in scene.elders


def _given_way(scene: DueScene[Granule], failure: Outcome, known: Entries) -> Outcome:
    """The failure of a granule for which something stands in."""
    name = failure.granule
    (granule,) = (strip for strip in scene.scene.strips if generation_name(strip) == name)
    why = f"{failure.reason}. Until it is repaired {_instead(granule, scene)}"
    before = damage_of(granule, known["ingest"])
    entry = LedgerEntry(
        "ingest",
        name,
        granule.signature,
        "failed",
        source=granule.source,
        attempt=before.attempt + 1 if before is not None else 1,
        error=why,
    )
    return Outcome(name, "failed", granule.source, reason=why, cause=failure.cause, entry=entry)


def _instead(granule: Granule, scene: DueScene[Granule]) -> str:
    """What is done without a granule."""
    elder = scene.elders[generation_name(granule)].scene
    if len(elder.strips) < len(scene.scene.strips):
        return "the scene is without its part"
    others = {strip.source for strip in scene.scene.strips}
    (older,) = (strip for strip in elder.strips if strip.source not in others)
    return f"an older generation is taken, {Path(older.source).name}"
