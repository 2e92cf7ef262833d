"""An operator's week in small: one workspace, told day by day, and what each command said."""

import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spark_cot.cli import main
from spark_cot.commit.lock import locked
from spark_cot.models.bundle import Bundle, save_bundle
from spark_cot.products.stac import timeless
from spark_cot.tables.workspace import Workspace

Said = tuple[int, str]


def cot(*arguments: object) -> Said:
    """Run ``spark-cot``; its exit code and what it printed."""
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code), said.getvalue()


def files(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_size for p in root.rglob("*") if p.is_file()}


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


class Week:
    """The workspace, the archive it follows, and what was said on each day."""

    def __init__(self, root: Path, model: Path, add: Callable[..., Path]) -> None:
        self.archive, self.out, self.add = root / "archive", root / "workspace", add
        self.model = model
        self.said: dict[str, Said] = {}

    def reprocess(self, *options: object) -> Said:
        return cot("reprocess", self.archive, "--out", self.out, "--model", self.model, *options)

    def monday(self) -> None:
        """First run, one of three images cut short."""
        products = [self.add(self.archive, number, zipped=number == 1) for number in range(3)]
        self.band = only(products[2], "*_B03.jp2")
        self.whole = self.band.read_bytes()
        self.band.write_bytes(self.whole[: len(self.whole) // 2])
        self.said["dry"] = self.reprocess("--dry-run")
        self.written_by_dry_run = self.out.exists()
        self.said["first"] = self.reprocess()
        self.said["give up"] = self.reprocess("--retry-failed", 0)

    def tuesday(self) -> None:
        """A new scene, a changed one, and the broken one repaired."""
        self.add(self.archive, 3)
        shutil.rmtree(only(self.archive, "S2A*_T31TCJ_*.SAFE"))
        self.add(self.archive, 0, cloud_cover=50.0, sun=(30.0, 150.0))
        self.band.write_bytes(self.whole)
        self.said["dry tuesday"] = self.reprocess("--dry-run")
        self.said["one"] = self.reprocess("--max-scenes", 1, "--order", "oldest")
        self.said["tile"] = self.reprocess("--tile", "31TDJ")
        self.said["rest"] = self.reprocess()

    def wednesday(self, bundle: Bundle) -> None:
        """A new model."""
        weights = {name: 1.5 * values for name, values in bundle.weights.items()}
        self.model = save_bundle(replace(bundle, weights=weights), self.out.parent / "brighter")
        self.said["refused"] = self.reprocess()
        self.said["model"] = self.reprocess("--date", "2024-03-05:2024-03-15", "--change-options")
        self.said["status"] = cot("status", self.out)
        self.said["status json"] = cot("status", self.out, "--json")
        self.said["finish"] = self.reprocess()

    def thursday(self) -> None:
        """Two schedules overlap."""
        with locked(Workspace.open(self.out), "reprocess"):
            self.said["locked"] = self.reprocess()
            self.said["locked vacuum"] = cot("vacuum", self.out)
            self.said["locked status"] = cot("status", self.out)
            self.said["locked verify"] = cot("verify", self.out, "--quick")

    def friday(self) -> None:
        """Verify and vacuum, before and after damage."""
        self.said["clean"] = cot("verify", self.out)
        self.damaged = only(self.out / "cot", "S2A_T31TCJ*.parquet")
        content = bytearray(self.damaged.read_bytes())
        content[len(content) // 2] ^= 1
        self.damaged.write_bytes(content)
        only(self.out / "products", "S2B*/quicklook.png").unlink()
        (self.out / "pixels" / "copy.parquet").write_bytes(b"PAR1")
        (self.out / "_parts" / "ingest").mkdir(parents=True, exist_ok=True)
        (self.out / "_parts" / "ingest" / "00000.part").write_bytes(b"part")
        self.said["damaged"] = cot("verify", self.out)
        self.said["quick"] = cot("verify", self.out, "--quick")
        before = files(self.out)
        self.said["vacuum dry"] = cot("vacuum", self.out, "--older-than", 0, "--dry-run")
        self.unchanged_by_dry_run = files(self.out) == before
        self.said["young"] = cot("vacuum", self.out)
        self.said["vacuum"] = cot("vacuum", self.out, "--older-than", 0)
        self.damaged.unlink()
        only(self.out / "products", "S2B*/item.json").unlink()
        self.said["heal"] = self.reprocess()
        self.said["healed"] = cot("verify", self.out)


@pytest.fixture(scope="module")
def week(spark, add, bundle: Bundle, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Week:
    week = Week(tmp_path_factory.mktemp("week"), model, add)
    week.monday()
    week.tuesday()
    week.wednesday(bundle)
    week.thursday()
    week.friday()
    return week


def plan(text: str) -> dict[str, int]:
    """Scenes of each kind in the printed plan."""
    lines = [line.split() for line in text.splitlines()]
    kinds = {"new", "changed", "outdated-model", "failed-before", "given-up", "unfinished", "done"}
    return {words[0]: int(words[1]) for words in lines if words and words[0] in kinds}


def test_a_dry_run_prints_the_plan_and_writes_nothing(week: Week) -> None:
    code, text = week.said["dry"]
    assert (code, plan(text), week.written_by_dry_run) == (0, {"new": 3}, False)
    assert text.index("S2C_T31TCJ_20240315") < text.index("S2A_T31TCJ_20240305")  # newest first


def test_the_first_run_does_all_but_the_broken_scene(week: Week) -> None:
    code, text = week.said["first"]
    assert code == 1
    assert "ingest: 2 done, 0 skipped, 1 failed" in text
    assert "products: 2 done" in text
    assert "B03" in text


def test_what_fails_too_often_is_left_and_said_so(week: Week) -> None:
    code, text = week.said["give up"]
    assert (code, plan(text)) == (1, {"given-up": 1, "done": 2})
    assert "failed 1 x before" in text and "B03" in text


def test_new_changed_and_repaired_scenes_are_planned(week: Week) -> None:
    code, text = week.said["dry tuesday"]
    assert (code, plan(text)) == (0, {"new": 1, "changed": 2, "done": 1})


def test_limits_take_a_part_of_the_plan(week: Week) -> None:
    code, text = week.said["one"]
    assert (code, "ingest: 1 done, 0 skipped, 0 failed" in text) == (0, True)
    code, text = week.said["tile"]
    assert (code, plan(text)) == (0, {"new": 1, "done": 1})
    code, text = week.said["rest"]
    assert (code, plan(text)) == (0, {"changed": 1, "done": 3})
    sun = pq.read_table(only(week.out / "pixels", "S2A_T31TCJ*.parquet"))["sun_zenith"].to_pandas()
    assert sun.median() == pytest.approx(30)


def test_another_model_redoes_apply_and_products_of_the_selected_scenes(week: Week) -> None:
    code, text = week.said["refused"]
    assert (code, "add --change-options" in text) == (2, True), text
    code, text = week.said["model"]
    assert (code, plan(text)) == (0, {"outdated-model": 3})
    assert "ingest: 0 done, 3 skipped" in text
    assert "apply: 3 done, 0 skipped" in text
    assert plan(week.said["finish"][1]) == {"outdated-model": 1, "done": 3}


def test_status_tells_coverage_models_disk_and_runs(week: Week) -> None:
    code, text = week.said["status"]
    assert code == 0
    assert all(len(line) <= 100 for line in text.splitlines())
    facts = json.loads(week.said["status json"][1])
    assert facts["coverage"]["31TCJ"]["2024-03"] == {"done": 2, "failed": 0, "unfinished": 0}
    assert [model["scenes"] for model in facts["models"]] == [3, 1]
    assert facts["failures"] == []
    assert facts["disk"]["pixels"] > 10_000
    assert facts["runs"][0]["command"] == "reprocess"
    for name in ("31TCJ", "31TDJ", "brightness", "pixels"):
        assert name in text


def test_of_two_schedules_the_second_says_who_is_at_work(week: Week) -> None:
    for command in ("locked", "locked vacuum"):
        code, text = week.said[command]
        assert code == 2
        assert "another job is at work in it: `spark-cot reprocess`, process" in text
    assert week.said["locked status"][0] == 0
    assert "At work now: `spark-cot reprocess`" in week.said["locked status"][1]
    assert week.said["locked verify"][0] == 0


def test_verify_finds_what_is_damaged_missing_or_nobodys(week: Week) -> None:
    assert week.said["clean"][0] == 0, week.said["clean"][1]
    code, text = week.said["damaged"]
    assert code == 1, text
    for finding in ("SHA-256", "quicklook.png", "missing", "copy.parquet", "orphan", "leftover"):
        assert finding in text
    code, text = week.said["quick"]
    assert (code, "SHA-256" in text, "missing" in text) == (1, False, True)


def test_vacuum_removes_what_nobody_owns(week: Week) -> None:
    for command, words in (
        ("vacuum dry", "would be removed: files 2, bytes 8"),
        ("young", "removed: files 0, bytes 0, 0.0% of the tables; too young: 2"),
        ("vacuum", "removed: files 2, bytes 8"),
    ):
        code, text = week.said[command]
        assert (code, words in text) == (0, True), text
    assert week.unchanged_by_dry_run


def test_missing_files_are_made_again(week: Week) -> None:
    code, text = week.said["heal"]
    assert (code, plan(text)) == (0, {"unfinished": 2, "done": 2})
    assert week.said["healed"][0] == 0, week.said["healed"][1]


def test_after_all_that_the_tables_are_those_of_an_undisturbed_run(
    week: Week, tmp_path: Path
) -> None:
    assert cot("run", week.archive, "--out", tmp_path / "calm", "--model", week.model)[0] == 0
    for table in ("pixels", "cot", "products"):
        calm = tmp_path / "calm" / table
        for path in (p for p in calm.rglob("*") if p.is_file()):
            twin = week.out / table / path.relative_to(calm)
            assert timeless(twin.read_bytes()) == timeless(path.read_bytes())


def test_the_report_tells_the_plan_the_days_and_the_disk(week: Week) -> None:
    report = max((week.out / "reports").glob("*-reprocess.json"))
    sections = {s["title"]: s for s in json.loads(report.read_text())["sections"]}
    assert sections["Plan"]["rows"] == [["unfinished", "2"], ["done", "2"]]
    assert sum(number for _, number in sections["Scenes per day"]["bars"]) == 4
    assert "pixels" in dict(sections["Disk used"]["rows"])
