"""The plan: facts in, decisions out."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.commit.ledger import LedgerEntry
from spark_cot.plan.decide import (
    TO_DO,
    Decision,
    Plan,
    WorkspaceState,
    decide,
    past_failures,
    result_key,
)
from spark_cot.plan.generations import damaged_generations, generation_name
from spark_cot.plan.sources import Archive, Granule, Granules, Unreadable

RECIPES = {
    "ingest": {"resolution": 20, "downsampling": "exact"},
    "apply": {
        "spark_cot.model_hash": "m1",
        "spark_cot.thin_from": "0.75",
        "spark_cot.schema_version": "2",
    },
    "products": {"mask_above": None},
}
STAGES = tuple(RECIPES)
TIME = datetime(2024, 3, 5, tzinfo=UTC)


def granule(number: int, fingerprint: str = "f", generation: int = 0) -> Granule:
    return Granule(
        source=f"archive/{number}-{generation}.SAFE",
        granule="GRANULE/L1C",
        signature="s",
        scene_id=f"S{number}",
        tile="31TCJ",
        sensing_time=TIME + timedelta(days=number),
        generation_time=TIME + timedelta(days=generation),
        baseline="05.10",
        fingerprint=fingerprint,
    )


def unreadable(number: int, signature: str = "s") -> Unreadable:
    return Unreadable(f"P{number}", f"archive/P{number}.SAFE", signature, "no B10")


class World:
    """A workspace in memory, on which plans are carried out."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, LedgerEntry]] = {stage: {} for stage in STAGES}
        self.held: dict[str, set[str]] = {stage: set() for stage in STAGES}

    @property
    def account(self) -> WorkspaceState:
        return WorkspaceState(self.entries, self.held)

    def record(
        self,
        stage: str,
        name: str,
        key: str,
        recipe: dict,
        source: str,
        ok: bool,
        strips: tuple[str, ...] = (),
    ) -> None:
        before = self.entries[stage].get(name)
        attempt = before.attempt + 1 if before and before.key == key else 1
        facts = dict(recipe) if ok else before.facts if before else {}
        state = "done" if ok else "failed"
        held = strips if ok else before.strips if before else ()
        self.entries[stage][name] = LedgerEntry(
            stage, name, key, state, source, attempt=attempt, facts=facts, strips=held
        )
        if ok:
            self.held[stage].add(name)

    def carry_out(self, archive: Archive, recipes: dict, fail: str | None = None, **limits) -> None:
        decisions = decide(archive, self.account, recipes, limits.pop("retries", math.inf))
        plan = Plan.of(archive, decisions, **limits)
        for item in plan.unreadable:
            self.record("ingest", item.name, item.signature, {}, item.source, ok=False)
        for due in plan.scenes:
            key, strips = due.scene.input, tuple(g.strip for g in due.scene.strips)
            for stage, recipe in recipes.items():
                key = result_key(key, recipe)
                if STAGES.index(stage) < STAGES.index(due.stage):
                    continue
                ok = stage != fail
                self.record(stage, due.name, key, recipe, due.scene.source, ok, strips)
                if not ok:
                    break

    def kinds(self, archive: Archive, recipes: dict = RECIPES, **options) -> dict[str, str]:
        return {d.name: d.kind for d in decide(archive, self.account, recipes, **options)}


scenes = st.lists(
    st.builds(granule, st.integers(0, 5), st.sampled_from("fg"), st.integers(0, 2)),
    unique_by=lambda g: g.source,
)
faults = st.lists(st.builds(unreadable, st.integers(0, 3)), unique_by=lambda u: u.name)
archives = st.builds(Archive, scenes.map(Granules.of), faults)
histories = st.lists(
    st.tuples(archives, st.sampled_from([None, *STAGES]), st.sampled_from(["m1", "m2"])),
    max_size=4,
)


def with_model(model: str) -> dict:
    return {**RECIPES, "apply": {**RECIPES["apply"], "spark_cot.model_hash": model}}


