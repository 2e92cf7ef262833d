import re
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from spark_cot.errors import TableError, WorkspaceError
from spark_cot.grid import Grid
from spark_cot.products import cog, rasters
from spark_cot.products.cog import write_cog

GRID = Grid("EPSG:32631", 300_000.0, 4_900_020.0, 20, (1100, 700))
COT = np.random.default_rng(1).gamma(0.5, 2.0, GRID.shape).astype(np.float32)
COT[:300, :200] = np.nan
CODES = np.where(np.isnan(COT), 0, 1 + (COT > 0.75)).astype(np.uint8)


def test_a_cog_is_valid_and_holds_the_values(tmp_path):
    path = tmp_path / "cot.tif"
    write_cog(path, rasters.COT, [COT], GRID, {"MODEL": "m"})
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), COT)
        assert np.isnan(dataset.nodata)
        assert dataset.transform == GRID.transform
        assert dataset.crs.to_string() == "EPSG:32631"
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.descriptions == rasters.COT.bands
        assert dataset.units == ("1",)
        assert dataset.tags()["MODEL"] == "m"
    assert [entry.name for entry in tmp_path.iterdir()] == ["cot.tif"]


def test_averaged_overviews_leave_nodata_out(tmp_path):
    constant = np.full(GRID.shape, 3.0, np.float32)
    constant[np.random.default_rng(2).random(GRID.shape) < 0.6] = np.nan
    constant[:512, :512] = np.nan
    write_cog(tmp_path / "cot.tif", rasters.COT, [constant], GRID)
    with rasterio.open(tmp_path / "cot.tif", overview_level=0) as overview:
        values = overview.read(1)
    assert np.isnan(values[:255, :255]).all()
    assert set(np.unique(values[~np.isnan(values)])) == {3.0}
    assert np.count_nonzero(~np.isnan(values)) > 0.8 * (values.size - 256 * 256)


def test_overviews_of_classes_hold_the_most_frequent_class(tmp_path):
    codes = np.tile(np.array([[1, 1], [1, 3]], np.uint8), (550, 350))
    write_cog(tmp_path / "class.tif", rasters.CLOUD_CLASS, [codes], GRID)
    with rasterio.open(tmp_path / "class.tif", overview_level=0) as overview:
        assert set(np.unique(overview.read(1))) == {1}


def test_classes_carry_their_colours(tmp_path):
    write_cog(tmp_path / "class.tif", rasters.CLOUD_CLASS, [CODES], GRID)
    assert cog_validate(tmp_path / "class.tif", strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "class.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), CODES)
        assert dataset.nodata == 0
        colours = dataset.colormap(1)
    assert colours[3][:3] == tuple(bytes.fromhex("F5F5F5"))
    assert len({colours[code] for code in range(4)}) == 4


def test_bands_are_taken_one_at_a_time(tmp_path):
    small = replace(GRID, shape=(40, 30))
    bands = (np.full(small.shape, 100 * number, np.int16) for number in range(13))
    write_cog(tmp_path / "masked.tif", rasters.MASKED, bands, small)
    with rasterio.open(tmp_path / "masked.tif") as dataset:
        assert dataset.descriptions[8] == "B8A"
        assert dataset.scales == (1e-4,) * 13
        assert dataset.read()[:, 0, 0].tolist() == [100 * number for number in range(13)]


def test_equal_input_gives_equal_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        write_cog(tmp_path / name, rasters.COT, [COT], GRID)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([COT.astype(np.float64)], "band 1 is float64 .* expected float32"),
        ([COT[1:]], r"shape \(1099, 700\), expected float32 of shape \(1100, 700\)"),
        ([], "0 bands given, expected 1"),
    ],
)
def test_bands_that_do_not_fit_are_named(tmp_path, bands, message):
    with pytest.raises(TableError, match=message):
        write_cog(tmp_path / "cot.tif", rasters.COT, bands, GRID)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_reads_back_differently_never_appears(tmp_path, monkeypatch):
    """What a disk that fills up at the last block leaves behind: GDAL reports no error then."""
    copy = cog.rasterio.shutil.copy

    def cut_short(source, target, **options):
        copy(source, target, **options)
        with target.open("r+b") as file:
            file.truncate(target.stat().st_size - 20_000)

    monkeypatch.setattr(cog.rasterio.shutil, "copy", cut_short)
    with pytest.raises(WorkspaceError, match="not full, then run again"):
        write_cog(tmp_path / "cot.tif", rasters.COT, [COT], GRID)
    assert list(tmp_path.iterdir()) == []


def test_other_pixels_than_those_written_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cog, "_read_back", lambda path, grid: [0])
    with pytest.raises(WorkspaceError, match="read back differ"):
        write_cog(tmp_path / "cot.tif", rasters.COT, [COT], GRID)
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "cot.tif"
    path.write_bytes(b"old")
    with pytest.raises(TableError, match="more than 1 bands given"):
        write_cog(path, rasters.COT, [COT, COT], GRID)
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_a_file_has_a_cure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match=re.escape("cannot be written: ")):
        write_cog(tmp_path / "file" / "cot.tif", rasters.COT, [COT], GRID)
