import os
from pathlib import Path

import pytest

from spark_cot.cli import main
from spark_cot.cli.pages import changes_page, plan_page, show
from spark_cot.cli.running import print_path, print_stage
from spark_cot.engine.outcome import Outcome, StageResult, exit_code
from spark_cot.plan.decide import Decision, Plan
from spark_cot.plan.sources import Archive
from spark_cot.safe import PassedOver

ODD = "/a/[/x]/[bold]/:cloud:/\\[i]"
UNSEEN = PassedOver(ODD, "cannot be read: Permission denied", unseen=True)
OTHER = PassedOver("/a/S2A_MSIL2A_x.SAFE", "a product of another level or mission")


def test_paths_print_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_path("report", Path(ODD))
    assert capsys.readouterr().err == f"report {ODD}\n"


def test_pages_print_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    due = Decision(ODD, "new", ODD, None, "ingest", reason=ODD)
    plan = Plan.of(Archive(), [due, Decision("S", "given-up", ODD, reason=ODD)])
    show(plan_page(plan, 5), changes_page([ODD]))
    lines = capsys.readouterr().out.splitlines()
    assert sum(ODD in line for line in lines) == 4


def test_bytes_that_are_no_utf_8_are_spelled_out(
    spark, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = os.fsdecode(b"\xff[bold]")
    (tmp_path / name).mkdir()
    for arguments, said in (
        (["ingest", tmp_path / name, "--out", tmp_path / "out"], "no Sentinel-2 L1C product found"),
        (["ingest", tmp_path, "--out", tmp_path / name], "is no UTF-8, which tables need"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(list(map(str, arguments)))
        text = capfd.readouterr().err
        assert said in text
        assert "xff[bold]" in text or "\\udcff[bold]" in text
        assert "Traceback" not in text


def test_a_stage_tells_what_was_not_seen_and_counts_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = Outcome("S1", "failed", ODD, reason="cut short")
    print_stage(StageResult("ingest", 1.0, [failed], passed_over=[OTHER, UNSEEN]))
    head, *lines = capsys.readouterr().err.splitlines()
    assert "1 failed" in head
    assert lines == [
        f"  not seen {ODD}: cannot be read: Permission denied",
        "  passed over 1 that are no products or known by another path; see the report",
        "  failed S1: cut short",
    ]


@pytest.mark.parametrize(
    ("states", "passed_over", "code"),
    [
        (["done"], [], 0),
        (["done"], [OTHER], 0),
        (["done", "skipped"], [OTHER, UNSEEN], 1),
        ([], [UNSEEN], 1),
        (["done", "failed"], [UNSEEN], 1),
        (["failed", "failed"], [], 1),
        (["failed"] * 10, [], 2),
        (["given-up", "skipped"], [], 1),
    ],
)
def test_exit_code(states: list[str], passed_over: list[PassedOver], code: int) -> None:
    outcomes = [Outcome(f"S{i}", state) for i, state in enumerate(states)]
    results = [
        StageResult("ingest", 1.0, outcomes, passed_over=passed_over),
        StageResult("apply", 1.0),
    ]
    assert exit_code(results, 0.5) == code
