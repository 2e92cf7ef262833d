"""The demo in small, through its command: everything that it promises is there."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import rasterio

from spark_cot.demo.scenes import SCENES
from spark_cot.demo.story import RECIPE, Demo
from spark_cot.models.bundle import load_bundle
from spark_cot.tables.workspace import Workspace

SMALL = partial(
    Demo,
    rows=4352,  # a whole part of the table and a short one: a row group for each rank
    recipe=replace(RECIPE, members=1, hidden=(8,), steps=6, batch_rows=64),
    scenes=(SCENES[2], SCENES[3], SCENES[7]),
    extent=960,
)


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch, cot_command, model: Path):
    """Run the command on a small demo; its exit code and what it printed."""
    monkeypatch.setattr("spark_cot.demo.story.Demo", SMALL)
    return partial(cot_command, "demo", "--model", model, "--out")


def facts(report_line: str) -> dict:
    path = Path(report_line.removeprefix("report ")).with_suffix(".json")
    return json.loads(path.read_text())


def test_the_demo_tells_the_whole_story_and_then_keeps_it(small_demo, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    code, text = small_demo(root)
    assert code == 0, text
    last = text.strip().splitlines()[-1]
    assert last.startswith("report ")
    report = facts(last)
    assert [stage["name"] for stage in report["stages"]] == [
        "simulate",
        "train",
        "scenes",
        "ingest",
        "apply",
        "products",
    ]
    assert report["states"] == dict.fromkeys(report["states"], 0) | {"done": 3}
    assert load_bundle(root / "small").name == "small"

    workspace = Workspace.open(root / "workspace")
    for scene in workspace.scenes():
        folder = workspace.product(scene.tile, scene.date, scene.scene_id)
        assert (folder / "reflectance_masked.tif").is_file()
        with rasterio.open(root / "truth" / f"{scene.scene_id}.tif") as true:
            assert true.shape == scene.grid.shape
            assert true.transform == scene.grid.transform

    truth, sees, models, further = report["sections"]
    assert [row[0] for row in truth["rows"]] == [
        "overcast stratocumulus",
        "towering cumulus",
        "thin cirrus",
    ]
    overcast, _, cirrus = (float(row[1].removesuffix(" %")) for row in truth["rows"])
    assert overcast == 100
    assert 85 <= cirrus < 90  # 85 % of the pixels of 10 m, and these are 20 m wide
    parts = {row[0]: dict(zip(sees["header"][1:], row[1:], strict=True)) for row in sees["rows"]}
    assert parts["thin cirrus"]["COT 0.5 to 1"] != "-"
    assert parts["thin cirrus"]["B04 above 1"] == parts["thin cirrus"]["read clear"] == "-"
    assert parts["towering cumulus"]["B04 above 1"] != "-"
    assert all(part["outside"].endswith(" %") for part in parts.values())
    assert SCENES[3].shows in truth["pictures"][2]["caption"]
    assert len(models["rows"]) == 4
    for picture in [*truth["pictures"], *models["pictures"]]:
        assert (root / "workspace" / "reports" / picture["path"]).is_file()
    assert str(root / "workspace") in further["commands"][0][1]

    made = {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")}
    code, text = small_demo(root)
    assert code == 0, text
    assert all(stage["scenes"] == 0 for stage in facts(text.strip().splitlines()[-1])["stages"])
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")} == made

    code, text = small_demo(root, "--seed", "8")
    assert code == 2
    assert "seed is 7, asked for 8" in text
