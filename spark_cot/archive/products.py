"""Products: scenes of the COT table as COGs, quicklook, STAC item and thickness-masked table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spark_cot.archive.apply import provenance, scenes_of
from spark_cot.archive.options import ProductsOptions
from spark_cot.archive.settings import at_work
from spark_cot.commit.files import recorded, relative
from spark_cot.commit.ledger import Entries, LedgerEntry, Made
from spark_cot.commit.parts import KEY, footer
from spark_cot.commit.state import State
from spark_cot.engine.attempt import Attempt, Finished
from spark_cot.engine.outcome import Outcome, StageResult, merged
from spark_cot.engine.pipeline import Announce, Stage, on_index, unheard
from spark_cot.engine.tasks import check_lock, run_tasks
from spark_cot.errors import TableError
from spark_cot.models.classes import CloudClass
from spark_cot.plan.decide import Configuration, is_done, result_key
from spark_cot.plan.select import Selectable
from spark_cot.plan.sources import Granule
from spark_cot.products.collection import update_collection
from spark_cot.products.rasters import BYTE_NODATA
from spark_cot.products.scene import PRODUCT_VERSION, SceneArrays, write_scene_product
from spark_cot.storage import exists, open_parquet, replacing
from spark_cot.tables.raster import column_on_grid
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT, MASKED
from spark_cot.tables.workspace import ITEM_NAME, RESOLUTION_FOOTER, Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Raised when the code makes another product of the same COT: all are written anew then.
REVISION: Final = 1


@dataclass(frozen=True, slots=True)
class ProductWork:
    """A scene to write a product of; ``created`` is the time that its item tells."""

    workspace: Workspace
    scene: SceneRecord
    mask_above: float | None
    attempt: Attempt
    made: Made
    created: datetime

    @property
    def pixels(self) -> Path:
        """The scene's file in the pixel table."""
        return self.workspace.pixels(self.scene.tile, self.scene.date, self.scene.scene_id)

    @property
    def cot(self) -> Path:
        """The scene's file in the COT table."""
        return self.workspace.cot(self.scene.tile, self.scene.date, self.scene.scene_id)

    @property
    def masked(self) -> Path:
        """The scene's file in the table of masked reflectance."""
        return self.workspace.masked(self.scene.tile, self.scene.date, self.scene.scene_id)

    @property
    def item(self) -> Path:
        """The STAC item, which is there when the product is whole."""
        scene = self.scene
        return self.workspace.product(scene.tile, scene.date, scene.scene_id) / ITEM_NAME


def products(
    spark: SparkSession, options: ProductsOptions, announce: Announce = unheard
) -> StageResult:
    """Write the products of the selected scenes, and the collection that lists all products.

    Parameters
    ----------
    spark : SparkSession
    options : ProductsOptions
        With ``mask_above`` also reflectance of the pixels with at most this COT is written: a COG
        in each product and rows of the table ``masked``.
    announce : callable, optional
        Told the plan, and nothing is done of a dry run.

    Returns
    -------
    StageResult
        One outcome per selected scene; products of the same COT and options are skipped.

    Raises
    ------
    WorkspaceError
        There is no such workspace, no scene of it is selected, or see `at_work`.
    TableError
        Another job is at work in it.
    """
    with at_work("products", options) as (state, options):
        configuration = configuration_of(options.mask)
        function = partial(write_products, spark, state.workspace, options.mask)
        plan = (options.selection, announce, options.dry_run)
        scenes, result = on_index(spark, state, "products", configuration, function, *plan)
        if not options.dry_run:
            list_products(state, scenes, [result])
    return result


def products_stage(spark: SparkSession, workspace: Workspace, mask_above: float | None) -> Stage:
    """The stage for scenes of an archive; `list_products` is to follow the last wave of them."""

    def work(granules: Sequence[Granule], known: Entries) -> list[Outcome]:
        return write_products(spark, workspace, mask_above, scenes_of(granules, known), known)

    return Stage(configuration_of(mask_above), work)


def configuration_of(mask_above: float | None) -> Configuration:
    """What the product of a scene is made of beside its COT."""
    return {
        "mask_above": mask_above,
        "product_version": PRODUCT_VERSION,
        "revision": REVISION,
    }


def write_products(
    spark: SparkSession,
    workspace: Workspace,
    mask_above: float | None,
    scenes: Sequence[SceneRecord],
    known: Entries,
) -> list[Outcome]:
    """Write the products of these scenes, of which the log says what is ``known``."""
    given = [
        (scene, known["apply"].get(scene.scene_id), known["products"].get(scene.scene_id))
        for scene in scenes
    ]
    found = run_tasks(spark, "Planning", given, partial(_prepare_scene, workspace, mask_above))
    works = [item for item in found if isinstance(item, ProductWork)]
    outcomes = [item for item in found if isinstance(item, Outcome)]
    return outcomes + merged(run_tasks(spark, "Writing products", works, write_product))


def list_products(
    state: State, scenes: Iterable[Selectable], results: Iterable[StageResult]
) -> None:
    """Let the collection tell of all products: of those listed, and of what a run has written.

    Parameters
    ----------
    state : State
        Of the workspace before the run.
    scenes : iterable
        Those that the run worked on, and maybe others.
    results : iterable of StageResult
    """
    stages = [result for result in results if result.stage == "products"]
    done = {o.name for stage in stages for o in stage.outcomes if o.state == "done"}
    written = [
        PurePosixPath(f"tile={s.tile}", f"date={s.sensing_time.date()}", s.scene_id)
        for s in scenes
        if s.scene_id in done
    ]
    folders = state.listing.products(written)
    levels = {path.removeprefix("products/") for path in state.listing.catalogues}
    update_collection(state.workspace.root / "products", folders, done, levels)


