"""Older generations that stand in for damaged newer ones, until these are repaired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spark_cot.commit.ledger import Entries, LedgerEntry
from spark_cot.engine.outcome import Outcome
from spark_cot.plan.decide import DueScene, generation_name
from spark_cot.plan.sources import Granule


def with_elders(
    work: Callable[[list[Granule], Entries], list[Outcome]],
    wave: Sequence[DueScene[Granule]],
    outcomes: list[Outcome],
    known: Entries,
) -> list[Outcome]:
    """The outcomes of an ingest, in which older generations stand in for damaged newer ones.

    The failure of a newer one has a name of its own, so that the scene goes on. What failed for
    another reason than the product's, and what comes again, keeps its generation.
    """
    trying = {scene.name: scene for scene in wave}
    ended: list[Outcome] = []
    while True:
        failed = {o.name: o for o in outcomes if _gives_way(o, trying[o.name])}
        ended += [outcome for outcome in outcomes if outcome.name not in failed]
        if not failed:
            return ended
        ended += [_given_way(trying[name], outcome) for name, outcome in failed.items()]
        elders = [elder for name in failed if (elder := trying[name].elder) is not None]
        trying = {elder.name: elder for elder in elders}
        due = [elder.scene for elder in elders if elder.stage == "ingest"]
        outcomes = work(due, known) if due else []
        outcomes += [
            Outcome(elder.name, "skipped", elder.scene.source)
            for elder in elders
            if elder.stage != "ingest"
        ]


def _gives_way(outcome: Outcome, scene: DueScene[Granule]) -> bool:
    """Whether an older generation is to be taken."""
    is_damaged = outcome.state == "failed" and outcome.cause == "product" and not outcome.again
    return is_damaged and scene.elder is not None


def _given_way(scene: DueScene[Granule], failure: Outcome) -> Outcome:
    """The failure of a generation in whose place an older one is taken."""
    granule, elder = scene.scene, scene.elder
    name = generation_name(granule)
    instead = Path(elder.scene.source).name if elder is not None else ""
    why = f"{failure.reason}. Until it is repaired an older generation is taken, {instead}"
    entry = LedgerEntry(
        "ingest",
        name,
        granule.signature,
        "failed",
        source=granule.source,
        attempt=scene.attempts + 1,
        error=why,
    )
    return Outcome(name, "failed", granule.source, reason=why, cause=failure.cause, entry=entry)
