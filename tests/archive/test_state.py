"""State that is lost, old, foreign or half there ends as it was, and no table changes."""

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import spark_cot
from spark_cot.commit.flight import in_flight, still_in_flight
from spark_cot.commit.inventory import owned
from spark_cot.commit.ledger import STAGES
from spark_cot.commit.log import Log
from spark_cot.commit.state import read_log
from spark_cot.products.stac import timeless
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace

TABLES = ("pixels", "cot", "masked", "products")
#: What a file cannot say of its making.
UNSAID = ("seconds", "attempt", "finished_at")


@pytest.fixture
def own(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the finished workspace that a test may change."""
    return Path(shutil.copytree(finished[1], tmp_path / "own"))


@pytest.fixture
def rerun(finished: tuple[Path, Path], own: Path, model: Path, cot_command) -> Callable[..., str]:
    """The main job once more; what it said."""

    def run(*more: object) -> str:
        options = ("--out", own, "--model", model, "--mask-above", 1.0)
        code, text = cot_command("run", finished[0], *options, *more)
        assert code == 0, text
        return text

    return run


def contents(root: Path, *folders: str) -> dict[str, bytes]:
    """Every file below the folders, by relative path; items without their time."""
    files = (p for folder in folders for p in (root / folder).rglob("*") if p.is_file())
    return {path.relative_to(root).as_posix(): timeless(path.read_bytes()) for path in files}


def said(root: Path) -> dict[tuple[str, str], dict]:
    """What the log says as far as files can, by stage and name."""
    log = read_log(Workspace.open(root))
    found = {}
    for stage in STAGES:
        for name, entry in log.entries(stage).items():
            values = {k: v for k, v in asdict(entry).items() if k not in UNSAID}
            values["details"].get("scene", {}).pop("ingested_at", None)
            found[stage, name] = values
    return found


def nothing_was_done(text: str) -> bool:
    return all(f"{stage}: 0 done, 3 skipped, 0 failed" in text for stage in STAGES)


def test_a_lost_log_is_read_back_and_repair_completes_it(own: Path, rerun, cot_command) -> None:
    before, tables = said(own), contents(own, *TABLES)
    shutil.rmtree(own / "_ledger")
    code, text = cot_command("status", own)
    assert (code, "spark-cot repair" in text) == (2, True), text
    assert cot_command("vacuum", own)[0] == 2
    assert nothing_was_done(rerun())
    code, text = cot_command("repair", own)
    assert (code, "repair with --yes" in text) == (1, True), text  # it lacks checksums
    code, text = cot_command("repair", own, "--yes")
    assert (code, "repaired" in text) == (0, True), text
    assert said(own) == before
    assert contents(own, *TABLES) == tables
    assert cot_command("verify", own)[0] == 0
    assert cot_command("repair", own)[0] == 0


def test_a_half_restored_ledger_and_copied_files_end_in_the_same_state(
    own: Path, rerun, cot_command, tmp_path: Path
) -> None:
    before, tables = said(own), contents(own, *TABLES)
    log = Log(Workspace.open(own))
    kept = [e for e in log.entries("ingest").values() if not e.name.startswith("S2A")]
    log.replace(kept)  # of one day before, and of one scene nothing
    (own / "_ledger" / "workspace.json").unlink()
    workspace = Workspace.open(own)
    assert {path for path in tables if not path.endswith(".json")} <= owned(workspace).files
    assert nothing_was_done(rerun())
    assert said(own) == before
    assert contents(own, *TABLES) == tables


def test_tables_of_a_backup_older_than_the_log_are_made_again(
    own: Path, rerun, model: Path, finished: tuple[Path, Path], cot_command
) -> None:
    tables = contents(own, *TABLES)
    old = next((own / "cot").rglob("S2B*.parquet"))
    content = old.read_bytes()
    thresholds = ("--thin", 0.01, "--thick", 0.3, "--change-options")
    assert cot_command("apply", own, "--model", model, *thresholds)[0] == 0
    for path in (own / "cot").rglob("*.parquet"):
        if path.name.startswith("S2B"):
            path.write_bytes(content)
    text = rerun("--thin", 0.75, "--thick", 1.25, "--change-options")
    assert "apply: 2 done, 1 skipped" in text
    assert contents(own, *TABLES) == tables


def test_two_workspaces_merged_by_hand_hold_the_scenes_of_both(
    own: Path, finished: tuple[Path, Path], tmp_path: Path, cot_command
) -> None:
    before, tables = said(own), contents(own, *TABLES)
    other = Path(shutil.copytree(own, tmp_path / "other"))
    for root, mine in ((own, "T31TDJ"), (other, "T31TCJ")):
        log = Log(Workspace.open(root))
        for stage in STAGES:
            log.forget(stage, [name for name in log.entries(stage) if mine in name])
        for path in [p for name in TABLES for p in (root / name).rglob(f"*{mine}*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(other, own, dirs_exist_ok=True)  # its log and index over ours
    code, text = cot_command("repair", own, "--yes", "--json")
    report = json.loads(text)
    assert (code, report["done"]) == (0, True)
    assert sum(stage["read_back"] for stage in report["stages"]) == 6
    assert said(own) == before
    assert contents(own, *TABLES) == tables
    assert len(Workspace.open(own).scenes()) == 3


def test_a_driver_that_died_before_the_log_was_told_loses_nothing(
    own: Path, rerun, model: Path, cot_command
) -> None:
    before, tables = said(own), contents(own, *TABLES)
    log = Log(Workspace.open(own))
    stale = [replace(e, key="of an older model") for e in log.entries("apply").values()]
    log.append(stale)
    with pytest.raises(RuntimeError), in_flight(Workspace.open(own), [e.name for e in stale]):
        raise RuntimeError
    assert nothing_was_done(rerun())
    assert said(own) == before
    assert contents(own, *TABLES) == tables
    assert still_in_flight(Workspace.open(own)) == set()


def damage_commit(state: Path) -> None:
    max((state / "_delta_log").glob("*.json")).write_bytes(b"")


def damage_rows(state: Path) -> None:
    for path in state.glob("*.parquet"):
        path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [damage_commit, damage_rows, lambda state: next(state.glob("*.parquet")).unlink()]
)
def test_who_reads_a_damaged_log_says_so_and_repair_makes_it_anew(
    own: Path, cot_command, rerun, damage: Callable[[Path], object]
) -> None:
    before = said(own)
    damage(own / "_ledger" / "state")
    for command in ("status", "verify", "vacuum"):
        code, text = cot_command(command, own)
        assert (code, "spark-cot repair" in text) == (2, True), text
        assert "Traceback" not in text
    assert cot_command("repair", own)[0] == 1
    assert cot_command("repair", own, "--yes")[0] == 0
    assert said(own) == before
    assert nothing_was_done(rerun())


def test_a_run_makes_a_damaged_log_anew_and_does_nothing_twice(
    own: Path, rerun, caplog: pytest.LogCaptureFixture
) -> None:
    before = said(own)
    damage_commit(own / "_ledger" / "state")
    assert nothing_was_done(rerun())
    assert "entries are read back from its files" in caplog.text
    after = said(own)
    assert {what: entry["key"] for what, entry in after.items()} == {
        what: entry["key"] for what, entry in before.items()
    }


def test_a_log_that_is_not_given_now_stops_a_run_and_stays(
    own: Path, rerun, cot_command, finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise OSError(errno.EIO, "Input/output error")

    before = sorted((own / "_ledger" / "state").rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr("spark_cot.commit.log.read_bytes", fail)
        patch.setattr("spark_cot.commit.log.read_all", fail)
        code, text = cot_command("run", finished[0], "--out", own)
        assert (code, "cannot be read now" in text) == (2, True), text
    assert sorted((own / "_ledger" / "state").rglob("*")) == before
    assert nothing_was_done(rerun())


def test_a_log_of_a_newer_version_is_refused_with_the_cure(own: Path, cot_command) -> None:
    for commit in (own / "_ledger" / "state" / "_delta_log").glob("*.json"):
        commit.write_text(commit.read_text().replace("log, format 1", "log, format 2"))
    for command in ("status", "repair"):
        code, text = cot_command(command, own)
        assert code == 2
        assert "format 2" in text and "Use the version of spark_cot that wrote it" in text


#: Columns of the scene index that format 1 had not.
LATER = {"sources", "datastrips", "datatake", "datatake_start", "generation_time"}


def old_state(root: Path) -> None:
    """Make the state one of format 1."""
    workspace = Workspace.open(root)
    log = read_log(workspace)
    for stage in STAGES:
        for name, entry in log.entries(stage).items():
            values = asdict(entry)
            values["facts"] = {**entry.facts, **values.pop("details"), "files": values.pop("files")}
            scene, read = values["facts"].pop("scene", None), values["facts"].pop("input")
            values["facts"] |= {"fingerprint": read} if scene else {}
            path = root / "_ledger" / stage / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(values))
    table = workspace.scene_table()
    for row, name in enumerate(table["scene_id"].to_pylist()):
        known = [field.name for field in fields(SceneRecord) if field.name not in LATER]
        old = table.slice(row, 1).select(known)
        metadata = {**table.schema.metadata, b"spark_cot.schema_version": b"1"}
        pq.write_table(old.replace_schema_metadata(metadata), root / "scenes" / f"{name}.parquet")
    workspace.index.unlink()
    shutil.rmtree(root / "_ledger" / "state")
    marker = root / "_ledger" / "workspace.json"
    marker.write_text(json.dumps({"format_version": 1, "resolution": 20}))


def test_a_workspace_of_format_1_is_read_and_then_migrated_once(
    own: Path, rerun, cot_command
) -> None:
    before, tables = said(own), contents(own, *TABLES)
    old_state(own)
    for (stage, name), values in before.items():
        if stage == "apply" or (stage == "products" and not name.startswith("S2A")):
            del values["details"]["input"]  # of which format 1 had nothing
        if stage == "ingest":
            scene = values["details"]["scene"]
            scene |= {"datastrips": [], "datatake": "", "generation_time": None}
            scene["datatake_start"] = scene["sensing_time"]
    old = contents(own, "_ledger", "scenes")
    facts = json.loads(cot_command("status", own, "--json")[1])
    assert facts["coverage"]["31TCJ"]["2024-03"]["done"] == 2
    assert cot_command("verify", own, "--quick")[0] == 0
    assert len(spark_cot.open_workspace(own).scenes) == 3
    assert contents(own, "_ledger", "scenes") == old
    bad = own / "_ledger" / "products"
    next(bad.glob("S2A*")).write_bytes(b"")  # a power cut
    foreign = next(bad.glob("S2B*"))
    foreign.write_text(json.dumps({**json.loads(foreign.read_text()), "of version 9": 1}))
    assert nothing_was_done(rerun())
    assert said(own) == before
    assert contents(own, *TABLES) == tables
    assert not list((own / "_ledger" / "products").glob("*"))
    assert [path.name for path in (own / "scenes").iterdir()] == ["scenes.parquet"]
    assert nothing_was_done(rerun())


def test_repair_of_verify_makes_what_is_damaged_or_missing_due(
    own: Path, rerun, cot_command
) -> None:
    tables = contents(own, *TABLES)
    damaged = next((own / "cot").rglob("S2A*.parquet"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    next((own / "products").rglob("S2B*/quicklook.png")).unlink()
    code, text = cot_command("verify", own, "--repair")
    assert (code, text.count("made again by the next run")) == (1, 2), text
    text = rerun()
    assert "apply: 1 done, 2 skipped" in text
    shutil.rmtree(own / "_parts" / "damaged")
    assert contents(own, *TABLES) == tables
    assert cot_command("verify", own)[0] == 0


def test_who_reads_writes_nothing(own: Path, finished, model: Path, cot_command) -> None:
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    options = ("--out", own, "--model", model, "--mask-above", 1.0, "--dry-run")
    for command in (
        ("status", own),
        ("verify", own),
        ("repair", own),
        ("vacuum", own, "--dry-run"),
        ("reprocess", finished[0], *options),
        ("run", finished[0], "--out", own, "--mask-above", 0.5, "--dry-run"),
        ("products", own, "--mask-above", 0.5, "--dry-run"),
    ):
        code, text = cot_command(*command)
        assert code == 0, text
    assert len(spark_cot.open_workspace(own).scenes) == 3
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def test_the_index_follows_what_changes(own: Path, rerun, model: Path, cot_command) -> None:
    index = Workspace.open(own).index
    whole = Workspace.open(own).scene_table()
    change = ("--mask-above", "none", "--change-options")
    assert cot_command("products", own, *change, "--scene", "S2B_T31TDJ_20240310T104819")[0] == 0
    assets = Workspace.open(own).scene_table()["assets"].to_pylist()
    masked = [scene["reflectance_masked"] is not None for scene in assets]
    assert masked == [True, False, True]
    index.write_bytes(b"")
    code, text = cot_command("verify", own)
    assert (code, "spark-cot repair" in text or "cannot be read" in text) == (1, True), text
    rerun("--change-options")
    assert Workspace.open(own).scene_table().equals(whole)


def test_files_without_content_are_made_again(own: Path, rerun, cot_command) -> None:
    tables = contents(own, *TABLES)
    for table, pattern in (
        ("pixels", "S2A*.parquet"),
        ("cot", "S2B*.parquet"),
        ("products", "S2C*/item.json"),
        ("masked", "S2B*.parquet"),
    ):
        next((own / table).rglob(pattern)).write_bytes(b"")  # a power cut
    assert "ingest: 1 done, 2 skipped, 0 failed" in rerun()
    aside = contents(own / "_parts", "damaged")
    assert len(aside) == 4  # the item of the masked rows too
    shutil.rmtree(own / "_parts" / "damaged")
    assert contents(own, *TABLES) == tables
    assert cot_command("verify", own)[0] == 0
