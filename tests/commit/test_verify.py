"""Verify and vacuum: what the log says against what is there."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.commit.files import recorded, relative
from spark_cot.commit.inventory import owned, usage
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.listing import list_scenes
from spark_cot.commit.lock import locked
from spark_cot.commit.log import Log
from spark_cot.commit.parts import KEY
from spark_cot.commit.state import write_index
from spark_cot.commit.strays import Stray, strays
from spark_cot.commit.vacuum import vacuum
from spark_cot.commit.verify import verify
from spark_cot.errors import WorkspaceError
from spark_cot.storage import write_text
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT, PIXELS, Table
from spark_cot.tables.workspace import Workspace

SCENE, TILE, DATE = "S2B_T31TCJ_20240305T104819", "31TCJ", "2024-03-05"
ROWS = 6
RECORD = SceneRecord(
    scene_id=SCENE,
    product="product",
    source="archive/product.SAFE",
    sources=["archive/product.SAFE"],
    datastrips=["20240305T105411/20240305T105408"],
    fingerprint="f",
    satellite="S2B",
    tile=TILE,
    sensing_time=datetime(2024, 3, 5, 10, 54, 11, tzinfo=UTC),
    datatake="GS2B_20240305T104819_036543_N05.10",
    datatake_start=datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC),
    generation_time=datetime(2024, 3, 5, 12, 53, 47, tzinfo=UTC),
    baseline="05.10",
    orbit=51,
    crs="EPSG:32631",
    left=300_000.0,
    top=4_900_020.0,
    resolution=20,
    rows=2,
    cols=3,
    offsets=[-1000.0] * 13,
    quantification=10_000.0,
    metadata_cloud_cover=1.0,
    valid_pixels=ROWS,
    footprint="POLYGON ((0 0, 1 0, 1 1, 0 0))",
    ingested_at=datetime(2024, 3, 6, tzinfo=UTC),
    ingested_by="0.2.0",
)


def filled(table: Table, rows: int) -> pa.Table:
    """Rows of ``table`` with zeros and the scene's name."""
    columns = {
        c.name: [SCENE] * rows if c.type == pa.string() else np.zeros(rows).astype("int8")
        for c in table.columns
    }
    arrays = [pa.array(columns[f.name]).cast(f.type) for f in table.arrow]
    return pa.table(arrays, schema=table.arrow)


