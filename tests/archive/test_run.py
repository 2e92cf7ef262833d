"""The main job from end to end, seen through the tools its users have."""

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
from rio_cogeo import cog_validate

import spark_cot
from spark_cot.commit.files import recorded
from spark_cot.commit.ledger import MADE
from spark_cot.commit.log import Log
from spark_cot.commit.parts import KEY
from spark_cot.errors import TableError
from spark_cot.infer.udf import register, with_cot
from spark_cot.plan.decide import result_key
from spark_cot.products.rasters import RASTERS
from spark_cot.products.stac import timeless
from spark_cot.tables.schema import COT
from spark_cot.tables.workspace import Workspace


@pytest.fixture
def workspace(finished: tuple[Path, Path]) -> Path:
    """A finished workspace, not to be changed."""
    return finished[1]


@pytest.fixture
def own(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the finished workspace that a test may change."""
    return Path(shutil.copytree(finished[1], tmp_path / "own"))


def contents(root: Path, *tables: str) -> dict[str, bytes]:
    """Every file below the tables of a workspace, by relative path; items without their time."""
    return {
        path.relative_to(root).as_posix(): timeless(path.read_bytes())
        for table in tables
        for path in sorted((root / table).rglob("*"))
        if path.is_file()
    }


def query(sql: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.sql(sql).fetchall()


def test_run_gives_tables_products_and_report_that_agree(workspace: Path) -> None:
    scenes = Workspace.open(workspace).scenes()
    assert [scene.scene_id for scene in scenes] == [
        "S2A_T31TCJ_20240305T104819",
        "S2B_T31TDJ_20240310T104819",
        "S2C_T31TCJ_20240315T104819",
    ]
    by_class = query(
        f"SELECT scene_id, cloud_class, count(*) FROM '{workspace}/cot/**/*.parquet' GROUP BY ALL"
    )
    counts = {(scene, code): n for scene, code, n in by_class}
    assert {code for _, code in counts} == {1, 2, 3}
    for scene in scenes:
        folder = Workspace.open(workspace).product(scene.tile, scene.date, scene.scene_id)
        with rasterio.open(folder / "cloud_class.tif") as image:
            classes = image.read(1)
            assert image.shape == (96, 96)
            assert image.transform == scene.grid.transform
        for code in (1, 2, 3):
            assert np.count_nonzero(classes == code) == counts.get((scene.scene_id, code), 0)
        assert np.count_nonzero(classes) == scene.valid_pixels
        item = pystac.Item.from_file(str(folder / "item.json"))
        cloudy = sum(counts.get((scene.scene_id, code), 0) for code in (2, 3))
        cover = item.properties["eo:cloud_cover"]
        assert cover == pytest.approx(100 * cloudy / scene.valid_pixels, abs=0.01)
        for raster in RASTERS:
            assert cog_validate(folder / raster.filename, strict=True)[0]
    collection = pystac.Collection.from_file(str(workspace / "products" / "collection.json"))
    assert {item.id for item in collection.get_items(recursive=True)} == {
        scene.scene_id for scene in scenes
    }
    (report,) = (workspace / "reports").glob("*.json")
    facts = json.loads(report.read_text())
    assert facts["states"] == {"done": 3, "skipped": 0, "failed": 0, "given-up": 0, "superseded": 0}
    assert [stage["name"] for stage in facts["stages"]] == ["ingest", "apply", "products"]
    for scene in facts["scenes"]:
        assert (report.parent / scene["quicklook"]).is_file()
    assert not list((workspace / "_parts").rglob("*.*"))


def test_pandas_reads_the_tables_by_path_alone(workspace: Path) -> None:
    pixels = pd.read_parquet(workspace / "pixels")
    cot = pd.read_parquet(workspace / "cot")
    assert len(pixels) == len(cot) > 0
    key = ["scene_id", "row", "col"]
    assert pixels[key].equals(cot[key])
    assert sorted(pixels["tile"].unique()) == ["31TCJ", "31TDJ"]
    assert not pixels.isna().to_numpy().any()


def test_masked_rows_are_those_at_most_that_thick(workspace: Path) -> None:
    joined = query(
        f"""SELECT count(*), sum(p.B04), max(c.cot)
        FROM '{workspace}/pixels/**/*.parquet' p
        JOIN '{workspace}/cot/**/*.parquet' c USING (scene_id, row, col) WHERE c.cot <= 1.0"""
    )
    masked = query(f"SELECT count(*), sum(B04), max(cot) FROM '{workspace}/masked/**/*.parquet'")
    assert masked == joined
    assert 0 < masked[0][0] < len(pd.read_parquet(workspace / "cot"))


def test_the_sql_function_and_the_archive_path_give_identical_numbers(
    workspace: Path, spark, bundle
) -> None:
    register(spark, bundle)
    pixels = spark.read.parquet(str(workspace / "pixels"))
    pixels.createOrReplaceTempView("pixels")
    named = ", ".join(f"{band} => {band}" for band in reversed(bundle.inputs))
    called = f"SELECT *, cloud_optical_thickness({named}) r FROM pixels"
    rows = spark.sql(f"SELECT scene_id, row, col, r.* FROM ({called})")
    frames = [
        rows,
        with_cot(pixels, bundle).select(*COT.arrow.names),
    ]
    order = ["scene_id", "row", "col"]
    stored = pd.read_parquet(workspace / "cot")[COT.arrow.names]
    stored = stored.sort_values(order, ignore_index=True)
    for frame in frames:
        found = frame.toPandas().sort_values(order, ignore_index=True)
        pd.testing.assert_frame_equal(found, stored, check_exact=True)


def test_the_same_archive_gives_the_same_bytes(
    workspace: Path, finished: tuple[Path, Path], model: Path, cot_command, tmp_path: Path
) -> None:
    archive, again = finished[0], tmp_path / "again"
    options = ("--model", model, "--mask-above", 1.0)
    assert cot_command("run", archive, "--out", again, *options)[0] == 0
    tables = ("pixels", "cot", "masked", "products")
    assert contents(again, *tables) == contents(workspace, *tables)


def test_a_rerun_skips_what_is_done(
    own: Path, finished: tuple[Path, Path], model: Path, cot_command
) -> None:
    workspace, archive = own, finished[0]
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*.parquet")}
    options = ("--model", model, "--mask-above", 1.0)
    code, text = cot_command("run", archive, "--out", workspace, *options)
    assert code == 0
    for stage in ("ingest", "apply", "products"):
        assert f"{stage}: 0 done, 3 skipped, 0 failed" in text
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*.parquet")} == before


def test_a_deleted_file_of_a_product_is_made_again(own: Path, cot_command) -> None:
    masked = sorted((own / "masked").rglob("*.parquet"))[0]
    content = masked.read_bytes()
    masked.unlink()
    code, text = cot_command("products", own, "--mask-above", 1.0)
    assert (code, "products: 1 done, 2 skipped" in text) == (0, True), text
    assert masked.read_bytes() == content


def test_other_thresholds_redo_cot_and_products_but_not_pixels(own: Path, cot_command) -> None:
    workspace = own
    code, text = cot_command(
        "apply", workspace, "--thin", 0.2, "--change-options", "--tile", "T31TCJ"
    )
    assert code == 0
    assert "apply: 2 done, 0 skipped" in text
    code, text = cot_command("products", workspace, "--mask-above", "none", "--change-options")
    assert "products: 3 done" in text  # two have a new COT, and none is masked any more
    (path,) = (workspace / "products").rglob("S2A*/item.json")
    item = pystac.Item.from_file(str(path))
    assert "reflectance_masked" not in item.assets
    assert not list((workspace / "masked").rglob("*.parquet"))
    file = next((workspace / "cot").rglob("S2A*.parquet"))
    assert pq.read_metadata(file).metadata[b"spark_cot.thin_from"] == b"0.2"


def age(workspace: Path) -> None:
    """Make the COT table one of version 1, which had no probabilities."""
    for file in (workspace / "cot").rglob("*.parquet"):
        table = pq.ParquetFile(file).read().drop_columns(["p_thin", "p_thick", "outside"])
        former = {b"spark_cot.schema_version": b"1", KEY.encode(): b"of version 1"}
        metadata = {**table.schema.metadata, **former}
        del metadata[MADE.encode()]
        pq.write_table(table.replace_schema_metadata(metadata), file)
    log = Log(Workspace.open(workspace))
    entries = log.entries("apply").values()
    log.append(
        [
            replace(
                entry,
                key="of version 1",
                facts={**entry.facts, "spark_cot.schema_version": "1"},
                files=recorded(log.workspace, log.workspace.root / entry.committed),
            )
            for entry in entries
        ]
    )


def test_a_workspace_of_an_older_version_is_redone_from_its_pixels(
    own: Path, finished: tuple[Path, Path], model: Path, cot_command
) -> None:
    before = contents(own, "pixels", "cot", "masked", "products")
    age(own)
    with pytest.raises(TableError, match=r"version 1, expected 2.*`spark-cot apply` again"):
        spark_cot.open_workspace(own).cot().arrow()
    with pytest.raises(TableError, match="version 1, expected 2"):
        spark_cot.open_workspace(own).cot().spark()
    archive, options = finished[0], ("--out", own, "--model", model, "--mask-above", 1.0)
    text = cot_command("reprocess", archive, *options, "--dry-run")[1]
    assert re.search(r"outdated-format +3 +3 +made by an older version", text)
    code, text = cot_command("run", archive, *options)
    assert code == 0
    assert "ingest: 0 done, 3 skipped" in text
    assert "apply: 3 done" in text
    assert contents(own, "pixels", "cot", "masked", "products") == before


def test_a_release_of_the_package_makes_nothing_anew(
    own: Path, finished: tuple[Path, Path], cot_command
) -> None:
    """Once the version was part of a product's key."""
    log = Log(Workspace.open(own))
    upstream = {name: entry.key for name, entry in log.entries("apply").items()}
    entries = []
    for entry in log.entries("products").values():
        facts = {n: v for n, v in entry.facts.items() if n != "revision"} | {"version": "0.0.9"}
        key = result_key(upstream[entry.name], facts)
        entries.append(replace(entry, key=key, facts=facts))
    log.append(entries)
    before = contents(own, "pixels", "cot", "masked", "products")
    for command in (("run", finished[0], "--out", own), ("products", own)):
        code, text = cot_command(*command)
        assert (code, "products: 0 done, 3 skipped" in text) == (0, True), text
    assert contents(own, "pixels", "cot", "masked", "products") == before


@pytest.mark.parametrize(
    ("stage", "due"), [("ingest", [3, 3, 3]), ("apply", [0, 3, 3]), ("products", [0, 0, 3])]
)
def test_a_higher_revision_makes_a_stage_and_what_follows_anew(
    own: Path,
    finished: tuple[Path, Path],
    cot_command,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    due: list[int],
) -> None:
    module = importlib.import_module(f"spark_cot.archive.{stage}")
    now = module.REVISION
    monkeypatch.setattr(module, "REVISION", now + 1)
    code, text = cot_command("reprocess", finished[0], "--out", own, "--dry-run")
    assert code == 0
    assert re.search(rf"3 +outdated-format +revision {now}, now {now + 1}", text), text
    work = [re.search(rf"^{name} +(\d)", text, re.M) for name in ("ingest", "apply", "products")]
    assert [int(found[1]) for found in work] == due


def test_products_of_an_outdated_table_fail_with_the_cure(own: Path, cot_command) -> None:
    age(own)
    code, text = cot_command("products", own, "--mask-above", 0.5, "--change-options")
    assert (code, "products: 0 done, 0 skipped, 3 failed" in text) == (1, True), text
    assert "Run `spark-cot apply` again" in text


def test_row_groups_prune_by_row_and_col(workspace: Path) -> None:
    file = next((workspace / "pixels").rglob("*.parquet"))
    metadata = pq.read_metadata(file)
    names = pq.read_schema(file).names
    for column in ("row", "col"):
        statistics = metadata.row_group(0).column(names.index(column)).statistics
        assert statistics.has_min_max
    assert pq.read_schema(file).metadata[b"spark_cot.table"] == b"pixels"
    assert pq.read_schema(file).field("B04").metadata[b"scale"] == b"0.0001"
