"""Selected rows as xarray Datasets, against the COGs of the scene products."""

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

import spark_cot
from spark_cot.analysis.workspace import WorkspaceReader
from spark_cot.errors import TableError, WorkspaceError
from spark_cot.msi import ANGLES, BAND_IDS

xr = pytest.importorskip("xarray", reason="xarray comes with the newest environment")

FIRST = "S2A_T31TCJ_20240305T104819"
LAST = "S2C_T31TCJ_20240315T104819"


def cog(workspace: WorkspaceReader, scene_id: str, name: str) -> Path:
    (record,) = [r for r in workspace.records if r.scene_id == scene_id]
    return workspace.workspace.product(record.tile, record.date, scene_id) / f"{name}.tif"


@pytest.mark.parametrize(
    ("name", "raster", "band", "nodata", "dtype"),
    [
        ("cot", "cot", 1, np.nan, np.float32),
        ("cot_std", "cot_std", 1, np.nan, np.float32),
        ("p_thin", "cloud_probability", 1, np.nan, np.float32),
        ("p_thick", "cloud_probability", 2, np.nan, np.float32),
        ("cloud_class", "cloud_class", 1, 0, np.int8),
        ("outside", "outside", 1, 0, np.int8),
    ],
)
def test_one_scene_is_the_image_of_its_cog(
    name: str, raster: str, band: int, nodata: float, dtype: type, workspace: WorkspaceReader
) -> None:
    image = workspace.cot(scene=FIRST).xarray()[name]
    assert image.dims == ("y", "x")
    assert image.dtype == dtype
    with rasterio.open(cog(workspace, FIRST, raster)) as file:
        expected = file.read(band, masked=True).astype(np.float64).filled(nodata)
        assert np.array_equal(image.to_numpy().astype(np.float64), expected, equal_nan=True)
        x, y = rasterio.transform.xy(file.transform, [0, 0, 95], [0, 95, 0])
    found = image.x.to_numpy(), image.y.to_numpy()
    assert [found[0][0], found[0][95], found[0][0]] == list(x)
    assert [found[1][0], found[1][0], found[1][95]] == list(y)


def test_several_scenes_are_stacked_by_sensing_time(workspace: WorkspaceReader) -> None:
    cube = workspace.cot(tile="31TCJ").xarray()
    assert cube.cot.dims == ("time", "y", "x")
    assert cube.cot.shape == (2, 96, 96)
    assert list(cube.scene_id.to_numpy()) == [FIRST, LAST]
    times = cube.time.to_numpy().astype("datetime64[s]").astype(datetime)
    assert [t.isoformat() for t in times] == ["2024-03-05T10:48:19", "2024-03-15T10:48:19"]
    for number, scene in enumerate((FIRST, LAST)):
        xr.testing.assert_identical(cube.isel(time=number), workspace.cot(scene=scene).xarray())
    assert cube.sel(time="2024-03-15").sizes["time"] == 1


def test_masked_reflectance_is_that_of_the_cog(workspace: WorkspaceReader) -> None:
    cube = workspace.masked(scene=LAST, columns=BAND_IDS).xarray()
    assert list(cube.data_vars) == list(BAND_IDS)
    with rasterio.open(cog(workspace, LAST, "reflectance_masked")) as file:
        stored = file.read(masked=True)
        expected = np.where(stored.mask, np.nan, stored.data / np.float32(10_000))
    found = np.stack([cube[band].to_numpy() for band in BAND_IDS])
    assert np.array_equal(found, expected.astype(np.float32), equal_nan=True)
    assert 0 < np.isfinite(found).mean() < 1


def test_variables_say_what_they_are(workspace: WorkspaceReader) -> None:
    cube = workspace.pixels(scene=FIRST).xarray()
    assert list(cube.data_vars) == [*BAND_IDS, *ANGLES]
    assert cube.attrs["tile"] == "31TCJ"
    assert str(cube.scene_id.to_numpy()) == FIRST
    assert cube.B04.attrs["units"] == "1"
    assert "664.6 nm" in cube.B04.attrs["long_name"]
    assert cube.sun_zenith.attrs["units"] == "degree"
    assert cube.x.attrs["standard_name"] == "projection_x_coordinate"
    classes = workspace.cot(scene=FIRST, columns="cloud_class").xarray().cloud_class
    assert classes.attrs["flag_meanings"].split() == ["nodata", "clear", "thin", "thick"]
    assert classes.attrs["flag_values"].tolist() == [0, 1, 2, 3]
    assert classes.attrs["flag_values"].dtype == classes.dtype
    chances = workspace.cot(scene=FIRST, columns=["p_thin", "p_thick"]).xarray()
    assert {chances[name].attrs["units"] for name in chances} == {"%"}


