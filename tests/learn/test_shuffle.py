"""What a rank is assigned, and reading ahead: bounded, in order, with every fault passed on."""

import threading
from collections.abc import Generator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_cot.learn.shuffle import assign_row_groups, least_rows, read_ahead

SIZES = st.lists(st.integers(0, 5000), min_size=1, max_size=60)


@given(SIZES, st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_row_groups_are_assigned_fairly_and_all(sizes: list[int], ranks: int, seed: int) -> None:
    rows = np.array(sizes)
    assigned = assign_row_groups(rows, ranks, np.random.default_rng(seed))
    assert sorted(np.concatenate(assigned)) == list(range(len(sizes)))
    totals = [int(rows[groups].sum()) for groups in assigned]
    assert min(totals) >= least_rows(rows, ranks)
    assert max(totals) - least_rows(rows, ranks) <= 2 * max(sizes)
    assert max(totals) - min(totals) <= max(sizes)
    again = assign_row_groups(rows, ranks, np.random.default_rng(seed))
    assert all(np.array_equal(groups, same) for groups, same in zip(assigned, again, strict=True))


@given(SIZES, st.integers(1, 9), st.integers(1, 4000))
@settings(max_examples=100, deadline=None)
def test_all_ranks_reach_the_agreed_steps(sizes: list[int], ranks: int, batch: int) -> None:
    rows = np.array(sizes)
    steps = least_rows(rows, ranks) // batch
    for epoch in range(3):
        assigned = assign_row_groups(rows, ranks, np.random.default_rng((7, epoch)))
        assert all(rows[groups].sum() // batch >= steps for groups in assigned)


def counting(end: int, closed: list[int], fault: BaseException | None = None) -> Generator[int]:
    made = 0
    try:
        for made in range(1, end + 1):
            yield made
        if fault:
            raise fault
    finally:
        closed.append(made)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("end", [0, 1, 10])
def test_reading_ahead_keeps_items_and_order(depth: int, end: int) -> None:
    closed: list[int] = []
    assert list(read_ahead(counting(end, closed), depth)) == list(range(1, end + 1))
    assert closed == [end]


def test_reading_ahead_is_bounded() -> None:
    closed: list[int] = []
    items = read_ahead(counting(100, closed), 2)
    assert [next(items), next(items)] == [1, 2]
    items.close()
    assert closed[0] <= 2 + 2


@pytest.mark.parametrize("fault", [ValueError("broken"), SystemExit(3), MemoryError()])
def test_whatever_kills_the_thread_reaches_the_consumer(fault: BaseException) -> None:
    closed: list[int] = []
    items = read_ahead(counting(3, closed, fault), 2)
    assert [next(items) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(type(fault)):
        next(items)
    assert closed == [3]
    assert not any("read-ahead" in thread.name for thread in threading.enumerate())