def world_after(history: list) -> World:
    world = World()
    for archive, fail, model in history:
        world.carry_out(archive, with_model(model), fail)
    return world


@given(archives, histories)
def test_every_scene_and_product_is_decided_on_once(archive: Archive, history: list) -> None:
    decisions = list(decide(archive, world_after(history).account, RECIPES))
    kept = [d.name for d in decisions if d.kind not in ("superseded", "gone")]
    expected = {g.scene_id for g in archive.granules} | {u.name for u in archive.unreadable}
    assert sorted(kept) == sorted(expected)
    superseded = sum(d.kind == "superseded" for d in decisions)
    assert superseded + len(expected) == len(archive.granules) + len(archive.unreadable)
    assert all((d.stage in STAGES) == (d.kind in {*TO_DO, "given-up"}) for d in decisions)


@given(archives, histories)
def test_what_a_run_has_finished_is_done(archive: Archive, history: list) -> None:
    world = world_after(history)
    world.carry_out(archive, RECIPES)
    kinds = world.kinds(archive)
    assert all(kinds[g.scene_id] == "done" for g in archive.granules)
    assert all(kinds[u.name] == "failed-before" for u in archive.unreadable)
    before = dict(world.entries["products"])
    world.carry_out(archive, RECIPES)
    assert world.entries["products"] == before


@given(archives, histories, st.integers(0, 3), st.sampled_from(STAGES))
def test_what_fails_is_tried_again_so_often_and_no_more(
    archive: Archive, history: list, retries: int, fail: str
) -> None:
    world = World()
    for _ in range(retries + 3):
        world.carry_out(archive, RECIPES, fail, retries=retries)
    kinds = world.kinds(archive, retries=retries)
    assert set(kinds.values()) <= {"given-up", "superseded"}
    attempts = {e.attempt for stage in STAGES for e in world.entries[stage].values() if e.error
                or e.state == "failed"}  # fmt: skip
    assert attempts <= {retries + 1}
    assert "given-up" not in world.kinds(archive, retries=retries + 1).values()


@given(archives, histories)
def test_a_limited_plan_ends_where_an_unlimited_one_does(archive: Archive, history: list) -> None:
    at_once, bit_by_bit = world_after(history), world_after(history)
    at_once.carry_out(archive, RECIPES)
    for _ in archive.granules:
        bit_by_bit.carry_out(archive, RECIPES, most=1)
    for stage in ("apply", "products"):
        keys = {name: entry.key for name, entry in at_once.entries[stage].items()}
        assert keys == {name: entry.key for name, entry in bit_by_bit.entries[stage].items()}


@given(archives)
def test_scenes_come_in_the_order_of_their_times(archive: Archive) -> None:
    decisions = list(decide(archive, World().account, RECIPES))
    newest, oldest = (
        Plan.of(archive, decisions, newest_first=first).scenes for first in (True, False)
    )
    for scenes, backwards in ((newest, True), (oldest, False)):
        times = [due.scene.sensing_time for due in scenes]
        assert times == sorted(times, reverse=backwards)
    assert Plan.of(archive, decisions, most=2).scenes == newest[:2]


def part(number: int, strip: int, generation: int) -> Granule:
    """A granule of one of a scene's datastrips."""
    sensed = TIME + timedelta(days=number, seconds=10 * strip)
    return replace(
        granule(number, f"{strip}-{generation}", generation),
        source=f"archive/{number}-{strip}-{generation}.SAFE",
        sensing_time=sensed,
        strip=f"{sensed:%Y%m%dT%H%M%S}/",
    )


parts = st.builds(part, st.integers(0, 1), st.integers(0, 2), st.integers(0, 1))
split_archives = st.lists(parts, unique_by=lambda g: g.source).map(Granules.of).map(Archive)


