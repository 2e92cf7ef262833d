import errno
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from spark_cot.commit.files import record_of
from spark_cot.errors import TableError, WorkspaceError
from spark_cot.products import scene
from spark_cot.products.scene import SceneProduct, write_scene_product
from spark_cot.products.stac import timeless

COGS = ("cot", "cot_std", "cloud_probability", "cloud_class", "outside", "reflectance_masked")
FILES = {*(f"{name}.tif" for name in COGS), "quicklook.png", "item.json"}


@pytest.fixture
def write(workspace, record, arrays, bands, provenance):
    def write(**changes):
        inputs = {"arrays": arrays, "provenance": provenance} | changes
        return write_scene_product(workspace, record, reflectance=bands.__getitem__, **inputs)

    return write


@pytest.fixture
def folder(workspace, record) -> Path:
    return workspace.product(record.tile, record.date, record.scene_id)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_product_is_complete_and_valid(write, folder, arrays):
    product = write()
    assert product.folder == folder
    assert {path.name for path in folder.iterdir()} == FILES
    assert product.size == sum(path.stat().st_size for path in folder.glob("*[!n]"))
    for name in COGS:
        assert cog_validate(folder / f"{name}.tif", strict=True)[0]
    with rasterio.open(folder / "cloud_class.tif") as dataset:
        assert np.bincount(dataset.read(1).ravel()).tolist() == list(product.counts.values())
        assert dataset.tags()["CLASS_2"] == "thin"
        assert dataset.tags()["THIN_FROM"] == "0.75"


def test_probabilities_are_two_bands_of_percent(write, folder, arrays):
    write()
    with rasterio.open(folder / "cloud_probability.tif") as dataset:
        assert dataset.dtypes == ("uint8", "uint8")
        assert dataset.nodatavals == (255, 255)
        assert dataset.units == ("%", "%")
        assert [name.split()[-2] for name in dataset.descriptions] == ["thin", "thick"]
        assert (dataset.tags()["THIN_FROM"], dataset.tags()["THICK_FROM"]) == ("0.75", "1.25")
        thin, thick = dataset.read(masked=True)
    np.testing.assert_array_equal(thin.data, arrays.p_thin)
    np.testing.assert_array_equal(thick.data, arrays.p_thick)
    np.testing.assert_array_equal(thin.mask, np.isnan(arrays.cot))
    assert (thin.max(), thick.max()) == (100, 100)


def test_outside_says_where_and_how_much(write, folder, arrays):
    product = write()
    with rasterio.open(folder / "outside.tif") as dataset:
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), 255)
        assert dataset.tags()["CLASS_1"] == "outside"
        flags = dataset.read(1, masked=True)
        assert dataset.colormap(1)[255][3] == 0
    np.testing.assert_array_equal(flags.mask, np.isnan(arrays.cot))
    assert set(flags.compressed()) == {0, 1}
    assert product.outside == pytest.approx(100 * flags.mean()) == pytest.approx(10, abs=0.1)


def test_masked_reflectance_keeps_what_is_thin_enough(write, folder, arrays, bands):
    write()
    with rasterio.open(folder / "reflectance_masked.tif") as dataset:
        assert dataset.tags()["MASK_ABOVE_COT"] == "1.25"
        green = dataset.read(3)
    kept = arrays.cot <= 1.25
    np.testing.assert_array_equal(green[kept], bands["B03"][kept])
    assert (green[~kept] == -32_768).all()


def timed(write, hour: int) -> SceneProduct:
    return write(created=datetime(2026, 3, 6, hour, tzinfo=UTC))


def test_equal_input_gives_equal_bytes_but_for_the_time(write, folder):
    timed(write, 1)
    first = content(folder)
    shutil.rmtree(folder)
    timed(write, 2)
    second = content(folder)
    assert b'"created": "2026-03-06T02:00:00Z"' in second["item.json"]
    assert first["item.json"] != second["item.json"]
    for place in (first, second):
        place["item.json"] = timeless(place["item.json"])
    assert first == second


def test_a_late_twin_takes_nothing_back(write, folder):
    timed(write, 1)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    late = timed(write, 2)
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before
    item = folder / "item.json"
    assert b"T01:00:00Z" in item.read_bytes()
    assert late.files["item.json"] == record_of(item)
    (folder / "cot.tif").unlink()
    assert timed(write, 3).files["item.json"] == record_of(item)
    assert b"T03:00:00Z" in item.read_bytes()
    assert {path.name for path in folder.iterdir()} == FILES


@pytest.mark.parametrize("damage", [b"", b"{", b'{"created": ""}', b'{"properties": []}'])
def test_a_damaged_item_is_replaced(write, folder, damage):
    timed(write, 1)
    sound = (folder / "item.json").read_bytes()
    (folder / "item.json").write_bytes(damage)
    timed(write, 1)
    assert (folder / "item.json").read_bytes() == sound


def test_a_product_without_mask_leaves_no_older_one(write, folder, provenance):
    write()
    write(provenance=replace(provenance, mask_above=None))
    assert {path.name for path in folder.iterdir()} == FILES - {"reflectance_masked.tif"}
    item = json.loads((folder / "item.json").read_text())
    assert "reflectance_masked" not in item["assets"]
    assert "spark_cot:mask_above" not in item["properties"]


@pytest.mark.parametrize("step", ["write_cog", "write_quicklook", "scene_item"])
def test_a_failure_while_making_leaves_the_old_product(write, folder, workspace, monkeypatch, step):
    write()
    before = content(folder)
    monkeypatch.setattr(scene, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write()
    assert content(folder) == before
    assert list((workspace.parts / "products").iterdir()) == []


@pytest.mark.parametrize("survived", range(len(FILES)))
def test_a_kill_amid_the_commit_leaves_no_item(tmp_path, monkeypatch, survived):
    """Every rename is a place to die at; the last one is the item's."""
    made, folder = tmp_path / "made", tmp_path / "product"
    for place, state in ((made, "new"), (folder, "old")):
        place.mkdir()
        for name in FILES - {"item.json"} if place is made else FILES:
            (place / name).write_text(state)
    rename, renamed = Path.replace, []

    def die(self, target):
        renamed.append(target)
        if len(renamed) > survived:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", die)
        scene._commit(made, folder, "new")
    assert not (folder / "item.json").exists()


def test_a_full_disk_has_cause_and_cure(write, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scene, "write_quicklook", full)
    with pytest.raises(WorkspaceError, match=r"No space left on device\. Free space") as caught:
        write()
    assert "run again" in caught.value.cure
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cot", lambda a: a[1:], r"cot is float32 of shape \(129, 96\), expected float32"),
        ("cot_std", lambda a: a.astype(np.float64), "cot_std is float64 .* expected float32"),
        ("cloud_class", lambda a: np.maximum(a, 1), "0 pixels have class nodata, .* expected the"),
        ("p_thick", lambda a: np.minimum(a, 100), "class nodata, 0 no p_thick, expected the same"),
        ("outside", lambda a: np.minimum(a, 1), "class nodata, 0 no outside, .*`spark-cot apply`"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(write, folder, arrays, name, change, message):
    with pytest.raises(TableError, match=message):
        write(arrays=replace(arrays, **{name: change(getattr(arrays, name))}))
    assert not folder.exists()
