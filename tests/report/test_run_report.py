import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from spark_cot.errors import WorkspaceError
from spark_cot.report.run import (
    Failure,
    RunReport,
    SceneResult,
    Section,
    StageSummary,
    render,
    write_report,
)
from spark_cot.safe import PassedOver

HOSTILE = '<script>alert("x")</script>&\''
COVER = {"clear": 60.0, "thin": 10.5, "thick": 29.5}


@pytest.fixture
def report() -> RunReport:
    return RunReport(
        command="run",
        options={"archive": HOSTILE, "resolution": "20"},
        started=datetime(2025, 3, 1, 10, 15, tzinfo=UTC),
        seconds=431.2,
        stages=[
            StageSummary("ingest", 300.0, 2, 54_000_000, skipped=1),
            StageSummary("apply", 0.0, 0, 0),
        ],
        scenes=[
            SceneResult("S1", "31TCJ", "2024-03-05", "done", 27_000_000, COVER,
                        "../products/a b#1/quicklook.png", "../products/a b#1/item.json", 3.25),
            SceneResult(HOSTILE, "31TCJ", "2024-03-05", "failed"),
        ],
        rest={"skipped": 100_000, "superseded": 7},
        failures=[Failure(HOSTILE, "ingest", f"{HOSTILE} is cut short", HOSTILE)],
        model={"name": HOSTILE},
        software={"spark_cot": "0.1.0"},
    )  # fmt: skip


class Page(HTMLParser):
    """Tags, links and text of a page; fails on tags that do not close."""

    VOID = ("meta", "img", "br")
    OPTIONAL = ("th",)

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID + self.OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data.strip())


def test_json_holds_every_figure(report, tmp_path):
    path, _ = write_report(report, tmp_path / "reports")
    content = json.loads(path.read_text())
    assert path.name == "20250301T101500Z-run.json"
    assert content["states"] == {
        "done": 1, "skipped": 100_000, "failed": 1, "given-up": 0, "superseded": 7,
    }  # fmt: skip
    assert path.stat().st_size < 3_000
    assert [stage["mpx_per_s"] for stage in content["stages"]] == [0.18, 0.0]
    assert content["scenes"][0]["cover"] == COVER
    assert [scene["outside"] for scene in content["scenes"]] == [3.25, None]
    assert content["failures"][0]["reason"] == f"{HOSTILE} is cut short"
    assert content["started"] == "2025-03-01T10:15:00+00:00"


def test_page_is_well_formed_and_needs_no_other_site(report, tmp_path):
    _, path = write_report(report, tmp_path)
    page = Page(path.read_text())
    assert page.open == []
    assert set(page.links) == {
        "../products/a%20b%231/quicklook.png",
        "../products/a%20b%231/item.json",
    }
    assert "script" not in page.tags and "link" not in page.tags
    assert "url(" not in path.read_text() and "@import" not in path.read_text()


def test_hostile_names_stay_text(report):
    page = Page(render(report))
    assert page.text.count(HOSTILE) == 5  # option, model, scene and both names of the failure
    assert f"{HOSTILE} is cut short" in page.text


def test_links_cannot_run_code(report):
    scene = SceneResult("S1", "T", "D", "done", item="javascript:alert(1)")
    page = Page(render(RunReport("run", {}, report.started, 1.0, scenes=[scene])))
    assert page.links == ["javascript%3Aalert%281%29"]


def test_failures_come_before_everything_else(report):
    text = Page(render(report)).text
    assert text.index("Failures") < text.index("Stages") < text.index("Quicklook")


def test_what_was_passed_over_stands_in_both(report, tmp_path):
    items = [PassedOver("/a/[/x]", "another level"), PassedOver(HOSTILE, f"{HOSTILE} locked", True)]
    json_path, page_path = write_report(replace(report, passed_over=items), tmp_path)
    assert json.loads(json_path.read_text())["passed_over"] == [
        {"path": "/a/[/x]", "reason": "another level", "unseen": False},
        {"path": HOSTILE, "reason": f"{HOSTILE} locked", "unseen": True},
    ]
    page = Page(page_path.read_text())
    assert page.open == []
    told = page.text[page.text.index("Passed over") :]
    assert told.index(f"{HOSTILE} locked") < told.index("another level")  # unseen ones first


def test_bars_are_drawn_to_the_largest(report):
    bars = [("2025-03-01", 3), ("2025-03-02", 0), ("2025-03-03", 12)]
    section = Section("Scenes per day", bars=bars)
    html = render(RunReport("reprocess", {}, report.started, 3.0, sections=[section]))
    assert [f"width: {share}%" in html for share in ("25.0", "0.0", "100.0")] == [True] * 3
    assert "2025-03-02" in Page(html).text
    empty = Section("Scenes per day", bars=[("2025-03-01", 0)])
    assert "width: 0.0%" in render(RunReport("x", {}, report.started, 3.0, sections=[empty]))


def test_a_run_without_scenes_has_a_page(report):
    page = Page(render(RunReport("simulate", {}, report.started, 3.0)))
    assert "Failures" not in page.text
    assert "3.0 s" in page.text


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.24, "4.2 s"), (200, "3 min 20 s"), (7_500.4, "2 h 05 min")]
)
def test_durations_read_well(report, seconds, text):
    assert text in Page(render(RunReport("run", {}, report.started, seconds))).text


def test_a_command_of_two_words_makes_one_file_name(report, tmp_path):
    run = RunReport("simulate validate", {}, report.started, 1.0)
    path, _ = write_report(run, tmp_path)
    assert path.name == "20250301T101500Z-simulate_validate.json"


def test_a_folder_that_cannot_be_made_has_a_cure(report, tmp_path):
    (tmp_path / "reports").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_report(report, tmp_path / "reports" / "x")


def test_scenes_without_work_are_counted_and_not_listed(report):
    page = Page(render(report))
    place = page.text.index("skipped")
    assert "100,000" in page.text[place - 2 : place]
    idle = replace(report, scenes=[], failures=[])
    assert len(render(idle)) < 10_000
    assert "skipped" in Page(render(idle)).text