@given(st.lists(split_archives, max_size=5), st.sampled_from([None, "ingest", "apply"]))
def test_a_scene_never_loses_a_datastrip(history: list[Archive], fail: str | None) -> None:
    world = World()
    for archive in history:
        before = {name: set(e.strips) for name, e in world.entries["ingest"].items()}
        world.carry_out(archive, RECIPES, fail)
        for name, entry in world.entries["ingest"].items():
            assert set(entry.strips) >= before.get(name, set())
        world.carry_out(archive, RECIPES)
        for name in {g.scene_id for g in archive.granules}:
            present = {g.strip for g in archive.granules if g.scene_id == name}
            held = set(world.entries["ingest"][name].strips)
            assert held == present or not held <= present
        last = dict(world.entries["products"])
        world.carry_out(archive, RECIPES)
        assert world.entries["products"] == last
        decisions = list(decide(archive, world.account, RECIPES))
        superseded = sum(d.kind == "superseded" for d in decisions)
        strips = {(g.scene_id, g.strip) for g in archive.granules}
        assert superseded + len(strips) == len(archive.granules)


def test_a_late_datastrip_is_taken_and_a_lost_one_stays() -> None:
    world, north, south = World(), part(1, 0, 0), part(1, 1, 1)
    world.carry_out(Archive(Granules.of([north])), RECIPES)
    both = Archive(Granules.of([north, south]))
    assert only(both, world).kind == "changed"
    world.carry_out(both, RECIPES)
    assert world.entries["ingest"]["S1"].source == south.source
    gone, decision = decide(Archive(Granules.of([south])), world.account, RECIPES)
    assert (gone.kind, decision.kind) == ("gone", "done")
    assert gone.reason.endswith("were ingested and have left the archive")
    *_, decision = decide(Archive(Granules.of([south])), world.account, with_model("m2"))
    assert (decision.kind, decision.stage) == ("outdated-model", "apply")
    world.held["ingest"].clear()
    *_, decision = decide(Archive(Granules.of([south])), world.account, RECIPES)
    assert (decision.kind, decision.stage) == ("changed", "ingest")


def test_a_damaged_datastrip_leaves_the_scene_to_the_others() -> None:
    world, north, south, older = World(), part(1, 0, 0), part(1, 1, 1), part(1, 1, 0)
    archive = Archive(Granules.of([north, south]))
    decision = only(archive, world)
    north_alone = decision.elders[generation_name(south)]
    assert north_alone.found == north and not north_alone.elders
    assert decision.elders[generation_name(north)].found == south
    with_older = Archive(Granules.of([north, south, older]))
    *_, decision = decide(with_older, world.account, RECIPES)
    stand_in = decision.elders[generation_name(south)].found
    assert isinstance(stand_in, Granule)
    assert [strip.source for strip in stand_in.strips] == [older.source, north.source]
    failed = LedgerEntry(
        "ingest", generation_name(south), south.signature, "failed", south.source, attempt=3
    )
    world.entries["ingest"][failed.name] = failed
    given_up, decision = decide(archive, world.account, RECIPES, retries=2)
    assert (given_up.kind, given_up.name, decision.found) == ("given-up", failed.name, north)
    assert given_up.reason.endswith("The scene is without its part")


def test_pixels_stay_when_their_product_can_no_longer_be_opened() -> None:
    world, older, newest = World(), granule(1), granule(1, fingerprint="g", generation=1)
    world.carry_out(Archive(Granules.of([older, newest])), RECIPES)
    broken = Unreadable("P1", newest.source, "s", "XML is cut short")
    archive = Archive(Granules.of([older]), [broken])
    assert world.kinds(archive)["S1"] == "done"
    assert only(Archive(Granules.of([older])), world).kind == "changed"


@pytest.fixture
def done() -> World:
    """Scene 1 with everything done."""
    world = World()
    world.carry_out(Archive(Granules.of([granule(1)])), RECIPES)
    return world


