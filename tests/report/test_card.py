"""The model card: everything that a bundle says of itself, and what it makes of known clouds."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from spark_cot.errors import WorkspaceError
from spark_cot.models.bundle import Bundle
from spark_cot.report.card import render_card, write_card
from spark_cot.simulate.dataset import simulate_block

from .test_run_report import HOSTILE, Page

METRICS = {
    "rows": 1234,
    "mae": {"0": 1.5, "5": 2.5},
    "mae_below_5": {"0": 0.25, "5": 0.75},
    "reliability": [{"from": 0, "ratio": 0.9375}, {"from": 1, "ratio": 1.125}],
    "threshold_rule": HOSTILE,
}


@pytest.fixture(scope="module")
def bundle(brightness_bundle: Bundle) -> Bundle:
    training = {"recipe": {"name": "own", "noise": {"gain": 0.02}}, "seed": 7}
    return replace(brightness_bundle, name=HOSTILE, metrics=METRICS, training=training)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return pa.concat_tables([simulate_block(3, block) for block in range(2)])


@pytest.fixture(scope="module")
def page(bundle: Bundle, rows: pa.Table) -> Page:
    return Page(render_card(bundle, rows))


def test_it_is_one_page_that_needs_nothing_else(page: Page) -> None:
    assert page.open == []
    assert len(page.links) == 3
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "script" not in page.tags and "link" not in page.tags


def test_names_stay_text(page: Page) -> None:
    assert page.text.count(HOSTILE) == 2  # heading, rule
    assert f"{HOSTILE}, model card" in page.text


def test_it_says_what_the_bundle_says(page: Page, bundle: Bundle) -> None:
    said = set(page.text)
    assert {*bundle.inputs, "1234", "1.5", "0.75", "0.9375", "1.125", "reliability"} <= {
        text.removeprefix("Scores: ") for text in said
    }
    assert {"own", '{"gain": 0.02}', "7"} <= said


def test_scores_of_the_same_cases_share_a_table(page: Page) -> None:
    start = page.text.index("mae below 5")
    assert page.text.count("Scores: mae") == 1
    assert "Scores: mae below 5" not in page.text
    assert "2.5" in page.text[:start]


def test_without_rows_it_says_nothing_of_bias(bundle: Bundle) -> None:
    page = Page(render_card(bundle))
    assert len(page.links) == 2
    assert "Where it reads too thin or too thick" not in page.text
    assert "How thin a cloud does it see, over which ground" in page.text


def test_a_folder_that_cannot_be_written_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="file"):
        write_card(bundle, None, tmp_path / "file" / "card.html")
