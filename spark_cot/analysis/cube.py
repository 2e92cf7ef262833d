"""Rows of scenes as an xarray Dataset on their pixel grid, with CF conventions 1.11.

Source: CF Conventions 1.11, chapter 5.6 and appendix F (grid mappings); GeoTransform as GDAL's
netCDF driver writes it, from which rioxarray reads the transform.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_cot.errors import TableError, WorkspaceError
from spark_cot.grid import Grid, Window
from spark_cot.models.classes import CloudClass
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.tables.schema import COT, PIXELS, Column

if TYPE_CHECKING:
    import xarray as xr

    from spark_cot.analysis.rows import SceneRows

#: Columns of the tables that say where a value belongs; all others are values.
PLACE: Final = ("scene_id", "row", "col", "tile", "date")

_VALUES: Final = {c.name: c for c in (*PIXELS.columns, *COT.columns) if c.name not in PLACE}

#: Values that are codes, and what these mean: int8, with 0 where there is no pixel (rasterio warps
#: no booleans). All others are float32 with NaN, so that means and differences leave nodata out.
_FLAGS: Final = {
    "cloud_class": {code.value: code.style.name for code in CloudClass},
    "outside": {0: "inside", 1: "outside"},
}

#: Quantities that are int8 in the tables, with their nodata there; in files they are so again.
_WHOLE: Final = {
    c.name: np.int8(c.nodata)
    for c in COT.columns
    if c.type == pa.int8() and c.nodata is not None and c.name not in _FLAGS
}

#: Parameters of a transverse Mercator projection in PROJ's words and in those of CF.
_PARAMETERS: Final = {
    "Latitude of natural origin": "latitude_of_projection_origin",
    "Longitude of natural origin": "longitude_of_central_meridian",
    "Scale factor at natural origin": "scale_factor_at_central_meridian",
    "False easting": "false_easting",
    "False northing": "false_northing",
}


def dataset(rows: SceneRows) -> xr.Dataset:
    """The value columns of the selected scenes on their grid; see `SceneRows.xarray`."""
    import xarray as xr

    names = [name for name in rows.columns if name not in PLACE]
    if not names:
        raise TableError(
            f"columns {list(rows.columns)} hold no values to lay out on a grid",
            rows.table.name,
            f"Name some of {[c.name for c in rows.table.columns if c.name not in PLACE]}",
        )
    grid = rows.grid
    window = rows.window or Window(0, 0, *grid.shape)
    shape = (len(rows.scenes), window.height, window.width)
    values = {name: _empty(name, shape) for name in names}
    reading = replace(rows, columns=("row", "col", *names))
    for number, scene in enumerate(rows.scenes):
        here = {name: array[number] for name, array in values.items()}
        for table in replace(reading, scenes=(scene,)).batches():
            _lay_out(table, window, here, scene.scene_id)
    coords = {
        "time": ("time", _times(rows), {"standard_name": "time", "long_name": "sensing start"}),
        "scene_id": ("time", [scene.scene_id for scene in rows.scenes]),
        **axes(grid, window),
    }
    attrs = {"title": rows.table.description, "tile": rows.scenes[0].tile}
    cube = xr.Dataset(variables(("time", "y", "x"), values), coords, attrs)
    return cube if len(rows.scenes) > 1 else cube.squeeze("time")


def axes(grid: Grid, window: Window) -> dict[str, Any]:
    """Coordinates of a part of a grid: ``x`` and ``y`` of pixel centres (m), ``spatial_ref``."""
    left = grid.left + window.col * grid.resolution
    top = grid.top - window.row * grid.resolution
    x = left + (np.arange(window.width) + 0.5) * grid.resolution
    y = top - (np.arange(window.height) + 0.5) * grid.resolution
    transform = f"{left} {grid.resolution} 0 {top} 0 -{grid.resolution}"
    return {
        "x": ("x", x, _axis("x")),
        "y": ("y", y, _axis("y")),
        "spatial_ref": ((), 0, {**grid_mapping(grid.crs), "GeoTransform": transform}),
    }


def _axis(name: str) -> dict[str, str]:
    standard_name = f"projection_{name}_coordinate"
    return {"axis": name.upper(), "standard_name": standard_name, "units": "m"}


def grid_mapping(crs: str) -> dict[str, Any]:
    """Attributes of a CF grid mapping; the parameters are spelled out for transverse Mercator."""
    from rasterio.crs import CRS

    known = CRS.from_user_input(crs)
    wkt = known.to_wkt()
    described = known.to_dict(projjson=True)
    conversion = described.get("conversion", {})
    found: dict[str, Any] = {"crs_wkt": wkt, "spatial_ref": wkt}
    if conversion.get("method", {}).get("name") == "Transverse Mercator":
        found["grid_mapping_name"] = "transverse_mercator"
        found |= {_PARAMETERS[p["name"]]: float(p["value"]) for p in conversion["parameters"]}
    return found


def variables(
    dims: Sequence[Hashable], values: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[Any, ...]]:
    """Variables of a Dataset: dimensions, values, attributes from the schema, encoding."""
    return {
        name: (tuple(dims), _masked(name, array), _attributes(_VALUES[name]), _encoding(name))
        for name, array in values.items()
    }


def _masked(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if name in _FLAGS:
        return values.astype(np.int8, copy=False)
    if name not in _WHOLE:
        return values
    return np.where(values == _WHOLE[name], np.float32(np.nan), values.astype(np.float32))


def _encoding(name: str) -> dict[str, Any]:
    in_files = {"dtype": "int8", "_FillValue": _WHOLE[name]} if name in _WHOLE else {}
    return {"grid_mapping": "spatial_ref", **in_files}


def _attributes(column: Column) -> dict[str, Any]:
    if column.name in _FLAGS:
        codes = _FLAGS[column.name]
        return {
            "long_name": column.description,
            "flag_values": np.array(list(codes), np.int8),
            "flag_meanings": " ".join(codes.values()),
        }
    units = {"deg": "degree"}.get(column.unit, column.unit)
    return {"long_name": column.description, "units": units}


def _empty(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Nodata everywhere."""
    return np.zeros(shape, np.int8) if name in _FLAGS else np.full(shape, np.nan, np.float32)


