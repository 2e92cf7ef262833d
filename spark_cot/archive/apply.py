"""Apply: a model over the pixel table into the COT table.

Spark hands out (file, row groups); each task reads them with Arrow, evaluates the ensemble and
writes a part with the same rows in the same row groups. The task that finds its scene complete
commits it (`commit.parts`), so both tables line up row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from spark_cot.archive.options import ApplyOptions
from spark_cot.archive.settings import at_work
from spark_cot.commit.files import relative
from spark_cot.commit.ledger import Entries, LedgerEntry, Made
from spark_cot.commit.parts import KEY, Parts, footer
from spark_cot.engine.attempt import Attempt, Finished
from spark_cot.engine.outcome import Outcome, StageResult, merged
from spark_cot.engine.pipeline import Announce, Stage, on_index, unheard
from spark_cot.engine.tasks import check_lock, run_tasks
from spark_cot.errors import TableError
from spark_cot.infer.predictor import Predictor, cached_predictor
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.provenance import Provenance
from spark_cot.plan.decide import is_done, result_key
from spark_cot.plan.sources import Granule
from spark_cot.storage import exists, open_parquet
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT
from spark_cot.tables.workspace import RESOLUTION_FOOTER, Workspace

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

#: Raised when the code makes another COT of the same pixels and model: all is applied anew then.
REVISION: Final = 1

#: About a million rows, two seconds of a ten-member ensemble: long against the cost of a task,
#: short against the tail of a job.
ROW_GROUPS_PER_TASK: Final = 8


@dataclass(frozen=True, slots=True)
class ApplyWork:
    """A scene of the pixel table and the runs of row groups it is worked through in."""

    workspace: Workspace
    pixels: Path
    row_groups: tuple[range, ...]
    parts: Parts
    attempt: Attempt
    made: Made


def apply(spark: SparkSession, options: ApplyOptions, announce: Announce = unheard) -> StageResult:
    """COT, its uncertainty and class of every pixel of the selected scenes.

    Parameters
    ----------
    spark : SparkSession
    options : ApplyOptions
        The model's inputs are columns of the pixel table.
    announce : callable, optional
        Told the plan, and nothing is done of a dry run.

    Returns
    -------
    StageResult
        One outcome per selected scene; scenes whose pixels, model and thresholds are those of
        their last run are skipped.

    Raises
    ------
    WorkspaceError
        There is no such workspace, no scene of it is selected, or see `at_work`.
    TableError
        Another job is at work in it.
    ModelError
        The model cannot be loaded, or the thresholds are not 0 < thin <= thick.
    """
    with at_work("apply", options) as (state, options):
        bundle, thresholds = options.bundle, options.thresholds
        configuration = configuration_of(bundle, thresholds)
        function = partial(apply_scenes, spark, state.workspace, bundle, thresholds)
        plan = (options.selection, announce, options.dry_run)
        return on_index(spark, state, "apply", configuration, function, *plan)[1]


def apply_stage(
    spark: SparkSession, workspace: Workspace, bundle: Bundle, thresholds: Thresholds
) -> Stage:
    """The stage for scenes of an archive."""

    def work(granules: Sequence[Granule], known: Entries) -> list[Outcome]:
        scenes = scenes_of(granules, known)
        return apply_scenes(spark, workspace, bundle, thresholds, scenes, known)

    return Stage(configuration_of(bundle, thresholds), work)


def scenes_of(granules: Sequence[Granule], known: Entries) -> list[SceneRecord]:
    """Rows of the scene index of what was ingested, as the log has them."""
    found = (known["ingest"].get(granule.scene_id) for granule in granules)
    return [entry.scene for entry in found if entry is not None and entry.scene is not None]


def apply_scenes(
    spark: SparkSession,
    workspace: Workspace,
    bundle: Bundle,
    thresholds: Thresholds,
    scenes: Sequence[SceneRecord],
    known: Entries,
) -> list[Outcome]:
    """Apply the model to these scenes, of which the log says what is ``known``."""
    prepare = partial(_prepare_scene, workspace, configuration_of(bundle, thresholds))
    given = [
        (scene, known["ingest"].get(scene.scene_id), known["apply"].get(scene.scene_id))
        for scene in scenes
    ]
    found = run_tasks(spark, "Planning", given, prepare)
    works = [item for item in found if isinstance(item, ApplyWork)]
    outcomes = [item for item in found if isinstance(item, Outcome)]
    tasks = [(work, index) for work in works for index in range(len(work.row_groups))]
    model = spark.sparkContext.broadcast(bundle)
    function = partial(apply_row_groups, model, thresholds)
    outcomes += merged(run_tasks(spark, "Applying the model", tasks, function))
    model.destroy()
    return outcomes


def apply_row_groups(
    model: Broadcast[Bundle], thresholds: Thresholds, task: tuple[ApplyWork, int]
) -> Outcome | None:
    """Work through one run of row groups; commit the scene if that completes it.

    Returns the outcome of the scene once it is known, None while other runs are missing.
    """
    work, index = task
    return work.attempt.run(
        partial(_apply_row_groups, model.value, thresholds, work, index), str(index)
    )


def write_cot(predictor: Predictor, pixels: Path, row_groups: Sequence[int], path: Path) -> None:
    """Evaluate row groups of a pixel file; write the same rows of the COT table to ``path``."""
    columns = ["scene_id", "row", "col", *predictor.bundle.inputs]
    writer = pq.ParquetWriter(
        path,
        COT.arrow,
        compression="zstd",
        use_dictionary=["scene_id", "row", "col", "p_thin", "p_thick", "cloud_class"],
    )
    with open_parquet(pixels) as source, writer:
        for group in row_groups:
            table = source.read_row_group(group, columns=columns, use_threads=False)
            inputs = {name: table.column(name).to_numpy() for name in predictor.bundle.inputs}
            prediction = predictor.from_columns(inputs)
            rows = table.select(["scene_id", "row", "col"])
            for name, values in prediction._asdict().items():
                rows = rows.append_column(name, pa.array(values))
            writer.write_table(rows.cast(COT.arrow), row_group_size=len(rows))


def configuration_of(bundle: Bundle, thresholds: Thresholds) -> dict[str, str]:
    """What a scene of the COT table is made of beside its pixels, as its footer says it."""
    return {
        "spark_cot.model": bundle.name,
        "spark_cot.model_hash": bundle.hash,
        "spark_cot.thin_from": repr(thresholds.thin),
        "spark_cot.thick_from": repr(thresholds.thick),
        "spark_cot.schema_version": str(COT.version),
        "spark_cot.revision": str(REVISION),
    }


def provenance(cot: Path, mask_above: float | None = None) -> Provenance:
    """How a file of the COT table was made, read from its footer.

    Raises
    ------
    TableError
        There is no such file.
    """
    facts = footer(cot)
    if KEY not in facts:
        raise TableError("no such file in the COT table", str(cot), "Run `spark-cot apply` first")
    thresholds = Thresholds(
        float(facts["spark_cot.thin_from"]), float(facts["spark_cot.thick_from"])
    )
    model, model_hash = facts["spark_cot.model"], facts["spark_cot.model_hash"]
    return Provenance(model, model_hash, thresholds, mask_above)


def _prepare_scene(
    workspace: Workspace,
    configuration: dict[str, str],
    given: tuple[SceneRecord, LedgerEntry | None, LedgerEntry | None],
) -> ApplyWork | Outcome:
    """The work a scene needs; an outcome if there is none or its pixels cannot be read."""
    scene, ingested, before = given
    name = scene.scene_id
    pixels = workspace.pixels(scene.tile, scene.date, name)
    target = workspace.cot(scene.tile, scene.date, name)
    try:
        source = footer(pixels).get(KEY)
        if source is None:
            raise TableError("no such file in the pixel table", str(pixels), "Ingest again")
        with open_parquet(pixels) as file:
            groups = range(file.num_row_groups)
    except Exception as error:
        key = result_key(ingested.key if ingested is not None else "", configuration)
        return Attempt("apply", name, key, scene.source, before).fail(error)
    made = Made("apply", result_key(source, configuration), source, configuration)
    attempt = Attempt("apply", name, made.key, scene.source, before, workspace)
    if is_done(before, source, configuration) and exists(target):
        return attempt.skip()
    step, folder = ROW_GROUPS_PER_TASK, workspace.parts / "apply" / name
    runs = tuple(groups[start : start + step] for start in range(0, len(groups), step))
    own = {RESOLUTION_FOOTER: str(workspace.resolution)}
    parts = Parts(folder, made.key, len(runs), target, configuration | made.footer | own)
    return ApplyWork(workspace, pixels, runs, parts, attempt.of_many_tasks(folder), made)


def _apply_row_groups(
    bundle: Bundle, thresholds: Thresholds, work: ApplyWork, index: int
) -> Finished | None:
    predictor = cached_predictor(bundle, thresholds)
    write = partial(write_cot, predictor, work.pixels, work.row_groups[index])
    work.parts.write(index, write)
    joined = work.parts.joined()
    if joined is not None:
        check_lock()
        work.attempt.take_back(work.parts.target)
    committed = work.parts.commit(joined)
    if committed is None:
        return None
    files = {relative(work.workspace, work.parts.target): committed.record}
    made, details = work.made, {"input": work.made.input}
    return Finished(committed.rows, committed.seconds, made.configuration, details, files)
