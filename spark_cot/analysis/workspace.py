"""A workspace as analysts see it: which scenes there are, and their rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date as Date  # noqa: N812 - `date` is an argument
from pathlib import Path

import pyarrow as pa

from spark_cot.analysis.rows import FOLDERS, SceneRows, in_words, listed
from spark_cot.errors import SetupError, TableError, WorkspaceError
from spark_cot.grid import Grid, Window
from spark_cot.plan.select import Selection
from spark_cot.storage import find, path_of
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT, MASKED, PIXELS, Table
from spark_cot.tables.workspace import Workspace

Several = str | Iterable[str] | None
Bounds = tuple[float, float, float, float]


def open_workspace(path: str | Path) -> WorkspaceReader:
    """Open a workspace to read from it.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that ``spark-cot run --out`` wrote, or its ``s3://bucket/...`` URL.

    Returns
    -------
    WorkspaceReader
        With the scene index as it is now; open again to see what has come since.

    Raises
    ------
    WorkspaceError
        There is no workspace, or it is of another format version.
    TableError
        A table in it has another schema.
    SetupError
        The URL cannot be reached.

    Examples
    --------
    >>> import spark_cot
    >>> workspace = spark_cot.open_workspace("workspace")
    >>> image = workspace.cot(tile="31TCJ", date="2024-03-05").xarray()
    """
    workspace = Workspace.open(path_of(path))
    scenes = workspace.scene_table().sort_by([("tile", "ascending"), ("sensing_time", "ascending")])
    return WorkspaceReader(workspace, scenes, tuple(map(SceneRecord.from_row, scenes.to_pylist())))


@dataclass(frozen=True, repr=False)
class WorkspaceReader:
    """The tables of a workspace; `open_workspace` makes it.

    Attributes
    ----------
    workspace : Workspace
        Where the files lie.
    scenes : pyarrow.Table
        The scene index, a row per scene by tile and sensing time: orbit, baseline, grid, footprint,
        source, cover by class; ``.to_pandas()`` gives a DataFrame.
    records : tuple[SceneRecord, ...]
        The same as objects, without what is known of the product.
    """

    workspace: Workspace
    scenes: pa.Table
    records: tuple[SceneRecord, ...]

    def __repr__(self) -> str:
        where = f"workspace {self.workspace.root} at {self.resolution} m"
        return f"<{where}: {in_words(self.records)}>"

    @property
    def resolution(self) -> int:
        """Pixel size of all scenes, metres."""
        return self.workspace.resolution

    @property
    def tiles(self) -> list[str]:
        """MGRS tiles that have scenes, sorted."""
        return sorted({record.tile for record in self.records})

    @property
    def dates(self) -> list[str]:
        """Sensing dates, ``YYYY-MM-DD`` (UTC), sorted; those of one tile are `dates_of`."""
        return sorted({record.date for record in self.records})

    def dates_of(self, tile: str) -> list[str]:
        """Sensing dates of one tile, ``YYYY-MM-DD`` (UTC), sorted; none if it has no scene."""
        selection = Selection.parse([tile])
        return sorted({record.date for record in self.records if selection.takes(record)})

    def cot(
        self,
        tile: Several = None,
        date: str | Date | None = None,
        scene: Several = None,
        columns: Several = None,
        bounds: Bounds | None = None,
    ) -> SceneRows:
        """Rows of the COT table: thickness, its uncertainty and class of every valid pixel.

        Parameters
        ----------
        tile : str or several, optional
            MGRS tiles, such as ``31TCJ``; by default all.
        date : str or datetime.date, optional
            Sensing dates (UTC): ``2024-03-05``, ``FROM:TO`` with both included, ``FROM:``, ``:TO``.
        scene : str or several, optional
            Scene ids.
        columns : str or several, optional
            Columns in the order wanted, ``tile`` and ``date`` among them; by default all.
        bounds : (left, bottom, right, top), optional
            Metres in the CRS of the tile; pixels whose centre lies inside. Needs scenes of one
            tile, and reads the row groups alone that may hold such pixels.

        Returns
        -------
        SceneRows
            Scenes that have a file in the table; nothing is read yet.

        Raises
        ------
        WorkspaceError
            No scene is selected, a list is empty, or ``bounds`` meet no pixel or several tiles.
        TableError
            The table has no such column.
        SetupError
            ``date`` has another form.
        """
        return self._rows(COT, tile, date, scene, columns, bounds)

    def pixels(
        self,
        tile: Several = None,
        date: str | Date | None = None,
        scene: Several = None,
        columns: Several = None,
        bounds: Bounds | None = None,
    ) -> SceneRows:
        """Rows of the pixel table: 13 TOA reflectances and the angles; arguments as in `cot`."""
        return self._rows(PIXELS, tile, date, scene, columns, bounds)

    def masked(
        self,
        tile: Several = None,
        date: str | Date | None = None,
        scene: Several = None,
        columns: Several = None,
        bounds: Bounds | None = None,
    ) -> SceneRows:
        """Rows of the table of thickness-masked reflectance; arguments as in `cot`.

        Reflectance and thickness side by side, of the pixels with at most the COT that
        ``--mask-above`` said.
        """
        return self._rows(MASKED, tile, date, scene, columns, bounds)

    def _rows(
        self,
        table: Table,
        tile: Several,
        date: str | Date | None,
        scene: Several,
        columns: Several,
        bounds: Bounds | None,
    ) -> SceneRows:
        selection = Selection.parse(_several("tile", tile), _dates(date), _several("scene", scene))
        scenes = self._scenes(table, selection)
        rows = SceneRows(table, self.workspace, scenes, _columns(table, columns))
        return replace(rows, window=_window(rows.grid, bounds)) if bounds else rows

    def _scenes(self, table: Table, selection: Selection) -> tuple[SceneRecord, ...]:
        """Selected scenes that have a file in the table."""
        where = str(self.workspace.root)
        selected = [record for record in self.records if selection.takes(record)]
        if not selected:
            cure = f"It holds {in_words(self.records)}; `spark-cot ingest` adds scenes"
            raise WorkspaceError(f"no scene has {_asked(selection)}", where, cure)
        folder = self.workspace.root / table.name
        tiles = {record.tile for record in selected}
        files = [file for tile in tiles for file in find(folder / f"tile={tile}", "*.parquet")]
        present = {file.stem for file in files}
        found = tuple(record for record in selected if record.scene_id in present)
        if not found:
            raise WorkspaceError(
                f"none of the selected scenes, {in_words(selected)}, is in the table {table.name}",
                where,
                f"`{table.maker}` makes its rows",
            )
        return found


def _several(argument: str, names: Several) -> tuple[str, ...]:
    """One name, several, or none for all; an empty list is refused, since none means all."""
    found = (names,) if isinstance(names, str) else tuple(names or ())
    if names is not None and not found:
        raise WorkspaceError("is empty and selects nothing", argument, "Leave it out to have all")
    return found


def _dates(date: str | Date | None) -> str | None:
    text = f"{date:%Y-%m-%d}" if isinstance(date, Date) else date
    try:
        Selection.parse(dates=text)
    except SetupError as error:
        raise SetupError(error.what, "date", error.cure) from None
    return text


def _columns(table: Table, columns: Several) -> tuple[str, ...]:
    present = [column.name for column in (*table.columns, *FOLDERS)]
    if columns is None:
        return tuple(present)
    asked = tuple(dict.fromkeys(_several("columns", columns)))
    unknown = [name for name in asked if name not in present]
    if unknown:
        raise TableError(
            f"has no columns {unknown}", f"table {table.name}", f"There are {', '.join(present)}"
        )
    return asked


def _window(grid: Grid, bounds: Bounds) -> Window:
    """Rectangle of the pixels whose centre lies within ``bounds``."""
    left, bottom, right, top = bounds
    ny, nx = grid.shape
    first_row, last_row = _span((grid.top - top), (grid.top - bottom), grid.resolution, ny)
    first_col, last_col = _span((left - grid.left), (right - grid.left), grid.resolution, nx)
    if last_row < first_row or last_col < first_col:
        raise WorkspaceError(
            f"no pixel centre lies within bounds (left, bottom, right, top) = {bounds}",
            cure=f"The scenes' grid has bounds {grid.bounds} in {grid.crs}",
        )
    return Window(first_row, first_col, last_row - first_row + 1, last_col - first_col + 1)


def _span(near: float, far: float, resolution: int, count: int) -> tuple[int, int]:
    """First and last of ``count`` pixels whose centre lies between two distances from the edge."""
    first, last = math.ceil(near / resolution - 0.5), math.floor(far / resolution - 0.5)
    return max(first, 0), min(last, count - 1)


def _asked(selection: Selection) -> str:
    """What a selection asks for, in words."""
    parts = [f"tile {listed(selection.tiles)}"] if selection.tiles else []
    if selection.first or selection.last:
        parts.append(f"date {selection.first or ''}:{selection.last or ''}")
    parts += [f"scene id {listed(selection.scene_ids)}"] if selection.scene_ids else []
    return " and ".join(parts) or "been ingested yet"
