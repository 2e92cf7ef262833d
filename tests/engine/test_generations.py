"""What stands in for damaged granules, without Spark."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.engine.generations import with_elders
from spark_cot.engine.outcome import Outcome
from spark_cot.plan.decide import DueScene
from spark_cot.plan.generations import generation_name, joined
from spark_cot.plan.sources import Granule

SENSED = datetime(2024, 3, 5, 10, 58, 54, tzinfo=UTC)


def granule(strip: int, generation: int = 0) -> Granule:
    made = SENSED + timedelta(days=generation)
    return Granule(
        f"/archive/{strip}-{generation}.SAFE",
        "GRANULE/L1C",
        f"signature {strip}-{generation}",
        "S",
        "31TCJ",
        SENSED + timedelta(seconds=10 * strip),
        made,
        "05.10",
        f"{strip}-{generation}",
        f"{SENSED + timedelta(seconds=10 * strip):%Y%m%dT%H%M%S}/",
    )


NORTH, SOUTH, OLDER = granule(0), granule(1, 1), granule(1)
BOTH = joined([SOUTH, NORTH])


def failure(scene: Granule, damaged: Granule, **changes: object) -> Outcome:
    outcome = Outcome(
        "S", "failed", damaged.source, reason="damaged", cause="product",
        granule=generation_name(damaged),
        entry=LedgerEntry("ingest", "S", scene.input, "failed", damaged.source),
    )  # fmt: skip
    return replace(outcome, **changes)


def due() -> DueScene[Granule]:
    """Both strips; for the southern one an older generation and then nothing, or nothing."""
    alone = DueScene(NORTH, "ingest")
    older = DueScene(joined([OLDER, NORTH]), "ingest", {generation_name(OLDER): alone})
    south = DueScene(SOUTH, "ingest")
    return DueScene(BOTH, "ingest", {generation_name(SOUTH): older, generation_name(NORTH): south})


def test_one_after_the_other_gives_way_until_the_scene_is_made() -> None:
    tried: list[tuple[str, ...]] = []

    def work(granules: list[Granule], known: object) -> list[Outcome]:
        (scene,) = granules
        tried.append(tuple(strip.source for strip in scene.strips))
        if len(scene.strips) > 1:
            return [failure(scene, OLDER)]
        return [Outcome("S", "done", scene.source)]

    outcomes = with_elders(work, [due()], [failure(BOTH, SOUTH)], {"ingest": {}})
    assert tried == [(OLDER.source, NORTH.source), (NORTH.source,)]
    first, second, done = outcomes
    assert (first.name, second.name) == (generation_name(SOUTH), generation_name(OLDER))
    assert first.reason == ("damaged. Until it is repaired an older generation is taken, 1-0.SAFE")
    assert second.reason.endswith("Until it is repaired the scene is without its part")
    assert (done.name, done.state, done.source) == ("S", "done", NORTH.source)
    assert [o.entry.key for o in (first, second) if o.entry] == [SOUTH.signature, OLDER.signature]


def test_each_granule_has_attempts_of_its_own() -> None:
    name = generation_name(SOUTH)
    before = LedgerEntry("ingest", name, SOUTH.signature, "failed", SOUTH.source, attempt=3)
    known = {"ingest": {name: before}}
    assert due().names == {"S", name, generation_name(NORTH), generation_name(OLDER)}

    def attempts(damaged: Granule) -> int:
        found = with_elders(lambda *_: [], [due()], [failure(BOTH, damaged)], known)
        assert found[0].entry is not None
        return found[0].entry.attempt

    assert (attempts(SOUTH), attempts(NORTH)) == (4, 1)
    known["ingest"][name] = replace(before, key="of other files")
    assert attempts(SOUTH) == 1


@pytest.mark.parametrize(
    "changes", [{"cause": "store"}, {"cause": "resources"}, {"again": True}, {"granule": ""}]
)
def test_what_is_not_known_to_be_damage_of_one_granule_fails_as_a_whole(changes: dict) -> None:
    outcome = failure(BOTH, SOUTH, **changes)
    assert with_elders(lambda *_: [], [due()], [outcome], {"ingest": {}}) == [outcome]
