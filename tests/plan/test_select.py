"""Selection of scenes by tile, date and id."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from spark_cot.errors import SetupError, WorkspaceError
from spark_cot.plan.select import Selection

SCENE = SimpleNamespace(
    tile="31TCJ", scene_id="S", sensing_time=datetime(2024, 3, 5, 23, 59, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, True),
        ({"tiles": ["T31tcj"]}, True),
        ({"tiles": ["31TDJ"]}, False),
        ({"dates": "2024-03-05"}, True),
        ({"dates": "2024-03-04"}, False),
        ({"dates": "2024-03-01:2024-03-05"}, True),
        ({"dates": "2024-03-06:"}, False),
        ({"dates": ":2024-03-05"}, True),
        ({"scene_ids": ["S", "T"]}, True),
        ({"scene_ids": ["T"]}, False),
    ],
)
def test_a_scene_is_taken_if_every_restriction_fits(options: dict, taken: bool) -> None:
    assert Selection.parse(**options).takes(SCENE) is taken


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-03-05:soon"])
def test_a_malformed_date_is_named(text: str) -> None:
    with pytest.raises(SetupError, match="is no date or range"):
        Selection.parse(dates=text)


def test_an_empty_selection_is_an_error() -> None:
    with pytest.raises(WorkspaceError, match="workspace: none of its 0 scenes is selected"):
        Selection().of([], "workspace")
