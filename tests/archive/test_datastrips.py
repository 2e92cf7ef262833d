"""Scenes of several datastrips, and the days on which tiles were sensed, through the main job."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from spark_cot.msi import BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace

START = datetime(2021, 1, 6, 3, 41, 31, tzinfo=UTC)
SPEC = ProductSpec("S2A", "31TCJ", START, baseline="02.09")
#: Of 96 x 96 pixels: rows of the northern and of the southern product.
NORTH, SOUTH = (0.0, 0.55), (0.45, 1.0)
ROWS_NORTH = ROWS_SOUTH = 53 * 96

Command = Callable[..., tuple[int, str]]


def part(archive: Path, rows: tuple[float, float], value: float, spec: ProductSpec) -> Path:
    """A product of one reflectance, with data in a share of the rows."""
    bands = {}
    for band in BANDS:
        ny, nx = native_shape(band.id, 1920)
        bands[band.id] = np.full((ny, nx), np.nan, np.float32)
        bands[band.id][round(rows[0] * ny) : round(rows[1] * ny)] = value
    return write_product(archive, bands, spec)


def north(archive: Path, **changes: object) -> Path:
    """Dark ground; made first."""
    made = START + timedelta(hours=2)
    spec = replace(SPEC, generation_time=made, sensed_after=timedelta(minutes=5, seconds=39))
    return part(archive, NORTH, 0.1, replace(spec, **changes))


def south(archive: Path, **changes: object) -> Path:
    """Cloud; made later, of a datastrip that begins ten seconds after."""
    made = START + timedelta(hours=3)
    spec = replace(SPEC, generation_time=made, sensed_after=timedelta(minutes=5, seconds=49))
    return part(archive, SOUTH, 0.6, replace(spec, **changes))


def scene_of(out: Path) -> SceneRecord:
    (scene,) = Workspace.open(out).scenes()
    return scene


def column(out: Path, table: str, name: str) -> np.ndarray:
    """Values of the only scene of a table on its grid, NaN nodata."""
    (path,) = (out / table).rglob("*.parquet")
    rows = pq.read_table(path).to_pandas()
    grid = np.full((96, 96), np.nan)
    grid[rows["row"], rows["col"]] = rows[name]
    return grid


def rows_covered(out: Path) -> float:
    """Share of the grid within the scene's outline."""
    scene = scene_of(out)
    whole = shapely.geometry.shape(scene.grid.footprint())
    return float(shapely.from_wkt(scene.footprint).area / whole.area)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def test_two_datastrips_make_one_scene(
    tmp_path: Path, archive: Path, model: Path, cot_command: Command
) -> None:
    out, sources = tmp_path / "out", [north(archive), south(archive)]
    code, text = cot_command("run", archive, "--out", out, "--model", model)
    assert (code, "ingest: 1 done, 0 skipped, 0 failed, 9,216 rows" in text) == (0, True), text
    b04 = column(out, "pixels", "B04")
    assert np.isfinite(b04).all()
    assert (b04[:43] < 2000).all() and (b04[44:] > 5000).all()  # the overlap is of the newer one
    assert np.isfinite(column(out, "cot", "cot")).all()
    scene = scene_of(out)
    assert scene.scene_id == "S2A_T31TCJ_20210106T034131"
    assert scene.sources == [str(source) for source in reversed(sources)]
    assert scene.datastrips == ["20210106T034720/", "20210106T034710/"]
    assert scene.sensing_time == START + timedelta(minutes=5, seconds=39)
    assert rows_covered(out) == pytest.approx(1, abs=0.01)
    code, text = cot_command("run", archive, "--out", out)
    assert "ingest: 0 done, 1 skipped, 0 failed, 0 rows" in text, text


def test_a_late_datastrip_adds_its_pixels_and_one_that_leaves_takes_none(
    tmp_path: Path, archive: Path, model: Path, cot_command: Command
) -> None:
    out, first = tmp_path / "out", north(archive)
    assert cot_command("run", archive, "--out", out, "--model", model)[0] == 0
    assert scene_of(out).valid_pixels == ROWS_NORTH
    assert rows_covered(out) == pytest.approx(0.55, abs=0.02)
    south(archive)
    assert cot_command("reprocess", archive, "--out", out)[0] == 0
    both = column(out, "pixels", "B04")
    assert np.isfinite(both).all() and both[0, 0] < 2000 < both[-1, 0]
    first.rename(tmp_path / "moved away")
    code, text = cot_command("reprocess", archive, "--out", out, "--dry-run")
    assert (code, "gone" in text, "done" in text) == (0, True, True), text
    for command in ("run", "reprocess"):
        assert cot_command(command, archive, "--out", out)[0] == 0
        np.testing.assert_array_equal(column(out, "pixels", "B04"), both)
    later = START + timedelta(days=90)
    south(archive, generation_time=later, baseline="05.00")
    assert cot_command("reprocess", archive, "--out", out)[0] == 0
    np.testing.assert_array_equal(column(out, "pixels", "B04"), both)