def test_bounds_give_the_part_of_the_image(workspace: WorkspaceReader) -> None:
    rows = workspace.cot(tile="31TCJ")
    whole, grid = rows.xarray(), rows.grid
    bounds = (grid.left + 40, grid.top - 900, grid.left + 400, grid.top - 100)
    part = workspace.cot(tile="31TCJ", bounds=bounds).xarray()
    assert part.sizes == {"time": 2, "y": 40, "x": 18}
    expected = whole.isel(y=slice(5, 45), x=slice(2, 20))
    xr.testing.assert_equal(part.drop_vars("spatial_ref"), expected.drop_vars("spatial_ref"))
    transform = f"{grid.left + 40} 20 0 {grid.top - 100} 0 -20"
    assert part.spatial_ref.attrs["GeoTransform"] == transform


def test_rioxarray_finds_crs_and_transform(workspace: WorkspaceReader, tmp_path: Path) -> None:
    pytest.importorskip("rioxarray", reason="rioxarray is not installed")
    grid = workspace.cot(scene=FIRST).grid
    cube = workspace.cot(tile="31TCJ").xarray()
    for data in (cube, cube.cot, cube.isel(time=0).cot_std):
        assert data.rio.crs == rasterio.crs.CRS.from_string(grid.crs)
        assert data.rio.transform() == grid.transform
        assert data.rio.bounds() == grid.bounds
    image = cube.isel(time=0).cot
    image.rio.to_raster(tmp_path / "cot.tif")
    with (
        rasterio.open(tmp_path / "cot.tif") as written,
        rasterio.open(cog(workspace, FIRST, "cot")) as file,
    ):
        assert written.crs == file.crs
        assert written.transform == file.transform
        assert np.array_equal(written.read(1), file.read(1), equal_nan=True)
    warped = cube.isel(time=0).rio.reproject("EPSG:4326")
    assert set(warped.data_vars) == set(cube.data_vars)
    square = image.rio.clip_box(*(grid.left + 200, grid.top - 400, grid.left + 400, grid.top - 200))
    assert square.rio.transform().c == grid.left + 200


def test_the_grid_mapping_is_that_of_cf(workspace: WorkspaceReader) -> None:
    pyproj = pytest.importorskip("pyproj", reason="pyproj is not installed")
    found = workspace.cot(scene=FIRST).xarray().spatial_ref.attrs
    expected = pyproj.CRS.from_user_input(workspace.cot(scene=FIRST).grid.crs).to_cf()
    names = [name for name in expected if name.endswith(("origin", "meridian", "ing"))]
    names = [name for name in names if isinstance(expected[name], float) and name in found]
    assert len(names) == 5
    assert {n: found[n] for n in names} == pytest.approx({n: expected[n] for n in names})
    assert found["grid_mapping_name"] == expected["grid_mapping_name"] == "transverse_mercator"
    assert pyproj.CRS.from_cf(found) == pyproj.CRS.from_cf(expected)


def test_it_survives_netcdf(workspace: WorkspaceReader, tmp_path: Path) -> None:
    cube = workspace.cot(tile="31TCJ").xarray()
    cube.to_netcdf(tmp_path / "cot.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "cot.nc", engine="scipy", decode_coords="all") as read:
        xr.testing.assert_equal(read, cube)
        assert read.cot.encoding["grid_mapping"] == "spatial_ref"
        assert read.p_thin.encoding["dtype"] == np.int8
        assert read.p_thin.encoding["_FillValue"] == -1
        assert read.outside.attrs["flag_meanings"] == "inside outside"
        assert "spatial_ref" in read.coords


def test_tiles_and_grids_that_differ_are_refused(
    workspace: WorkspaceReader, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(WorkspaceError, match=r"tiles 31TCJ, 31TDJ\. Select one tile"):
        workspace.cot().xarray()
    rows = workspace.cot(tile="31TCJ")
    moved = replace(rows.scenes[0], left=rows.scenes[0].left + 20)
    with pytest.raises(WorkspaceError, match="31TCJ lie on different grids"):
        replace(rows, scenes=(moved, rows.scenes[1])).xarray()
    with pytest.raises(TableError, match="hold no values"):
        workspace.cot(scene=FIRST, columns=["row", "tile"]).xarray()


def test_rows_outside_of_the_grid_are_refused(folder: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder, tmp_path / "own"))
    rows = spark_cot.open_workspace(own).cot(scene=FIRST)
    small = replace(rows.scenes[0], rows=50)
    with pytest.raises(TableError, match="rows outside of the scene's grid"):
        replace(rows, scenes=(small,)).xarray()