@pytest.mark.parametrize(
    ("change", "kind", "stage"),
    [
        ({"ingest": {"downsampling": "level"}}, "outdated-configuration", "ingest"),
        ({"apply": {"spark_cot.model_hash": "m2"}}, "outdated-model", "apply"),
        ({"apply": {"spark_cot.thin_from": "0.5"}}, "outdated-configuration", "apply"),
        ({"products": {"mask_above": 1.0}}, "outdated-configuration", "products"),
        ({"products": {"product_version": 2}}, "outdated-format", "products"),
        (
            {"apply": {"spark_cot.schema_version": "3", "spark_cot.model_hash": "m2"}},
            "outdated-format",
            "apply",
        ),
        ({}, "done", ""),
    ],
)
def test_another_recipe_redoes_its_stage_and_says_why(
    done: World, change: dict, kind: str, stage: str
) -> None:
    recipes = {name: {**recipe, **change.get(name, {})} for name, recipe in RECIPES.items()}
    (decision,) = decide(Archive(Granules.of([granule(1)])), done.account, recipes)
    assert (decision.kind, decision.stage) == (kind, stage)


def only(archive: Archive, world: World, recipes: dict = RECIPES, **options) -> Decision:
    (decision,) = decide(archive, world.account, recipes, **options)
    return decision


def test_facts_that_decide_no_more_make_nothing_due(done: World) -> None:
    """Results of an older version, whose keys were made of more."""
    entry = done.entries["products"]["S1"]
    facts = {**entry.facts, "version": "0.0.9"}
    key = result_key(done.entries["apply"]["S1"].key, facts)
    done.entries["products"]["S1"] = replace(entry, key=key, facts=facts)
    archive = Archive(Granules.of([granule(1)]))
    assert only(archive, done).kind == "done"
    done.entries["products"]["S1"] = replace(entry, key="of another COT", facts=facts)
    assert only(archive, done).kind == "unfinished"


@pytest.mark.parametrize("stage", STAGES)
def test_results_without_a_revision_are_of_the_first(done: World, stage: str) -> None:
    def revised(number: int) -> dict:
        return {**RECIPES, stage: {**RECIPES[stage], "revision": number}}

    archive = Archive(Granules.of([granule(1)]))
    assert only(archive, done, recipes=revised(1)).kind == "done"
    decision = only(archive, done, recipes=revised(2))
    assert (decision.kind, decision.stage) == ("outdated-format", stage)
    assert decision.reason == "revision 1, now 2"


def test_a_replaced_product_is_changed(done: World) -> None:
    decision = only(Archive(Granules.of([granule(1, fingerprint="other")])), done)
    assert (decision.kind, decision.stage) == ("changed", "ingest")


def test_a_missing_file_makes_a_scene_unfinished(done: World) -> None:
    done.held["apply"].clear()
    decision = only(Archive(Granules.of([granule(1)])), done)
    assert (decision.kind, decision.stage) == ("unfinished", "apply")


def test_a_run_that_ended_between_stages_is_taken_up(done: World) -> None:
    del done.entries["products"]["S1"]
    decision = only(Archive(Granules.of([granule(1)])), done)
    assert (decision.kind, decision.stage) == ("unfinished", "products")


def test_a_vanished_product_is_gone_and_no_work(done: World) -> None:
    decision = only(Archive(), done)
    assert (decision.kind, decision.source) == ("gone", granule(1).source)
    assert only(Archive(unreadable=[replace(unreadable(1), source=granule(1).source)]), done).kind


def test_a_given_up_product_is_tried_again_when_it_changes() -> None:
    world, archive = World(), Archive(unreadable=[unreadable(1)])
    world.carry_out(archive, RECIPES)
    assert only(archive, world, retries=0).kind == "given-up"
    assert only(archive, world, retries=1).kind == "failed-before"
    assert only(Archive(unreadable=[unreadable(1, signature="t")]), world, retries=0).kind == "new"


def test_a_failure_keeps_what_the_workspace_still_holds(done: World) -> None:
    changed = Archive(Granules.of([granule(1, fingerprint="other")]))
    done.carry_out(changed, RECIPES, fail="ingest")
    assert only(changed, done).kind == "failed-before"
    assert only(Archive(Granules.of([granule(1)])), done).kind == "changed"