def _lay_out(table: pa.Table, window: Window, values: dict[str, Any], scene_id: str) -> None:
    """Write the columns of ``table`` to their rows and columns of ``values`` ``(ny, nx)``."""
    row = table.column("row").to_numpy().astype(np.intp) - window.row
    col = table.column("col").to_numpy().astype(np.intp) - window.col
    outside = (row < 0) | (row >= window.height) | (col < 0) | (col >= window.width)
    if outside.any():
        raise TableError(f"has {outside.sum()} rows outside of the scene's grid", scene_id)
    for name, target in values.items():
        column = table.column(name).to_numpy()
        scale = REFLECTANCE_SCALE if name in BAND_IDS else None
        target[row, col] = np.divide(column, scale, dtype=np.float32) if scale else column


def _times(rows: SceneRows) -> NDArray[np.datetime64]:
    times = [scene.sensing_time.replace(tzinfo=None) for scene in rows.scenes]
    return np.array(times, "datetime64[ns]")


def common_grid(grids: Iterable[Grid], tiles: Sequence[str], where: str) -> Grid:
    """The one grid of scenes.

    Raises
    ------
    WorkspaceError
        They lie on several tiles, or on several grids of one tile.
    """
    if len(tiles) > 1:
        raise WorkspaceError(
            f"one pixel grid is needed, the selection has tiles {', '.join(tiles)}",
            where,
            f"Select one tile, such as tile={tiles[0]!r}",
        )
    found = dict.fromkeys(grids)
    if len(found) > 1:
        facts = [f"{g.shape} from ({g.left:g}, {g.top:g})" for g in found]
        raise WorkspaceError(
            f"scenes of {tiles[0]} lie on different grids: {'; '.join(facts)}",
            where,
            "Select one scene, or a part of them that shares a grid",
        )
    return next(iter(found))
