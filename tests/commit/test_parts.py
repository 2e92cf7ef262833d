"""Parts become a scene by one rename or upload, whoever writes them and however often."""

import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_cot.commit import parts as module
from spark_cot.commit.parts import KEY, Parts, content_key, footer
from spark_cot.commit.stitch import Joined
from spark_cot.storage import find, open_parquet
from spark_cot.tables.schema import COT
from spark_cot.tables.workspace import Workspace

SCENE = "S2A_T31TCJ_20240120T105341"


def part_rows(index: int, count: int = 40) -> pa.Table:
    numbers = np.arange(count) + 1000 * index
    return pa.table(
        {
            "scene_id": pa.repeat(pa.scalar(SCENE), count),
            "row": numbers.astype(np.int16),
            "col": numbers.astype(np.int16),
            "cot": numbers.astype(np.float32),
            "cot_std": numbers.astype(np.float32),
            "p_thin": np.full(count, 50, np.int8),
            "p_thick": np.zeros(count, np.int8),
            "cloud_class": np.ones(count, np.int8),
            "outside": np.zeros(count, np.bool_),
        },
        schema=COT.arrow,
    )


def make(root: Path, count: int = 3, key: str = "k1") -> Parts:
    workspace = Workspace.create(root, 20)
    target = workspace.cot("31TCJ", "2024-01-20", SCENE)
    folder = workspace.parts / "apply" / SCENE
    return Parts(folder, key, count, target, {"spark_cot.model": "m"})


def fill(parts: Parts, index: int) -> None:
    parts.write(index, partial(pq.write_table, part_rows(index)))


def rows_of(path: Path) -> pa.Table:
    with open_parquet(path) as file:
        return file.read()


def visible(root: Path) -> list[Path]:
    """What a reader with nothing but the path finds."""
    return find(root / "cot", "*.parquet")


def test_a_scene_appears_whole_and_only_when_all_parts_are_there(place: Path) -> None:
    parts = make(place)
    for index in (2, 0):
        fill(parts, index)
        assert parts.commit() is None
        assert parts.joined() is None
        assert visible(place) == []
    fill(parts, 1)
    assert parts.joined().rows == 120
    committed = parts.commit()
    assert committed is not None
    assert committed.rows == 120
    assert committed.seconds >= 0
    expected = pa.concat_tables([part_rows(index) for index in range(3)])
    assert rows_of(visible(place)[0]).equals(expected)
    assert footer(parts.target)["spark_cot.model"] == "m"
    assert find(parts.folder) == []


def test_committing_again_changes_nothing(place: Path) -> None:
    parts = make(place, count=1)
    fill(parts, 0)
    parts.commit()
    before = visible(place)[0].read_bytes()
    fill(parts, 0)  # a speculative twin that comes late
    again = parts.commit()
    assert again is not None
    assert again.rows == 40
    assert visible(place)[0].read_bytes() == before
    assert find(parts.folder) == []


def test_a_new_key_replaces_the_scene(place: Path) -> None:
    for key in ("k1", "k2"):
        parts = make(place, count=1, key=key)
        fill(parts, 0)
        parts.commit()
    assert len(visible(place)) == 1
    assert footer(parts.target)[KEY] == "k2"


def test_a_rerun_takes_up_the_parts_of_a_killed_one(place: Path) -> None:
    parts = make(place, count=2)
    fill(parts, 0)

    def fail(path: Path) -> None:
        raise AssertionError("part 0 was there already")

    make(place, count=2).write(0, fail)


def test_a_part_that_fails_leaves_nothing(place: Path) -> None:
    parts = make(place, count=1)

    def half(path: Path) -> None:
        path.write_bytes(b"PAR1 half a part")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        parts.write(0, half)
    assert find(parts.folder) == []
    assert parts.commit() is None


def test_a_missing_folder_is_an_error_unless_the_scene_is_committed(tmp_path: Path) -> None:
    parts = make(tmp_path, count=1)

    def cleared(path: Path) -> None:
        shutil.rmtree(parts.folder)
        path.write_bytes(b"")

    with pytest.raises(FileNotFoundError):
        parts.write(0, cleared)


