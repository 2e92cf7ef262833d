"""Datastrips: which granules of a scene are of the same."""

from datetime import UTC, datetime, timedelta

import pytest

from spark_cot.safe import Strip

SENSED = datetime(2024, 3, 5, 10, 58, 54, tzinfo=UTC)
BEGINS = datetime(2024, 3, 5, 10, 55, 12, tzinfo=UTC)


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Strip(SENSED), Strip(SENSED + later(1)), True),
        (Strip(SENSED), Strip(SENSED + later(10)), False),
        (Strip(SENSED, BEGINS), Strip(SENSED, BEGINS + later(1)), True),
        (Strip(SENSED, BEGINS), Strip(SENSED, BEGINS + later(200)), False),
        # Old baselines state the datatake's start for the tile.
        (Strip(SENSED, BEGINS), Strip(SENSED - later(600), BEGINS), True),
        (Strip(SENSED, BEGINS), Strip(SENSED), True),
        (Strip(SENSED, BEGINS), Strip(SENSED + later(10)), False),
    ],
)
def test_strips_are_told_apart_by_their_begin_or_else_by_the_tile(
    one: Strip, other: Strip, same: bool
) -> None:
    assert one.is_same(other) is other.is_same(one) is same


def test_a_strip_is_its_text() -> None:
    for strip in (Strip(SENSED), Strip(SENSED, BEGINS)):
        assert Strip.parse(str(strip)) == strip
    assert str(Strip(SENSED + later(0.7))) == "20240305T105854/"
    for text in ("", "20240305T105854", "20240305T105854/x", "20241305T105854/"):
        with pytest.raises(ValueError, match=r"datastrip|time data"):
            Strip.parse(text)
