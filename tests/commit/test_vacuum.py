"""Vacuum removes what is nobody's, and nothing while that is in doubt."""

import errno
import inspect
import os
import shutil
import time
from pathlib import Path

import pytest

from spark_cot.archive.declare import declared
from spark_cot.archive.options import VacuumOptions
from spark_cot.commit import vacuum as module
from spark_cot.commit.inventory import Owned
from spark_cot.commit.vacuum import vacuum
from spark_cot.errors import WorkspaceError
from spark_cot.storage import find, publish_all
from spark_cot.tables.workspace import Workspace

DAY = 86_400.0

LITTER = {
    "pixels/copy.parquet": "orphan",
    "products/old.tif": "orphan",
    "_parts/ingest/S/key/00000.part": "leftover",
    "_parts/products/.staging-x/cot.tif": "leftover",
    "cot/.S.parquet.0.tmp": "leftover",
}


def litter(workspace: Workspace, days: float = 30) -> None:
    """Files that are nobody's, of 5 bytes each."""
    for name in LITTER:
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        os.utime(path, (time.time() - days * DAY,) * 2)


def held(workspace: Workspace) -> set[str]:
    """Files of tables, products and parts by path."""
    files = (path.relative_to(workspace.root) for path in find(workspace.root))
    return {str(path) for path in files if path.parts[0] not in ("_ledger", "reports")}


def test_what_is_nobodys_is_removed_and_nothing_else(finished: Workspace) -> None:
    before = held(finished)
    litter(finished)
    swept = vacuum(finished)
    assert {stray.path: stray.kind for stray in swept.strays} == LITTER
    assert (swept.size, swept.young, 0 < swept.share < 0.01) == (25, 0, True)
    assert all(swept.days(stray) == pytest.approx(30, abs=0.01) for stray in swept.strays)
    assert held(finished) == before
    assert not finished.parts.exists()


def test_command_and_function_have_the_same_limits() -> None:
    limits = {name: p.default for name, p in inspect.signature(vacuum).parameters.items()}
    options = {option.name: option.default for option in declared(VacuumOptions)}
    for name in limits.keys() - {"workspace", "spread"}:
        assert options[name] == limits[name]


def test_a_dry_run_removes_nothing(finished: Workspace) -> None:
    litter(finished)
    before = held(finished)
    assert len(vacuum(finished, dry_run=True).strays) == len(LITTER)
    assert held(finished) == before


@pytest.mark.parametrize(("days", "older_than", "gone"), [(6, 7, 0), (8, 7, 5), (0, 0, 5)])
def test_only_what_is_old_goes(
    finished: Workspace, days: float, older_than: float, gone: int
) -> None:
    litter(finished, days)
    swept = vacuum(finished, older_than=older_than)
    assert (len(swept.strays), swept.young) == (gone, len(LITTER) - gone)


def test_files_from_the_future_are_young(finished: Workspace) -> None:
    litter(finished, days=-1)
    assert vacuum(finished, older_than=0).strays == []


