"""Generations and datastrips of a scene."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.plan.generations import (
    by_strip,
    elders,
    generation_name,
    is_ingested,
    joined,
    lacks_strips,
    why_superseded,
)
from spark_cot.plan.sources import Granule

TIME = datetime(2024, 3, 5, 10, 58, tzinfo=UTC)


def granule(source: str, strip: int = 0, generation: int = 0, **changes: object) -> Granule:
    sensed = TIME + timedelta(seconds=10 * strip)
    facts = Granule(
        source=source,
        granule="GRANULE/L1C",
        signature="s",
        scene_id="S",
        tile="31TCJ",
        sensing_time=sensed,
        generation_time=TIME + timedelta(days=generation),
        baseline="05.10",
        fingerprint=source,
        strip=f"{sensed:%Y%m%dT%H%M%S}/",
    )
    return replace(facts, **changes)


def sources(strips: list) -> list[list[str]]:
    return [[own.source for own in strip] for strip in strips]


def test_the_highest_baseline_wins_then_the_latest_time_then_the_trusted_copy() -> None:
    old = granule("/a", generation=9, baseline="02.09")
    new, later, twin = granule("/d"), granule("/b", generation=1), granule("/c", generation=1)
    assert sources(by_strip([twin, old, new, later])) == [["/b", "/c", "/d", "/a"]]
    trusted = by_strip([twin, old, new, later], lambda own: own.source == "/c")
    assert sources(trusted) == [["/c", "/b", "/d", "/a"]]
    assert [own.source for own in elders(trusted[0])] == ["/d", "/a"]


def test_datastrips_are_parts_and_generations_stay_in_theirs() -> None:
    north, south = granule("/n"), granule("/s", strip=1, generation=1)
    again = granule("/n2", generation=2)
    assert sources(by_strip([north, south])) == [["/s"], ["/n"]]
    assert sources(by_strip([north, south, again])) == [["/n2", "/n"], ["/s"]]


def test_two_granules_of_one_product_are_parts_whatever_their_times() -> None:
    first = replace(granule("/old", granule="GRANULE/a"), strip="")
    second = replace(first, granule="GRANULE/b", fingerprint="other")
    copies = [replace(own, source="/copy") for own in (first, second)]
    strips = by_strip([*copies, second, first])
    assert sources(strips) == [["/copy", "/old"], ["/copy", "/old"]]
    assert [strip[0].granule for strip in strips] == ["GRANULE/a", "GRANULE/b"]


@given(st.permutations([granule("/n"), granule("/s", 1, 1), granule("/n2", 0, 2), granule("/x")]))
def test_no_order_matters(granules: list[Granule]) -> None:
    assert sources(by_strip(granules)) == [["/n2", "/n", "/x"], ["/s"]]


def test_a_joined_scene_is_one_input_that_began_with_its_first_strip() -> None:
    north, south = granule("/n"), granule("/s", strip=1)
    scene = joined([south, north])
    assert (scene.source, scene.sensing_time) == ("/s", north.sensing_time)
    assert [strip.source for strip in scene.strips] == ["/s", "/n"]
    assert len({scene.input, south.input, north.input, joined([north, south]).input}) == 4
    assert joined([north]) == north
    assert joined([north]).input == north.fingerprint


def test_what_was_ingested_is_known_by_source_or_by_datastrip() -> None:
    north, south = granule("/n"), granule("/s", strip=1)
    one = LedgerEntry("ingest", "S", "k", "done", "/n", facts={"f": 1}, strips=(north.strip,))
    both = replace(one, source="/s", strips=(south.strip, north.strip))
    assert is_ingested(north, one) and not is_ingested(south, one)
    assert is_ingested(north, both) and is_ingested(granule("/n2"), both)
    assert not is_ingested(north, None) and not is_ingested(north, replace(one, facts={}))
    assert not lacks_strips(north, one) and lacks_strips(south, one)
    assert lacks_strips(south, both) and not lacks_strips(joined([south, north]), both)
    assert not lacks_strips(granule("/n", strip=5), one) and lacks_strips(north, both)


def test_what_supersedes_is_named_for_what_it_is() -> None:
    older = granule("/a/older.SAFE")
    newer = granule("/a/newer.SAFE", generation=1)
    assert why_superseded(older, newer) == "newer.SAFE is a later generation of the same scene"
    higher = replace(newer, baseline="05.11")
    assert why_superseded(older, higher).startswith("newer.SAFE is of the higher baseline 05.11")
    assert why_superseded(older, granule("/b")) == "/b holds the same generation of it"
    assert generation_name(older) == "older.L1C"
