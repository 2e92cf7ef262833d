"""Verify and vacuum: what the ledger says against what is there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.commit.inventory import owned, recorded, usage
from spark_cot.commit.ledger import Ledger
from spark_cot.commit.lock import locked
from spark_cot.commit.parts import KEY
from spark_cot.commit.strays import Stray, strays
from spark_cot.commit.vacuum import vacuum
from spark_cot.commit.verify import verify
from spark_cot.errors import WorkspaceError
from spark_cot.tables.schema import COT, PIXELS, SCENES, Table
from spark_cot.tables.workspace import Workspace

SCENE, TILE, DATE = "S2B_T31TCJ_20240305T104819", "31TCJ", "2024-03-05"
ROWS = 6


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


def index_row() -> pa.Table:
    values = {c.name: {"valid_pixels": ROWS, "scene_id": SCENE}.get(c.name) for c in SCENES.columns}
    nullable = pa.schema([f.with_nullable(True) for f in SCENES.arrow], SCENES.arrow.metadata)
    return pa.Table.from_pylist([values], nullable)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One scene, with everything a run leaves."""
    workspace = Workspace.create(tmp_path / "workspace", 20)
    pixels = write(workspace.pixels(TILE, DATE, SCENE), filled(PIXELS, ROWS), **{KEY: "p"})
    index = write(workspace.scene(SCENE), index_row())
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
    for stage, key, files in (
        ("ingest", "p", (pixels, index)),
        ("apply", "c", (cot,)),
        ("products", "i", (product / "cot.tif", product / "item.json")),
    ):
        facts = {"files": recorded(workspace, *files)}
        Ledger(workspace, stage).record(SCENE, key, "done", rows=ROWS, facts=facts)
    return workspace


def nobodys(workspace: Workspace) -> list[Stray]:
    return strays(workspace, owned(workspace).files)


def test_what_a_run_leaves_is_clean(workspace: Workspace) -> None:
    found = verify(workspace)
    assert found.findings == []
    assert (found.scenes, found.files) == (1, 5)
    assert nobodys(workspace) == []


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
        (cut, "no readable Parquet file", True),
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
    assert {stray.path: stray.kind for stray in nobodys(workspace)} == kinds
    assert {finding.path for finding in verify(workspace, quick=True).findings} == set(kinds)
    assert vacuum(workspace, older_than=0, dry_run=True).strays == nobodys(workspace) != []
    removed = vacuum(workspace, older_than=0)
    assert {stray.path: stray.size for stray in removed.strays} == dict.fromkeys(kinds, 5)
    assert nobodys(workspace) == []
    assert verify(workspace).findings == []


def test_work_in_progress_is_left_alone_while_a_job_runs(workspace: Workspace) -> None:
    kinds = litter(workspace)
    with locked(workspace, "run"):
        assert verify(workspace).findings == []
        with pytest.raises(WorkspaceError, match="another job is at work"):
            vacuum(workspace)
    assert len(nobodys(workspace)) == len(kinds)


def test_what_a_scene_held_before_it_failed_is_still_its_own(workspace: Workspace) -> None:
    ledger = Ledger(workspace, "ingest")
    entry = ledger.get(SCENE)
    assert entry is not None
    ledger.record(SCENE, "q", "failed", error="no B10", facts=entry.facts)
    assert nobodys(workspace) == []
    assert verify(workspace).findings == []


def test_other_files_in_the_folder_are_not_ours(workspace: Workspace) -> None:
    (workspace.root / "notes.txt").write_text("mine")
    (workspace.root / "maps").mkdir()
    (workspace.root / "maps" / "map.qgz").write_text("mine")
    assert vacuum(workspace, older_than=0).strays == []


def test_a_product_of_which_only_the_item_is_recorded_is_owned_whole(workspace: Workspace) -> None:
    item = workspace.product(TILE, DATE, SCENE) / "item.json"
    facts = {"files": recorded(workspace, item)}
    Ledger(workspace, "products").record(SCENE, "i", "done", rows=ROWS, facts=facts)
    assert vacuum(workspace, older_than=0).strays == []
    assert (item.parent / "cot.tif").exists()
    assert verify(workspace).findings == []


def test_disk_use_is_told_by_folder(workspace: Workspace) -> None:
    used = usage(workspace)
    assert used["pixels"] == workspace.pixels(TILE, DATE, SCENE).stat().st_size
    assert set(used) == {"_ledger", "cot", "pixels", "products", "scenes"}