def test_links_stay_and_what_is_behind_them(finished: Workspace, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    pixels, tile = finished.root / "pixels", next((finished.root / "cot").iterdir())
    for folder in (pixels, tile):
        shutil.move(folder, disk / folder.name)
        folder.symlink_to(disk / folder.name)
    (disk / "pixels" / "other.parquet").write_bytes(b"behind a link")
    (finished.root / "cot" / "elsewhere.parquet").symlink_to(disk / "gone")
    shutil.rmtree(finished.parts)
    finished.parts.symlink_to(disk)
    (disk / "ingest" / "empty").mkdir(parents=True)
    places = (finished.root, disk)
    before = {path for place in places for path in place.rglob("*") if "lock" not in path.parts}
    links = {path for path in before if path.is_symlink()}
    assert vacuum(finished, older_than=0, force=True).strays == []
    assert len(links) == 4
    assert all(path.is_symlink() for path in links)
    assert before <= {path for place in places for path in place.rglob("*")}


def test_a_run_over_links_finds_everything_done(bench, finished: Workspace, tmp_path: Path) -> None:
    for table in ("pixels", "cot", "products"):
        shutil.move(finished.root / table, tmp_path / table)
        (finished.root / table).symlink_to(tmp_path / table)
    bench.plan(finished.root)


def test_while_an_owner_cannot_be_read_nothing_goes(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    litter(finished)
    before = held(finished)
    owned = module.owned(finished)
    faults = [f"scene {number}: Input/output error" for number in range(30)]
    monkeypatch.setattr(module, "owned", lambda _: Owned(owned.files, faults))
    for force in (False, True):
        with pytest.raises(WorkspaceError, match="nothing was removed") as refused:
            vacuum(finished, older_than=0, force=force)
    text = str(refused.value)
    assert "scene 0: Input/output error" in text
    assert "and 10 more" in text
    assert text.endswith("Run `spark-cot repair` first")
    assert held(finished) == before


def test_a_large_share_goes_only_if_forced(finished: Workspace) -> None:
    litter(finished)
    orphan = finished.root / "pixels" / "copy.parquet"
    total = sum(p.stat().st_size for p in find(finished.root) if "_parts" not in p.parts)
    orphan.write_bytes(bytes(total))
    before = held(finished)
    swept = vacuum(finished, older_than=0, dry_run=True)
    assert 0.2 < swept.share < 0.7
    with pytest.raises(WorkspaceError, match=r"% of the bytes of its tables.*more than 20%"):
        vacuum(finished, older_than=0)
    assert held(finished) == before
    vacuum(finished, older_than=0, max_share=0.8, dry_run=False)
    assert not orphan.exists()


def test_force_overrides_the_share(finished: Workspace) -> None:
    orphan = finished.root / "pixels" / "copy.parquet"
    orphan.write_bytes(bytes(10_000_000))
    vacuum(finished, older_than=0, force=True)
    assert not orphan.exists()


@pytest.mark.parametrize("left", [0, 3])
def test_a_lost_ledger_costs_no_file(finished: Workspace, left: int) -> None:
    """All of it but the marker, or half of it; even by force."""
    before = held(finished)
    ledger = [p for p in find(finished.root / "_ledger") if p.name != "workspace.json"]
    for path in ledger[left:]:
        path.unlink()
    try:
        vacuum(finished, older_than=0, force=True)
    except WorkspaceError as error:
        assert "nothing was removed" in str(error)
    assert held(finished) == before


def test_a_disk_that_fails_is_one_clear_error(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    litter(finished)

    def failing(files: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "x.part")

    monkeypatch.setattr(module, "remove_files", failing)
    with pytest.raises(WorkspaceError, match=r"not all could be removed.*Input/output error"):
        vacuum(finished)


def test_in_a_store_many_are_removed_by_one_request(bucket: Path, s3, finished: Workspace) -> None:
    litter(finished)
    place = bucket / "workspace"
    for path in find(finished.root):
        publish_all([path], place / path.parent.relative_to(finished.root))
    stored = Workspace.open(place)
    s3.requests.clear()
    assert vacuum(stored, older_than=7).strays == []
    idle = s3.requests["POST"]
    time.sleep(1.1)  # stores keep whole seconds
    s3.requests.clear()
    assert {stray.path for stray in vacuum(stored, older_than=0).strays} == set(LITTER)
    assert s3.requests["POST"] == idle + 1
    assert {str(p.relative_to(place)) for p in find(place)}.isdisjoint(LITTER)


def test_the_command_shows_sizes_ages_and_what_would_be_refused(
    finished: Workspace, cot_command
) -> None:
    litter(finished, days=9)
    (finished.root / "pixels" / "copy.parquet").write_bytes(bytes(10_000_000))
    options = ("vacuum", finished.root, "--older-than", 0)
    code, text = cot_command(*options, "--dry-run")
    assert code == 0
    assert " 5     9.0 d  leftover  cot/.S.parquet.0.tmp" in text
    assert "would be removed: files 5, bytes 10,000,020" in text
    assert "more than 20% of the tables: it would be refused without --force" in text
    code, text = cot_command(*options)
    assert code == 2
    assert "See --dry-run for the files, and give --force if they are really to go" in text
    code, text = cot_command(*options, "--force")
    assert code == 0
    assert "removed: files 5, bytes 10,000,020" in text
