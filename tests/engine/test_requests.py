"""What a night costs in requests: a listing, and nothing for a scene that has not changed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from spark_cot.commit.state import look
from spark_cot.engine.pipeline import make_plan
from spark_cot.tables.workspace import Workspace

TABLES = ("pixels", "scenes", "cot", "masked", "products")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The benchmark of plans, which builds archives and workspaces of which all is done."""
    path = Path(__file__).parents[1] / "benchmarks" / "bench_plan.py"
    spec = importlib.util.spec_from_file_location("bench_plan", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked_by_a_plan(
    s3, spark, bench: ModuleType, root: Path, scenes: int, monkeypatch
) -> list[tuple[str, str]]:
    """Method and path of the requests of an idle plan; a listing's path is the bucket."""
    archive, workspace = root / "archive", Workspace.create(root / "workspace", 20)
    bench.write_archive(archive, scenes, changed=0)
    bench.write_workspace(workspace, archive, scenes)
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(s3, "refuse", lambda *request: bool(asked.append(request)))
    plan = make_plan(spark, look(workspace), str(archive), bench.STAGES)
    monkeypatch.undo()
    assert plan.counts == {"done": scenes}
    assert (plan.archive.opened, plan.decisions, plan.scenes) == (0, [], [])
    return asked


def is_listing(method: str, path: str) -> bool:
    return method == "GET" and "/" not in path.strip("/")


def test_a_scene_that_has_not_changed_costs_the_listing_of_its_product(
    s3, spark, bench: ModuleType, bucket: Path, monkeypatch
) -> None:
    few, many = (
        asked_by_a_plan(s3, spark, bench, bucket / str(scenes), scenes, monkeypatch)
        for scenes in (4, 12)
    )
    listings = [sum(is_listing(*request) for request in asked) for asked in (few, many)]
    assert listings[1] - listings[0] == 8
    tiles = len(bench.TILES)
    assert listings[0] <= 4 + len(TABLES) * (1 + tiles) + 10
    for asked in (few, many):
        of_files = [r for r in asked if not is_listing(*r) and "/_ledger/" not in r[1]]
        assert len(of_files) <= 4, of_files
