"""The catalogue of the archive: unchanged products are not opened."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.engine.survey import survey
from spark_cot.plan.sources import Granules, read_catalogue, signature, write_catalogue
from spark_cot.safe import ProductPath, discover
from spark_cot.tables.workspace import Workspace


def product(archive: Path, satellite: str) -> Path:
    (found,) = archive.glob(f"{satellite}*")
    return found


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "product metadata": lambda p: touch(p / "MTD_MSIL1C.xml"),
    "granule metadata": lambda p: touch(next(p.rglob("MTD_TL.xml"))),
    "image time": lambda p: touch(next(p.rglob("*_B03.jp2"))),
    "image size": lambda p: os.truncate(next(p.rglob("*_B12.jp2")), 100),
    "image missing": lambda p: next(p.rglob("*_B01.jp2")).unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_stamp_changes_with_every_file_scenes_are_made_from(archive: Path, what: str) -> None:
    folder = product(archive, "S2A")
    before = signature(str(folder))
    assert len(before) == 16
    assert signature(str(folder)) == before
    CHANGES[what](folder)
    assert signature(str(folder)) != before


def test_a_stamp_does_not_change_with_other_files(archive: Path) -> None:
    folder = product(archive, "S2A")
    before = signature(str(folder))
    (next(folder.rglob("IMG_DATA")) / "preview.aux.xml").write_text("<PAMDataset/>")
    assert signature(str(folder)) == before


def test_a_zip_file_is_known_by_size_and_time(archive: Path) -> None:
    file = product(archive, "S2B")
    before = signature(str(file))
    touch(file)
    assert signature(str(file)) != before


def test_what_is_not_there_has_no_stamp(tmp_path: Path) -> None:
    assert signature(str(tmp_path / "S2A_MSIL1C_X.SAFE")) == ""


def test_only_changed_and_broken_products_are_opened_again(
    spark, archive: Path, tmp_path: Path
) -> None:
    workspace = Workspace.create(tmp_path / "out", 20)
    broken = ProductPath(str(archive / "S2A_MSIL1C_BROKEN.zip"))
    Path(broken.path).write_bytes(b"no zip")
    first = survey(spark, discover(archive).products, read_catalogue(workspace))
    assert (len(first.granules), len(first.unreadable), first.opened) == (3, 1, 4)
    write_catalogue(workspace, first.lasting)
    assert sorted(read_catalogue(workspace), key=str) == sorted(first.granules, key=str)
    assert [g.scene_id for g in first.granules.by_scene()] == sorted(
        granule.scene_id for granule in first.granules
    )
    touch(next(product(archive, "S2C").rglob("*_B03.jp2")))
    second = survey(spark, discover(archive).products, read_catalogue(workspace))
    assert second.opened == 2
    prints = [{g.scene_id: g.fingerprint for g in found.granules} for found in (first, second)]
    changed = {name for name in prints[0] if prints[0][name] != prints[1][name]}
    assert changed == {"S2C_T31TCJ_20240315T104819"}


@pytest.mark.parametrize("state", ["empty", "foreign bytes", "cut short", "a folder"])
def test_a_catalogue_that_cannot_be_read_is_an_empty_one(
    tmp_path: Path, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace.create(tmp_path / "out", 20)
    path = workspace.ledger / "sources.parquet"
    write_catalogue(workspace, Granules())
    content = path.read_bytes()
    path.unlink()
    if state == "a folder":
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "foreign bytes": b"{}", "cut short": content[:-20]}[state])
    assert len(read_catalogue(workspace)) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "opened again" in caplog.text


def test_a_catalogue_of_another_version_is_an_empty_one(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "out", 20)
    pq.write_table(pa.table({"source": ["a"], "stamp": [1]}), workspace.ledger / "sources.parquet")
    assert len(read_catalogue(workspace)) == 0


def test_a_missing_catalogue_is_an_empty_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(read_catalogue(Workspace.create(tmp_path / "out", 20))) == 0
    assert not caplog.records
