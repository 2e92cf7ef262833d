"""Ingest: Sentinel-2 L1C products into the pixel table and the scene index.

One Spark task decodes one block of one scene into a part file; the task that finds its scene
complete commits it (`commit.parts`). A scene is done again only when its source, the grid or the
way of averaging has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot import __version__
from spark_cot.archive.options import ArchiveOptions, IngestOptions
from spark_cot.archive.settings import at_work
from spark_cot.commit.files import relative
from spark_cot.commit.ledger import Entries, LedgerEntry, Made
from spark_cot.commit.parts import Parts, footer
from spark_cot.engine.attempt import Attempt, Finished
from spark_cot.engine.outcome import Outcome, StageResult, merged
from spark_cot.engine.pipeline import Announce, Stage, unheard, whole_archive
from spark_cot.engine.tasks import check_lock, run_tasks
from spark_cot.errors import ProductError
from spark_cot.grid import Grid, Window
from spark_cot.msi import ANGLES, BAND_IDS
from spark_cot.plan.decide import Configuration, result_key
from spark_cot.plan.sources import Granule
from spark_cot.safe import (
    BlockPixels,
    Downsampling,
    Mosaic,
    Scene,
    blocks,
    check_images,
    common_grid,
    nothing_valid,
    open_scene,
    read_mosaic,
)
from spark_cot.tables.footprints import well_known_text
from spark_cot.tables.outline import Coverage
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import PIXELS
from spark_cot.tables.workspace import SCENE_FOOTER, Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: A row group is one such tile of the grid, 131072 rows where all are valid: small enough for
#: min/max of row and col to prune, large enough for columns to compress.
ROW_GROUP_TILE: Final = (256, 512)

#: Raised when the code gives other pixels than before: every scene is ingested again then.
#: 2: saturated samples are flagged; scenes of several datastrips; time, date and outline.
REVISION: Final = 2

#: Fields of a scene's row that are known when its file is there.
_LATE: Final = ("valid_pixels", "footprint", "ingested_at")

#: Reflectance has no runs for a dictionary to save; plain pages write and read faster.
_DICTIONARY_COLUMNS: Final = ["scene_id", "row", "col", *ANGLES]


@dataclass(frozen=True, slots=True)
class IngestWork:
    """A scene of the archive and the blocks it is read in; sent to every task."""

    workspace: Workspace
    granule: Granule
    downsampling: Downsampling
    windows: tuple[Window, ...]
    parts: Parts
    attempt: Attempt


def ingest(
    spark: SparkSession, options: IngestOptions, announce: Announce = unheard
) -> list[StageResult]:
    """Bring every scene of an archive into a workspace, which is made if missing.

    Parameters
    ----------
    spark : SparkSession
    options : IngestOptions
    announce : callable, optional
        Told the plan.

    Returns
    -------
    list[StageResult]
        Of the ingest, one outcome per scene; failed scenes do not end the archive. None of a dry
        run.

    Raises
    ------
    ProductError
        The archive holds no L1C product.
    WorkspaceError, TableError
        The workspace does not fit, see `at_work`, or another job is at work in it.
    """
    with at_work("ingest", options) as (state, options):
        stages = {"ingest": ingest_stage(spark, state.workspace, options)}
        return whole_archive(spark, state, options.archive, stages, announce, options.dry_run)[1]


def ingest_stage(spark: SparkSession, workspace: Workspace, options: ArchiveOptions) -> Stage:
    """The stage for scenes of an archive."""
    downsampling = options.downsampling or Downsampling.EXACT
    configuration = configuration_of(workspace.resolution, downsampling)
    return Stage(configuration, partial(ingest_scenes, spark, workspace, downsampling))


def configuration_of(resolution: int, downsampling: Downsampling) -> Configuration:
    """What a scene of the pixel table is made of beside the product."""
    return {
        "resolution": resolution,
        "downsampling": downsampling.value,
        "row_group_tile": list(ROW_GROUP_TILE),
        "revision": REVISION,
    }


def ingest_scenes(
    spark: SparkSession,
    workspace: Workspace,
    downsampling: Downsampling,
    granules: Sequence[Granule],
    known: Entries,
) -> list[Outcome]:
    """Bring these scenes, of which the log says what is ``known``, into the workspace."""
    prepare = partial(_prepare_granule, workspace, downsampling)
    given = [(granule, known["ingest"].get(granule.scene_id)) for granule in granules]
    found = run_tasks(spark, "Reading metadata", given, prepare)
    works = [item for item in found if isinstance(item, IngestWork)]
    failed = [item for item in found if isinstance(item, Outcome)]
    tasks = [(work, index) for work in works for index in _largest_first(work.windows)]
    done = merged(run_tasks(spark, "Ingesting blocks", tasks, ingest_block))
    _discard_parts_of_failed(works, done)
    return failed + done


def ingest_block(task: tuple[IngestWork, int]) -> Outcome | None:
    """Decode one block of a scene; commit the scene if that completes it.

    Returns the outcome of the scene once it is known, None while other blocks are missing.
    """
    work, index = task
    return work.attempt.run(partial(_ingest_block, work, index), str(index))


def pixel_rows(block: BlockPixels | Mosaic, scene_id: str, window: Window) -> Iterator[pa.Table]:
    """Rows of the pixel table from a block, one Arrow table per row group tile with any row.

    Parameters
    ----------
    block : BlockPixels or Mosaic
    scene_id : str
    window : Window
        The block's place in the scene grid.
    """
    for tile in window.tiles(*ROW_GROUP_TILE):
        reflectance, valid, angles = block.tile(tile)
        count = int(np.count_nonzero(valid))
        if count:
            row, col = np.nonzero(valid)
            columns = {
                "scene_id": pa.repeat(pa.scalar(scene_id), count),
                "row": (row + tile.row).astype(np.int16),
                "col": (col + tile.col).astype(np.int16),
                **dict(zip(BAND_IDS, reflectance[:, valid], strict=True)),
                **dict(zip(ANGLES, angles[:, valid], strict=True)),
            }
            yield pa.table(columns, schema=PIXELS.arrow)


def _prepare_granule(
    workspace: Workspace,
    downsampling: Downsampling,
    given: tuple[Granule, LedgerEntry | None],
) -> IngestWork | Outcome:
    """The blocks of a scene; its failure if they cannot be known."""
    granule, before = given
    name, configuration = granule.scene_id, configuration_of(workspace.resolution, downsampling)
    key = result_key(granule.input, configuration)
    attempt = Attempt(
        "ingest", name, key, granule.source, before, workspace, granules=granule.strips
    )
    return attempt.begin(partial(_work, workspace, downsampling, granule, attempt), "metadata")


def _work(
    workspace: Workspace, downsampling: Downsampling, granule: Granule, attempt: Attempt
) -> IngestWork:
    name, configuration = granule.scene_id, configuration_of(workspace.resolution, downsampling)
    scenes = _open_unchanged(granule)
    for scene in scenes:
        check_images(scene)
    grid = common_grid(scenes, workspace.resolution)
    windows = tuple(blocks(scenes[0], grid))
    record = _scene_record(granule, scenes, grid)
    made = Made("ingest", attempt.key, granule.input, configuration)
    folder = workspace.parts / "ingest" / name
    target = workspace.pixels(granule.tile, granule.sensing_time.date().isoformat(), name)
    sum_up = partial(_outlined, record, grid)
    return IngestWork(
        workspace=workspace,
        granule=granule,
        downsampling=downsampling,
        windows=windows,
        parts=Parts(folder, attempt.key, len(windows), target, made.footer, sum_up),
        attempt=attempt.of_many_tasks(folder),
    )


def _open_unchanged(granule: Granule) -> list[Scene]:
    """The strips of a scene, as they were when it was planned."""
    scenes = []
    for strip in granule.strips:
        scene = open_scene(strip.ref)
        if scene.fingerprint != strip.fingerprint:
            raise ProductError("changed while it was being read", scene.source, "Run again")
        scenes.append(scene)
    return scenes


def _ingest_block(work: IngestWork, index: int) -> Finished | None:
    scenes = _open_unchanged(work.granule)
    grid = common_grid(scenes, work.workspace.resolution)
    write = partial(_write_block, scenes, grid, work.windows[index], work.downsampling)
    work.parts.write(index, write)
    joined = work.parts.joined()
    if joined is not None and joined.rows == 0:
        raise nothing_valid(scenes[0])
    if joined is not None:
        check_lock()
        work.attempt.take_back(work.parts.target)
    committed = work.parts.commit(joined)
    if committed is None:
        return None
    facts = joined.metadata if joined is not None else footer(work.parts.target)
    late = {"valid_pixels": committed.rows, "ingested_at": datetime.now(UTC).isoformat()}
    return Finished(
        committed.rows,
        committed.seconds,
        facts=configuration_of(work.workspace.resolution, work.downsampling),
        details={"input": work.granule.input, "scene": json.loads(facts[SCENE_FOOTER]) | late},
        files={relative(work.workspace, work.parts.target): committed.record},
    )


def _write_block(
    scenes: Sequence[Scene], grid: Grid, window: Window, downsampling: Downsampling, path: Path
) -> str:
    """Write the rows of a block; give where they are, for the outline of the scene."""
    block, coverage = read_mosaic(scenes, grid, window, downsampling), Coverage.of(grid)
    writer = pq.ParquetWriter(
        path, PIXELS.arrow, compression="zstd", use_dictionary=_DICTIONARY_COLUMNS
    )
    with writer:
        for table in pixel_rows(block, scenes[0].scene_id, window):
            writer.write_table(table, row_group_size=len(table))
            coverage.add(table["row"].to_numpy(), table["col"].to_numpy())
    return coverage.to_text()


def _outlined(record: Mapping[str, Any], grid: Grid, covered: Sequence[str]) -> dict[str, str]:
    """The scene's row in the footer of its file, with the outline of the blocks' pixels."""
    coverage = reduce(or_, (Coverage.from_text(grid, text) for text in covered))
    outline = well_known_text(coverage.outline()) if coverage.cells.any() else ""
    return {SCENE_FOOTER: json.dumps({**record, "footprint": outline}, sort_keys=True)}


def _scene_record(granule: Granule, scenes: Sequence[Scene], grid: Grid) -> dict[str, Any]:
    """The scene's row of the index as JSON values, as far as they are known before its pixels."""
    scene = scenes[0]
    record = SceneRecord(
        scene_id=scene.scene_id,
        product=scene.product,
        source=scene.source,
        sources=[strip.source for strip in scenes],
        datastrips=[str(strip.strip) for strip in scenes],
        fingerprint=granule.input,
        satellite=scene.satellite,
        tile=scene.tile,
        sensing_time=granule.sensing_time,
        datatake=scene.datatake,
        datatake_start=scene.datatake_start,
        generation_time=scene.generation_time,
        baseline=scene.baseline,
        orbit=scene.orbit,
        crs=grid.crs,
        left=grid.left,
        top=grid.top,
        resolution=grid.resolution,
        rows=grid.shape[0],
        cols=grid.shape[1],
        offsets=list(scene.offsets),
        quantification=scene.quantification,
        metadata_cloud_cover=scene.cloud_cover,
        valid_pixels=0,
        footprint="",
        ingested_at=scene.sensing_time,
        ingested_by=__version__,
    ).to_json()
    return {name: record[name] for name in record if name not in _LATE}


def _discard_parts_of_failed(works: Iterable[IngestWork], outcomes: Iterable[Outcome]) -> None:
    failed = {o.name for o in outcomes if o.state == "failed" and not o.again}
    for work in works:
        if work.granule.scene_id in failed:
            work.parts.discard()


def _largest_first(windows: Iterable[Window]) -> list[int]:
    """Indices of the blocks, the largest first, so that no core waits for a late large one."""
    return [i for i, _ in sorted(enumerate(windows), key=lambda item: -item[1].pixels)]