def write_product(work: ProductWork) -> Outcome | None:
    """Write the product of one scene; its outcome."""
    return work.attempt.run(partial(_write_product, work))


def masked_rows(pixels: Path, cot: Path, mask_above: float) -> Iterator[pa.Table]:
    """Rows of both tables, side by side, of the pixels with at most this COT.

    The files hold the same pixels in the same row groups, so no join is needed.

    Raises
    ------
    TableError
        The files do not line up.
    """
    with open_parquet(pixels) as left, open_parquet(cot) as right:
        if left.num_row_groups != right.num_row_groups:
            raise TableError("does not line up with its pixels", str(cot), "Apply the model again")
        for group in range(left.num_row_groups):
            rows = left.read_row_group(group, use_threads=False)
            thickness = right.read_row_group(group, use_threads=False)
            if not all(rows.column(name).equals(thickness.column(name)) for name in ("row", "col")):
                raise TableError(
                    "does not line up with its pixels", str(cot), "Apply the model again"
                )
            for name in MASKED.arrow.names[rows.num_columns :]:
                rows = rows.append_column(MASKED.arrow.field(name), thickness.column(name))
            yield rows.filter(pc.less_equal(rows.column("cot"), mask_above))


def _prepare_scene(
    workspace: Workspace,
    mask_above: float | None,
    given: tuple[SceneRecord, LedgerEntry | None, LedgerEntry | None],
) -> ProductWork | Outcome:
    """The work a scene needs; an outcome if there is none or its COT cannot be read."""
    scene, applied, before = given
    name, configuration = scene.scene_id, configuration_of(mask_above)
    cot = workspace.cot(scene.tile, scene.date, name)
    try:
        made_from = footer(cot).get(KEY)
        if made_from is None:
            raise TableError("no such file in the COT table", str(cot), "Apply a model first")
        with open_parquet(cot) as file:
            COT.check(file.schema_arrow, str(cot))
    except Exception as error:
        key = result_key(applied.key if applied is not None else "", configuration)
        return Attempt("products", name, key, scene.source, before).fail(error)
    made = Made("products", result_key(made_from, configuration), made_from, configuration)
    attempt = Attempt("products", name, made.key, scene.source, before, workspace)
    work = ProductWork(workspace, scene, mask_above, attempt, made, datetime.now(UTC))
    recorded_files = before.files if before is not None else ()
    if is_done(before, made_from, configuration) and all(
        exists(workspace.root / path) for path in recorded_files
    ):
        return attempt.skip()
    return work


def _write_product(work: ProductWork) -> Finished:
    started, shape = time.monotonic(), work.scene.grid.shape

    def reflectance(band: str) -> NDArray[np.int16]:
        return column_on_grid(work.pixels, band, shape, 0, "int16")

    arrays = _arrays(work.cot, shape)
    check_lock()
    work.attempt.take_back(work.item.parent, work.masked)
    _write_masked(work)
    source = provenance(work.cot, work.mask_above)
    product = write_scene_product(
        work.workspace, work.scene, arrays, reflectance, source, work.made, work.created
    )
    files = {relative(work.workspace, product.folder / n): r for n, r in product.files.items()}
    if work.mask_above is not None:
        files |= recorded(work.workspace, work.masked)
    details: dict[str, Any] = {
        "input": work.made.input,
        "model_hash": source.model_hash,
        "cover": {code.style.name: round(share, 4) for code, share in product.cover.items()},
        "outside": round(product.outside, 4),
        "bytes": product.size,
        "item": relative(work.workspace, work.item),
    }
    rows, seconds = sum(product.counts.values()), time.monotonic() - started
    return Finished(rows, seconds, work.made.configuration, details, files)


def _arrays(cot: Path, shape: tuple[int, int]) -> SceneArrays:
    """The scene's rows of the COT table on its grid."""

    def column(name: str, nodata: float, dtype: str) -> NDArray[Any]:
        return column_on_grid(cot, name, shape, nodata, dtype)

    classes = column("cloud_class", CloudClass.NODATA, "uint8")
    outside = column("outside", BYTE_NODATA, "uint8")
    outside[classes == CloudClass.NODATA] = BYTE_NODATA  # rows without a COT: false in the table
    return SceneArrays(
        cot=column("cot", np.nan, "float32"),
        cot_std=column("cot_std", np.nan, "float32"),
        p_thin=column("p_thin", BYTE_NODATA, "uint8"),
        p_thick=column("p_thick", BYTE_NODATA, "uint8"),
        cloud_class=classes,
        outside=outside,
    )


def _write_masked(work: ProductWork) -> None:
    """Rows of the masked table; without ``mask_above`` those of an older run go."""
    if work.mask_above is None:
        work.masked.unlink(missing_ok=True)
        return
    own = {
        KEY: work.made.key,
        "spark_cot.mask_above": str(work.mask_above),
        RESOLUTION_FOOTER: str(work.workspace.resolution),
    }
    facts = own | work.made.footer
    schema = MASKED.arrow.with_metadata(MASKED.arrow.metadata | facts)
    with (
        replacing(work.masked, work.workspace.parts) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for rows in masked_rows(work.pixels, work.cot, work.mask_above):
            if len(rows):
                writer.write_table(rows, row_group_size=len(rows))