def test_a_damaged_datastrip_leaves_the_scene_its_other_part(
    tmp_path: Path, archive: Path, model: Path, cot_command: Command
) -> None:
    out, whole = tmp_path / "out", {}
    north(archive)
    damaged = south(archive)
    (band,) = damaged.rglob("*_B03.jp2")
    whole = band.read_bytes()
    band.write_bytes(whole[: len(whole) // 2])
    code, text = cot_command("run", archive, "--out", out, "--model", model)
    assert (code, "ingest: 1 done, 0 skipped, 1 failed" in text) == (1, True), text
    assert "Until it is repaired the scene is without its part" in text
    told = json.loads(max((out / "reports").glob("*.json")).read_text())
    assert [failure["source"] for failure in told["failures"]] == [str(damaged)]
    assert scene_of(out).valid_pixels == ROWS_NORTH
    band.write_bytes(whole)
    assert cot_command("reprocess", archive, "--out", out, "--retry-failed", 0)[0] == 0
    assert scene_of(out).valid_pixels == 96 * 96


def test_pixels_of_a_datastrip_that_is_damaged_later_stay(
    tmp_path: Path, archive: Path, cot_command: Command
) -> None:
    out = tmp_path / "out"
    north(archive)
    damaged = south(archive)
    assert cot_command("ingest", archive, "--out", out)[0] == 0
    both = column(out, "pixels", "B04")
    for name in ("*_B03.jp2", "MTD_TL.xml", "MTD_MSIL1C.xml"):
        (file,) = damaged.rglob(name)
        file.write_bytes(file.read_bytes()[:100])
        code, text = cot_command("ingest", archive, "--out", out)
        assert (code, "1 failed" in text) == (1, True), text
        np.testing.assert_array_equal(column(out, "pixels", "B04"), both)


def test_two_granules_of_one_product_are_parts_of_the_scene(
    tmp_path: Path, archive: Path, cot_command: Command
) -> None:
    """As products before December 2016 have them, from two ground stations."""
    stem = "S2A_OPER_{}_PDMC_20160616T104721_R051_V20160615T100608_20160615T101802"
    old, spec = archive / f"{stem.format('PRD_MSIL1C')}.SAFE", replace(SPEC, baseline="02.04")
    for place, (made, rows) in enumerate({"152456": NORTH, "170526": SOUTH}.items()):
        compact = part(tmp_path / made, rows, 0.1 + 0.5 * place, spec)
        granule = f"L1C_TL_SGS__20160615T{made}_A005124_T31TCJ"
        target = old / "GRANULE" / f"S2A_OPER_MSI_{granule}_N02.04"
        shutil.copytree(compact / spec.granule, target)
        (target / "MTD_TL.xml").rename(target / f"S2A_OPER_MTD_{granule}.xml")
        for image in (target / "IMG_DATA").iterdir():
            image.rename(image.with_name(f"S2A_OPER_MSI_{granule}_{image.name[-7:]}"))
        text = (compact / "MTD_MSIL1C.xml").read_text().replace(f"{spec.name}.SAFE", old.name)
        (old / f"{stem.format('MTD_SAFL1C')}.xml").write_text(text)
    out = tmp_path / "out"
    code, text = cot_command("ingest", archive, "--out", out)
    assert (code, "1 done, 0 skipped, 0 failed, 9,216 rows" in text) == (0, True), text
    assert scene_of(out).valid_pixels == 96 * 96
    assert scene_of(out).sources == [str(old)] * 2
    (image,) = old.rglob("*152456*_B03.jp2")
    image.write_bytes(b"damaged")
    code, text = cot_command("ingest", archive, "--out", tmp_path / "other")
    assert (code, "1 done, 0 skipped, 1 failed" in text) == (1, True), text
    assert scene_of(tmp_path / "other").valid_pixels == ROWS_SOUTH


def test_a_scene_lies_at_the_date_on_which_its_tile_was_sensed(
    tmp_path: Path, archive: Path, model: Path, cot_command: Command
) -> None:
    """Also when an earlier version has put it elsewhere: nothing stays there."""
    start = datetime(2026, 1, 2, 23, 57, 39, tzinfo=UTC)
    after = timedelta(minutes=7, seconds=32)
    spec = replace(SPEC, sensing_time=start, generation_time=start + timedelta(hours=2))
    product = part(archive, (0, 1), 0.3, spec)
    out, options = tmp_path / "out", ["--model", model, "--mask-above", 50]
    assert cot_command("run", archive, "--out", out, *options)[0] == 0
    assert dates(out) == {"date=2026-01-02"}
    shutil.rmtree(product)
    part(archive, (0, 1), 0.3, replace(spec, sensed_after=after))
    assert cot_command("run", archive, "--out", out)[0] == 0
    assert dates(out) == {"date=2026-01-03"}
    scene = scene_of(out)
    assert (scene.sensing_time, scene.datatake_start) == (start + after, start)
    (item,) = (out / "products").rglob("item.json")
    assert json.loads(item.read_text())["properties"]["datetime"] == "2026-01-03T00:05:11Z"
    assert cot_command("verify", out)[0] == 0
    assert "would be removed: files 0" in cot_command("vacuum", out, "--dry-run")[1]


def dates(out: Path) -> set[str]:
    """Date folders that hold files."""
    files = [path for path in out.rglob("tile=*/date=*/**/*") if path.is_file()]
    return {part for path in files for part in path.parts if part.startswith("date=")}
