"""Rows of selected scenes of one table, read when asked for and in the form asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_cot.analysis.cube import common_grid, dataset
from spark_cot.engine.session import spark_session
from spark_cot.grid import Grid, Window
from spark_cot.storage import is_remote, open_parquet, worker_environment
from spark_cot.tables.rowgroups import readable
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import Column, Table
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

#: Columns that the folders' names hold, behind those of the files, where Spark puts them.
FOLDERS: Final = (
    Column("tile", pa.string(), "MGRS tile, such as 31TCJ"),
    Column("date", pa.date32(), "Sensing date (UTC)"),
)

#: Tiles or scenes that a message lists.
_LISTED: Final = 8


@dataclass(frozen=True, repr=False)
class SceneRows:
    """Rows of the pixel, COT or masked table that belong to selected scenes.

    Nothing is read before `arrow`, `pandas`, `xarray`, `spark`, `batches` or ``len`` asks for it.
    Scenes follow each other by tile and sensing time; within a scene rows keep their order in the
    file, which is the same in ``pixels`` and ``cot``. Beside the table's columns there are ``tile``
    (string) and ``date`` (sensing date, UTC; ``datetime64`` in pandas, a date elsewhere).

    Attributes
    ----------
    table : Table
        Schema of the table: names, types, units and scales of its columns.
    workspace : Workspace
    scenes : tuple[SceneRecord, ...]
        Rows of the scene index, by tile and sensing time.
    columns : tuple[str, ...]
        Columns in the order asked for.
    window : Window, optional
        The part of the grid that the rows are restricted to.
    """

    table: Table
    workspace: Workspace
    scenes: tuple[SceneRecord, ...]
    columns: tuple[str, ...]
    window: Window | None = None

    def __repr__(self) -> str:
        part = f", {self.window}" if self.window else ""
        return (
            f"<{self.table.name}: {in_words(self.scenes)}{part}; columns {', '.join(self.columns)}>"
        )

    def __len__(self) -> int:
        """Number of rows, from the files' footers; within a window row and col are read."""
        if self.window:
            return sum(table.num_rows for table in replace(self, columns=("row",)).batches())
        return sum(map(_footer_rows, self.files))

    @property
    def files(self) -> list[Path]:
        """The files to read, one per scene and in the order of ``scenes``."""
        return [self._file(scene) for scene in self.scenes]

    @property
    def tiles(self) -> list[str]:
        """Tiles of the selected scenes, sorted."""
        return sorted({scene.tile for scene in self.scenes})

    @property
    def dates(self) -> list[str]:
        """Sensing dates of the selected scenes, ``YYYY-MM-DD`` (UTC), sorted."""
        return sorted({scene.date for scene in self.scenes})

    @property
    def grid(self) -> Grid:
        """The pixel grid that ``row`` and ``col`` refer to.

        Raises
        ------
        WorkspaceError
            The scenes lie on several tiles or grids.
        """
        grids = (scene.grid for scene in self.scenes)
        return common_grid(grids, self.tiles, str(self.workspace.root))

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows; fields carry description, unit and scale."""
        fields = {column.name: column.field for column in (*self.table.columns, *FOLDERS)}
        return pa.schema([fields[name] for name in self.columns], self.table.arrow.metadata)

    def batches(self) -> Iterator[pa.Table]:
        """The rows as Arrow tables, one per row group: for more rows than memory holds.

        Raises
        ------
        TableError
            A file cannot be read, or is of an older version of the table.
        """
        for scene in self.scenes:
            yield from self._row_groups(scene)

    def arrow(self) -> pa.Table:
        """The rows as one Arrow table of the types of ``schema``; raises like `batches`."""
        return pa.concat_tables([self.schema.empty_table(), *self.batches()])

    def pandas(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame, ``date`` as ``datetime64``; raises like `batches`.

        Bands stay integers: TOA reflectance x 10000.
        """
        frame: pd.DataFrame = self.arrow().to_pandas(
            date_as_object=False, split_blocks=True, self_destruct=True
        )
        return frame

    def xarray(self) -> xr.Dataset:
        """The value columns on the pixel grid, an image per scene.

        Returns
        -------
        xarray.Dataset
            Dimensions ``(y, x)`` for one scene and ``(time, y, x)`` for several, north up.
            Coordinates: ``x``, ``y`` pixel centres (m), ``time`` sensing start (UTC), ``scene_id``,
            and ``spatial_ref`` with CRS and GeoTransform, which rioxarray finds. Reflectance
            (not x 10000), angles, ``cot``, ``cot_std``, ``p_thin`` and ``p_thick`` (percent) are
            float32 with NaN for nodata, ``cloud_class`` and ``outside`` (0 or 1) int8 with 0.

        Raises
        ------
        WorkspaceError
            The scenes lie on several tiles or grids.
        TableError
            There is no value among the columns, or a file cannot be read.
        """
        return dataset(self)

    def spark(self, session: SparkSession | None = None) -> DataFrame:
        """The rows as a Spark DataFrame: columns, types and values those of `arrow`, in no order.

        Files are read by Spark's own Parquet reader, objects of an ``s3://`` workspace through
        Arrow in the executors, one task per scene.

        Parameters
        ----------
        session : pyspark.sql.SparkSession, optional
            By default the running one, or one that uses all cores of this machine.

        Raises
        ------
        SetupError
            There is no Java that Spark runs on.
        TableError
            A file cannot be read, or is of an older version of the table.
        """
        session = session or spark_session("spark_cot")
        if is_remote(self.workspace.root):
            return self._through_arrow(session)
        folder = f"file://{self.workspace.root / self.table.name}"
        for file in self.files:  # Spark gives nulls for columns that a file lacks
            with self._checked(file):
                pass
        files = [f"file://{file}" for file in self.files]
        reader = session.read.schema(self._spark_schema).option("basePath", folder)
        frame = reader.parquet(*files)
        if self.window:
            (first, last), (left, right) = _limits(self.window)
            frame = frame.where(
                f"row between {first} and {last} and col between {left} and {right}"
            )
        return frame.select(*self.columns)

    @property
    def _spark_schema(self) -> StructType:
        return replace(self.table, columns=(*self.table.columns, *FOLDERS)).spark

    def _through_arrow(self, session: SparkSession) -> DataFrame:
        def read(numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number in (n for batch in numbers for n in batch.column(0).to_pylist()):
                for table in self._row_groups(self.scenes[number]):
                    yield from table.to_batches()

        columns = {column.name: column for column in (*self.table.columns, *FOLDERS)}
        chosen = replace(self.table, columns=tuple(columns[name] for name in self.columns))
        session.sparkContext.environment.update(worker_environment())
        count = len(self.scenes)
        return session.range(0, count, 1, count).mapInArrow(read, chosen.spark)

    def _file(self, scene: SceneRecord) -> Path:
        place = {
            "pixels": self.workspace.pixels,
            "cot": self.workspace.cot,
            "masked": self.workspace.masked,
        }
        return place[self.table.name](scene.tile, scene.date, scene.scene_id)

    @contextmanager
    def _checked(self, path: Path) -> Iterator[pq.ParquetFile]:
        """A file of the table, opened; TableError unless it is one of this version."""
        with readable(str(path)), open_parquet(path) as file:
            self.table.check(file.schema_arrow, str(path))
            yield file

    def _row_groups(self, scene: SceneRecord) -> Iterator[pa.Table]:
        """Selected rows and columns of a scene, by row group."""
        path = self._file(scene)
        folders = {column.name for column in FOLDERS}
        stored = [name for name in self.columns if name not in folders]
        needed = dict.fromkeys([*stored, "row", "col"] if self.window else stored or ["row"])
        with self._checked(path) as file:
            for ordinal in range(file.num_row_groups):
                if self.window and not _meets(file.metadata.row_group(ordinal), self.window):
                    continue
                rows = file.read_row_group(ordinal, list(needed))
                yield self._dressed(_within(rows, self.window) if self.window else rows, scene)

    def _dressed(self, rows: pa.Table, scene: SceneRecord) -> pa.Table:
        """The rows with the columns asked for, those that the folders hold among them."""
        day = pa.scalar(scene.sensing_time.date(), pa.date32())
        folders: dict[str, Any] = {"tile": pa.scalar(scene.tile), "date": day}
        arrays = [
            pa.repeat(folders[name], rows.num_rows) if name in folders else rows.column(name)
            for name in self.columns
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def in_words(scenes: Sequence[SceneRecord]) -> str:
    """How many scenes there are, of which tiles and dates."""
    count = f"{len(scenes)} scene{'' if len(scenes) == 1 else 's'}"
    if not scenes:
        return count
    dates = sorted({scene.date for scene in scenes})
    period = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{count} of {listed(sorted({scene.tile for scene in scenes}))}, {period}"


def listed(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _footer_rows(path: Path) -> int:
    with readable(str(path)), open_parquet(path) as file:
        return int(file.metadata.num_rows)


def _limits(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column."""
    rows, cols = window.slices
    return (rows.start, rows.stop - 1), (cols.start, cols.stop - 1)


def _meets(group: pq.RowGroupMetaData, window: Window) -> bool:
    """Whether the statistics of a row group leave room for pixels of the window."""
    limits = dict(zip(("row", "col"), _limits(window), strict=True))
    for index in range(group.num_columns):
        column = group.column(index)
        found = column.statistics if column.path_in_schema in limits else None
        if found is not None and found.has_min_max:
            first, last = limits[column.path_in_schema]
            if found.max < first or last < found.min:
                return False
    return True


def _within(rows: pa.Table, window: Window) -> pa.Table:
    keep = None
    for name, (first, last) in zip(("row", "col"), _limits(window), strict=True):
        column = rows.column(name)
        inside = pc.and_(pc.greater_equal(column, first), pc.less_equal(column, last))
        keep = inside if keep is None else pc.and_(keep, inside)
    return rows.filter(keep)
