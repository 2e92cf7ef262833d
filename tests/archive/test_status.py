"""What the log tells of a workspace."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_cot.archive.status import Cell, Failed, ModelInUse, scenes_per_day, status
from spark_cot.cli.pages import show, status_page
from spark_cot.commit.ledger import LedgerEntry, utc
from spark_cot.commit.log import Log
from spark_cot.tables.workspace import Workspace

MARCH, APRIL = "S2A_T31TCJ_20240305T104819", "S2B_T31TCJ_20240404T104819"
OTHER = "S2C_T31TDJ_20240310T104819"
PRODUCT = "S2A_MSIL1C_20240320T104819_N0510_R051_T31TDJ_20240320T124819"
OLD_PRODUCT = "S2A_OPER_PRD_MSIL1C_PDMC_20150820T160000"
FACTS = {
    "spark_cot.model": "cot12",
    "spark_cot.model_hash": "ab" * 32,
    "spark_cot.thin_from": "0.75",
    "spark_cot.thick_from": "1.25",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path, 20)
    ingested = [LedgerEntry("ingest", n, "k", "done") for n in (MARCH, APRIL, OTHER)]
    applied = [LedgerEntry("apply", n, "k", "done", facts=FACTS) for n in (MARCH, APRIL)]
    full, broken = "no space left. Free space", "no B10. Download it again"
    rest = [
        LedgerEntry("products", MARCH, "k", "done"),
        LedgerEntry("products", APRIL, "k", "failed", attempt=2, error=full),
        LedgerEntry("ingest", PRODUCT, "s", "failed", error=broken),
        LedgerEntry("ingest", OLD_PRODUCT, "s", "failed", error="not a zip file"),
    ]
    Log(workspace).replace([*ingested, *applied, *rest])
    return workspace


def test_coverage_failures_and_models(workspace: Workspace) -> None:
    found = status(workspace)
    assert found.coverage == {
        "31TCJ": {"2024-03": Cell(done=1), "2024-04": Cell(failed=1)},
        "31TDJ": {"2024-03": Cell(failed=1, unfinished=1)},
        "unknown": {"2015-08": Cell(failed=1)},
    }
    assert found.failures == [
        Failed(PRODUCT, "ingest", 1, "no B10. Download it again"),
        Failed(OLD_PRODUCT, "ingest", 1, "not a zip file"),
        Failed(APRIL, "products", 2, "no space left. Free space"),
    ]
    assert found.models == [ModelInUse("cot12", "ab" * 32, 0.75, 1.25, 2)]
    assert json.loads(json.dumps(found.to_json()))["coverage"]["unknown"]


def test_the_page_fits_a_hundred_columns(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    show(status_page(status(workspace)))
    text = capsys.readouterr().out
    assert all(len(line) <= 100 for line in text.splitlines())
    for part in ("31TCJ", "unfinished", "no B10", "cot12", "abababababab"):
        assert part in text


def test_scenes_per_day_begin_with_the_first_and_leave_no_day_out(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, 20)
    today = datetime.now(UTC)
    days = (today - timedelta(days=n) for n in (3, 3, 0, 90))
    Log(workspace).replace(
        LedgerEntry("products", f"S{n}", "k", "done", finished_at=utc(day))
        for n, day in enumerate(days)
    )
    found = scenes_per_day(workspace)
    assert len(found) == 30  # the scene of 90 days ago is older than what is shown
    assert list(found.values())[-4:] == [2, 0, 0, 1]