def test_looking_at_the_parts_while_a_twin_commits_is_no_error(place: Path, monkeypatch) -> None:
    parts = make(place, count=2)
    fill(parts, 0)
    fill(parts, 1)
    join = module.join

    def twin_commits_between(*arguments: object) -> Joined:
        monkeypatch.setattr(module, "join", join)
        assert parts.commit() is not None
        return join(*arguments)

    monkeypatch.setattr(module, "join", twin_commits_between)
    assert parts.joined() is None
    assert parts.is_committed()


def test_joining_while_a_twin_commits_is_no_error(place: Path) -> None:
    parts = make(place, count=2)
    fill(parts, 0)
    fill(parts, 1)
    joined = parts.joined()
    first = parts.commit()
    again = parts.commit(joined)
    assert (again.rows, again.record, again.seconds) == (80, first.record, 0)


def test_seconds_of_all_parts_are_added_up(place: Path, monkeypatch) -> None:
    parts = make(place, count=2)
    clock = iter([0.0, 1.5, 10.0, 12.25])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    fill(parts, 0)
    fill(parts, 1)
    assert len(find(parts.folder)) == 2  # and nothing beside them
    committed = parts.commit()
    assert committed.seconds == 3.75
    assert not any("seconds" in key for key in footer(parts.target))


def test_what_is_missing_is_known_from_one_look(s3, bucket: Path) -> None:
    parts = make(bucket / "place", count=200)
    for index in (7, 3):
        fill(parts, index)
    s3.requests.clear()
    assert parts.missing() == [index for index in range(200) if index not in (3, 7)]
    assert s3.requests.total() <= 3  # is the file there, and what else is
    done = make(bucket / "place", count=1, key="k2")
    fill(done, 0)
    assert done.missing() == []
    done.commit()
    assert done.missing() == []
    assert make(bucket / "place", count=1, key="k3").missing() == [0]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.lists(st.integers(0, 3), min_size=4, max_size=12), threads=st.integers(1, 8))
def test_any_order_repetition_and_concurrency_gives_the_same_file(
    place: Path, order: list[int], threads: int
) -> None:
    root = place / uuid.uuid4().hex
    parts = make(root, count=4)

    def task(index: int) -> None:
        fill(parts, index)
        joined = parts.joined()
        assert joined is None or joined.rows == 160
        parts.commit(joined)
        for path in visible(root):
            assert len(rows_of(path)) == 160

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, [*order, 0, 1, 2, 3]))
    expected = pa.concat_tables([part_rows(index) for index in range(4)])
    assert rows_of(visible(root)[0]).equals(expected)


def test_identity_depends_on_every_fact() -> None:
    base = content_key(fingerprint="a", resolution=20)
    assert content_key(resolution=20, fingerprint="a") == base
    assert (
        len({base, content_key(fingerprint="b", resolution=20), content_key(fingerprint="a")}) == 3
    )


@pytest.mark.parametrize("left", [0, 5, 500])
def test_a_part_that_a_power_cut_left_short_is_made_again(tmp_path: Path, left: int) -> None:
    parts = make(tmp_path, count=2)
    fill(parts, 0)
    fill(parts, 1)
    expected = pa.concat_tables([part_rows(index) for index in range(2)])
    for file in find(parts.folder):
        file.write_bytes(file.read_bytes()[:left])
    assert parts.missing() == [0, 1]
    assert parts.joined() is None
    assert parts.commit() is None
    fill(parts, 0)
    assert parts.commit() is None
    fill(parts, 1)
    assert parts.commit() is not None
    assert rows_of(parts.target).equals(expected)


def test_a_damaged_file_in_the_table_is_made_again(tmp_path: Path) -> None:
    parts = make(tmp_path, count=1)
    fill(parts, 0)
    parts.commit()
    whole = parts.target.read_bytes()
    parts.target.write_bytes(whole[:100])
    assert not parts.is_committed()
    fill(parts, 0)
    assert parts.commit() is not None
    assert parts.target.read_bytes() == whole
