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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_cot.archive.options import ApplyOptions
from spark_cot.commit.inventory import relative
from spark_cot.commit.ledger import Ledger
from spark_cot.commit.lock import locked
from spark_cot.commit.parts import KEY, Parts, footer
from spark_cot.engine.attempt import Attempt, Finished
from spark_cot.engine.outcome import Outcome, StageResult, merged
from spark_cot.engine.pipeline import Stage, list_stages, on_index
from spark_cot.engine.tasks import run_tasks
from spark_cot.errors import TableError
from spark_cot.infer.predictor import Predictor, cached_predictor
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import CloudClass, Thresholds
from spark_cot.models.provenance import Provenance
from spark_cot.plan.decide import result_key
from spark_cot.plan.sources import Granule
from spark_cot.storage import open_parquet
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.schema import COT
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

#: About a million rows, two seconds of a ten-member ensemble: long against the cost of a task,
#: short against the tail of a job.
ROW_GROUPS_PER_TASK: Final = 8


@dataclass(frozen=True, slots=True)
class ApplyWork:
    """A scene of the pixel table and the runs of row groups it is worked through in."""

    pixels: Path
    row_groups: tuple[range, ...]
    parts: Parts
    attempt: Attempt


def apply(spark: SparkSession, options: ApplyOptions) -> StageResult:
    """COT, its uncertainty and class of every pixel of the selected scenes.

    Parameters
    ----------
    spark : SparkSession
    options : ApplyOptions
        The model's inputs are columns of the pixel table.

    Returns
    -------
    StageResult
        One outcome per selected scene; scenes whose pixels, model and thresholds are those of
        their last run are skipped.

    Raises
    ------
    WorkspaceError
        There is no such workspace, or no scene of it is selected.
    TableError
        Another job is at work in it.
    ModelError
        The model cannot be loaded, or the thresholds are not 0 < thin <= thick.
    """
    workspace, bundle, thresholds = (
        Workspace.open(options.workspace),
        options.bundle,
        options.thresholds,
    )
    with locked(workspace, "apply"):
        scenes = options.selection.of(workspace)
        function = partial(apply_scenes, spark, workspace, bundle, thresholds)
        listing = list_stages(workspace, ["apply"])
        configuration = configuration_of(bundle, thresholds)
        return on_index(spark, workspace, "apply", configuration, function, scenes, listing)


def apply_stage(
    spark: SparkSession, workspace: Workspace, bundle: Bundle, thresholds: Thresholds
) -> Stage:
    """The stage for scenes of an archive."""

    def work(granules: Sequence[Granule]) -> list[Outcome]:
        scenes = workspace.scenes([granule.scene_id for granule in granules])
        return apply_scenes(spark, workspace, bundle, thresholds, scenes)

    return Stage(configuration_of(bundle, thresholds), work)


def apply_scenes(
    spark: SparkSession,
    workspace: Workspace,
    bundle: Bundle,
    thresholds: Thresholds,
    scenes: Sequence[SceneRecord],
) -> list[Outcome]:
    """Apply the model to these scenes; one outcome each."""
    prepare = partial(_prepare_scene, workspace, configuration_of(bundle, thresholds))
    found = run_tasks(spark, "Planning", scenes, prepare)
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
    return work.attempt.run(partial(_apply_row_groups, model.value, thresholds, work, index))


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


def count_classes(path: Path) -> dict[str, int]:
    """Pixels of each class in a file of the COT table, by the class's lower-case name."""
    counts = np.zeros(len(CloudClass), np.int64)
    with open_parquet(path) as source:
        for batch in source.iter_batches(columns=["cloud_class"], use_threads=False):
            found = pc.value_counts(batch.column(0))
            np.add.at(counts, found.field("values"), found.field("counts"))
    return {member.name.lower(): int(counts[member]) for member in CloudClass}


def configuration_of(bundle: Bundle, thresholds: Thresholds) -> dict[str, str]:
    """What a scene of the COT table is made of beside its pixels, as its footer says it."""
    return {
        "spark_cot.model": bundle.name,
        "spark_cot.model_hash": bundle.hash,
        "spark_cot.thin_from": repr(thresholds.thin),
        "spark_cot.thick_from": repr(thresholds.thick),
        "spark_cot.schema_version": str(COT.version),
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
    workspace: Workspace, configuration: dict[str, str], scene: SceneRecord
) -> ApplyWork | Outcome:
    """The work a scene needs; an outcome if there is none or its pixels cannot be read."""
    name, ledger = scene.scene_id, Ledger(workspace, "apply")
    pixels = workspace.pixels(scene.tile, scene.date, name)
    target = workspace.cot(scene.tile, scene.date, name)
    try:
        source = footer(pixels).get(KEY)
        if source is None:
            raise TableError("no such file in the pixel table", str(pixels), "Ingest again")
        with open_parquet(pixels) as file:
            groups = range(file.num_row_groups)
    except Exception as error:
        key = result_key(Ledger(workspace, "ingest").key(name), configuration)
        return Attempt.next(ledger, name, key, scene.source).fail(error)
    key = result_key(source, configuration)
    attempt = Attempt.next(ledger, name, key, scene.source)
    if ledger.is_done(name, key) and target.exists():
        return attempt.skip()
    step = ROW_GROUPS_PER_TASK
    runs = tuple(groups[start : start + step] for start in range(0, len(groups), step))
    parts = Parts(workspace.parts / "apply" / name, key, len(runs), target, configuration)
    return ApplyWork(pixels, runs, parts, attempt)


def _apply_row_groups(
    bundle: Bundle, thresholds: Thresholds, work: ApplyWork, index: int
) -> Finished | None:
    predictor = cached_predictor(bundle, thresholds)
    write = partial(write_cot, predictor, work.pixels, work.row_groups[index])
    work.parts.write(index, write)
    committed = work.parts.commit()
    if committed is None:
        return None
    facts = {
        **work.parts.facts,
        "pixels": count_classes(work.parts.target),
        "files": {relative(work.attempt.ledger.workspace, work.parts.target): committed.record},
    }
    return Finished(committed.rows, committed.seconds, facts)