def write(path: Path, table: pa.Table, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = table.schema.with_metadata({**table.schema.metadata, **metadata})
    pq.write_table(table.cast(schema), path, row_group_size=4)
    return path


def record(workspace: Workspace, stage: str, key: str, *files: Path, **details: object) -> None:
    """Tell the log of a result."""
    held = recorded(workspace, *files)
    entry = LedgerEntry(stage, SCENE, key, "done", rows=ROWS, details=details, files=held)
    Log(workspace).append([entry])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One scene, with everything a run leaves."""
    workspace = Workspace.create(tmp_path / "workspace", 20)
    pixels = write(workspace.pixels(TILE, DATE, SCENE), filled(PIXELS, ROWS), **{KEY: "p"})
    cot = write(workspace.cot(TILE, DATE, SCENE), filled(COT, ROWS), **{KEY: "c"})
    product = workspace.product(TILE, DATE, SCENE)
    product.mkdir(parents=True)
    (product / "cot.tif").write_bytes(b"tiff")
    (product / "item.json").write_text("{}")
    tile = product.parents[1]
    (tile / "month=2024-03").mkdir()
    for level in (tile.parent, tile):
        (level / "collection.json").write_text("{}")
    (tile / "month=2024-03" / "catalog.json").write_text("{}")
    Log(workspace).replace([])
    record(workspace, "ingest", "p", pixels, scene=RECORD.to_json())
    record(workspace, "apply", "c", cot, input="p")
    record(workspace, "products", "i", product / "cot.tif", product / "item.json")
    write_index(Log(workspace))
    return workspace


def lost(workspace: Workspace) -> list[Stray]:
    return strays(workspace, owned(workspace).files)


def test_what_a_run_leaves_is_clean(workspace: Workspace) -> None:
    found = verify(workspace)
    assert found.findings == []
    assert (found.scenes, found.files) == (1, 4)
    assert lost(workspace) == []


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def fewer_rows(file: Path) -> None:
    write(file, filled(COT, 5), **{KEY: "c"})


def other_key(file: Path) -> None:
    write(file, filled(COT, ROWS), **{KEY: "d"})


def other_schema(file: Path) -> None:
    write(file, filled(PIXELS, ROWS), **{KEY: "c"})


def cut_item(file: Path) -> None:
    product = file.parents[3] / "products" / f"tile={TILE}" / f"date={DATE}" / SCENE
    (product / "item.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "found", "quick"),
    [
        (flip_a_byte, "SHA-256", False),
        (Path.unlink, "missing", True),
        (cut, "no whole Parquet file", True),
        (fewer_rows, "rows: 5, expected 6", True),
        (fewer_rows, "row groups unlike those of the pixels: [4, 1], expected [4, 2]", True),
        (other_key, "key d, expected c", True),
        (other_schema, "not a spark_cot cot table", True),
        (cut_item, "bytes: 1, expected 2", True),
    ],
)
def test_damage_is_named(
    workspace: Workspace, damage: Callable[[Path], object], found: str, quick: bool
) -> None:
    damage(workspace.cot(TILE, DATE, SCENE))
    texts = [finding.what for finding in verify(workspace).findings]
    assert any(found in text for text in texts), texts
    texts = [finding.what for finding in verify(workspace, quick=True).findings]
    assert any(found in text for text in texts) is quick


def test_every_file_of_a_product_is_compared_with_its_record(workspace: Workspace) -> None:
    (workspace.product(TILE, DATE, SCENE) / "cot.tif").write_bytes(b"ffit")
    (finding,) = verify(workspace).findings
    assert finding.path.endswith("cot.tif")
    assert finding.what.startswith("SHA-256")


def litter(workspace: Workspace) -> dict[str, str]:
    """Files that belong to nobody, by path, with their kind."""
    kinds = {
        "pixels/tile=31TCJ/date=2024-03-05/other.parquet": "orphan",
        f"products/tile={TILE}/date={DATE}/{SCENE}/old.tif": "orphan",
        "_parts/ingest/S/key/00000.part": "leftover",
        "_parts/products/.staging-x/cot.tif": "leftover",
        f"scenes/.{SCENE}.parquet.0.tmp": "leftover",
        "_ledger/ingest/.x.json.0.tmp": "leftover",
    }
    for path in kinds:
        (workspace.root / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / path).write_bytes(b"12345")
    return kinds


def test_orphans_and_leftovers_are_found_and_removed(workspace: Workspace) -> None:
    kinds = litter(workspace)
    assert {stray.path: stray.kind for stray in lost(workspace)} == kinds
    assert {finding.path for finding in verify(workspace, quick=True).findings} == set(kinds)
    assert vacuum(workspace, older_than=0, dry_run=True).strays == lost(workspace) != []
    removed = vacuum(workspace, older_than=0, force=True).strays
    assert {stray.path: stray.size for stray in removed} == dict.fromkeys(kinds, 5)
    assert lost(workspace) == []
    assert verify(workspace).findings == []


def test_work_in_progress_is_left_alone_while_a_job_runs(workspace: Workspace) -> None:
    kinds = litter(workspace)
    with locked(workspace, "run"):
        assert verify(workspace).findings == []
        with pytest.raises(WorkspaceError, match="another job is at work"):
            vacuum(workspace)
    assert len(lost(workspace)) == len(kinds)


def test_what_a_scene_held_before_it_failed_is_still_its_own(workspace: Workspace) -> None:
    entry = Log(workspace).entries("ingest")[SCENE]
    Log(workspace).append([replace(entry, key="q", state="failed", error="no B10")])
    assert lost(workspace) == []
    write_index(Log(workspace))
    assert verify(workspace).findings == []


def test_other_files_in_the_folder_are_not_ours(workspace: Workspace) -> None:
    (workspace.root / "notes.txt").write_text("mine")
    (workspace.root / "maps").mkdir()
    (workspace.root / "maps" / "map.qgz").write_text("mine")
    assert vacuum(workspace, older_than=0).strays == []


def test_files_that_the_log_does_not_know_say_whose_they_are(workspace: Workspace) -> None:
    Log(workspace).forget("apply", [SCENE])
    Log(workspace).forget("products", [SCENE])
    copy = workspace.pixels(TILE, DATE, "copy")
    copy.write_bytes(workspace.pixels(TILE, DATE, SCENE).read_bytes())
    assert [stray.path for stray in lost(workspace)] == [relative(workspace, copy)]


def test_owners_that_cannot_be_read_are_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    Log(workspace).forget("products", [SCENE])
    monkeypatch.setattr("spark_cot.commit.rebuild.read_bytes", broken)
    (unreadable,) = owned(workspace).unreadable
    assert "item.json" in unreadable and "Input/output error" in unreadable


def test_without_a_log_nothing_is_nobodys(workspace: Workspace) -> None:
    shutil.rmtree(workspace.ledger)
    (reason,) = owned(workspace).unreadable
    assert "spark-cot repair" in reason


def test_disk_use_is_told_by_folder(workspace: Workspace) -> None:
    used = usage(workspace)
    assert used["pixels"] == workspace.pixels(TILE, DATE, SCENE).stat().st_size
    assert set(used) == {"_ledger", "cot", "pixels", "products", "scenes"}


def test_what_is_damaged_is_set_aside_in_every_store_and_due(place: Path) -> None:
    workspace = Workspace.create(place, 20)
    path = f"cot/tile={TILE}/date={DATE}/{SCENE}.parquet"
    write_text(workspace.root / path, "no table")
    gone = f"pixels/tile={TILE}/date={DATE}/{SCENE}.parquet"
    files = {"apply": path, "ingest": gone}
    Log(workspace).replace(
        LedgerEntry(stage, SCENE, "k", "done", files={file: {"bytes": 8, "sha256": ""}})
        for stage, file in files.items()
    )
    found = verify(workspace, repair=True)
    assert found.due == [gone, path]
    assert not (workspace.root / path).exists()
    assert (workspace.parts / "damaged" / path).exists()
    assert list_scenes(workspace).is_empty
    with locked(workspace, "run"), pytest.raises(WorkspaceError, match="another job is at work"):
        verify(workspace, repair=True)
