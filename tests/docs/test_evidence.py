"""The measured tables of a page are of the models that ship, and can be measured again."""

import importlib.util
from pathlib import Path

import pytest

from spark_cot.models.shipped import SHIPPED

ROOT = Path(__file__).parents[2]

spec = importlib.util.spec_from_file_location("evidence", ROOT / "docs" / "evidence.py")
assert spec and spec.loader
evidence = importlib.util.module_from_spec(spec)
spec.loader.exec_module(evidence)

PAGE = evidence.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["seen from", "estimate over truth", "low water cloud", "brightness"]
)
def test_a_table_is_replaced_between_its_markers(name: str) -> None:
    page = evidence.replaced(PAGE, name, "| new |\n")
    begin, end = f"<!-- measured: {name} -->\n", "<!-- end of measured -->"
    old = PAGE.split(begin)[1].split(end)[0]
    assert all(f"`{model}`" in old for model in SHIPPED)
    assert page == PAGE.replace(old, "\n| new |\n\n")


def test_a_place_that_is_missing_is_named() -> None:
    with pytest.raises(SystemExit, match="0 places for 'moon'"):
        evidence.replaced(PAGE, "moon", "")


def test_a_thickness_that_is_never_seen() -> None:
    assert (evidence.written(0.5), evidence.written(float("nan"))) == ("0.50", "not up to 10")