def test_a_generation_that_failed_leaves_its_scene_to_the_older_one(done: World) -> None:
    newest = granule(1, fingerprint="g", generation=1)
    archive = Archive(Granules.of([granule(1), newest]))
    name = generation_name(newest)
    entry = LedgerEntry("ingest", name, newest.signature, "failed", newest.source, attempt=2)
    done.entries["ingest"][name] = entry
    assert damaged_generations(archive, {name: entry}) == {name}
    superseded, decision = decide(archive, done.account, RECIPES)
    assert (superseded.kind, superseded.reason) == (
        "superseded",
        "1-1.SAFE is a later generation of the same scene",
    )
    assert (decision.kind, decision.attempts, decision.found) == ("failed-before", 2, newest)
    assert {n: elder.kind for n, elder in decision.elders.items()} == {name: "done"}
    given_up, decision = decide(archive, done.account, RECIPES, retries=1)
    assert (given_up.kind, given_up.name, decision.kind) == ("given-up", name, "done")
    repaired = Archive(Granules.of([granule(1), replace(newest, signature="t")]))
    assert [d.kind for d in decide(repaired, done.account, RECIPES)] == ["superseded", "changed"]
    assert damaged_generations(repaired, {name: entry}) == set()


def test_pixels_of_the_newest_generation_stay_when_it_is_damaged_later() -> None:
    world, newest = World(), granule(1, fingerprint="g", generation=1)
    archive = Archive(Granules.of([granule(1), newest]))
    world.carry_out(archive, RECIPES)
    for broken in ("h", "i"):
        damaged = Archive(Granules.of([granule(1), replace(newest, fingerprint=broken)]))
        *_, decision = decide(damaged, world.account, RECIPES)
        assert (decision.kind, decision.elders) == ("changed", {})
        world.carry_out(damaged, RECIPES, fail="ingest")


def test_what_supersedes_is_named_for_what_it_is() -> None:
    older = granule(1)
    for newer, why in (
        (replace(granule(1, generation=1), baseline="05.11"), "1-1.SAFE is of the higher baseline"),
        (granule(1, generation=1), "1-1.SAFE is a later generation of the same scene"),
        (replace(older, source="archive/copy.SAFE"), "archive/1-0.SAFE holds the same generation"),
    ):
        archive = Archive(Granules.of([older, newer]))
        reasons = [d.reason for d in decide(archive, World().account, RECIPES)]
        assert reasons[0].startswith(why)


def test_a_damaged_copy_gives_way_to_a_sound_one_for_good() -> None:
    first = granule(1)
    second = replace(first, source="archive/copy.SAFE", fingerprint="with other times")
    world, archive = World(), Archive(Granules.of([first, second]))
    world.carry_out(archive, RECIPES, fail="ingest")
    assert world.entries["ingest"]["S1"].source == first.source
    world.carry_out(archive, RECIPES)
    assert world.entries["ingest"]["S1"].source == second.source
    assert sorted(d.kind for d in decide(archive, world.account, RECIPES)) == ["done", "superseded"]


@given(archives, histories)
def test_a_plan_names_what_is_due_and_counts_the_rest(archive: Archive, history: list) -> None:
    world = world_after(history)
    decisions = list(decide(archive, world.account, RECIPES, retries=1))
    plan = Plan.of(archive, iter(decisions))
    assert sum(plan.counts.values()) == len(decisions)
    assert {d.kind for d in plan.decisions} <= {*TO_DO, "given-up"}
    told = sum(number for kind, number in plan.counts.items() if kind in {*TO_DO, "given-up"})
    assert len(plan.decisions) == told
    assert {due.name for due in plan.scenes} <= {d.name for d in plan.decisions}


def test_failures_that_no_name_of_the_archive_has_are_past() -> None:
    world = World()
    world.carry_out(Archive(unreadable=[unreadable(1), unreadable(2)]), RECIPES)
    world.carry_out(Archive(Granules.of([granule(1)])), RECIPES)
    now = Archive(unreadable=[unreadable(2)])
    never_done = {e.name: e.source for e in world.entries["ingest"].values() if e.state == "failed"}
    assert list(past_failures(now, never_done)) == ["P1"]
