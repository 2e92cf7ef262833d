"""The demo: the whole story on one machine, from radiative transfer to maps beside the truth.

::

    table/       synthetic table
    small/       model trained on it with two ranks; small.training/ has the curves
    archive/     simulated L1C products
    truth/       the thickness they were simulated with, SCENE_ID.tif
    workspace/   what the main job makes of the archive; reports/ holds the demo's report
    figures/     pictures of the report
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spark_cot.archive.options import RunOptions, SimulateOptions
from spark_cot.archive.run import run
from spark_cot.archive.simulate import simulate
from spark_cot.archive.train import train
from spark_cot.archive.writes import Write, model, simulated
from spark_cot.demo.scenes import EXTENT_M, SCENES, DemoScene, write_demo_scene
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.engine.tasks import run_tasks
from spark_cot.errors import reason
from spark_cot.learn.recipe import RECIPES, Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.models.bundle import load_bundle

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

#: Pixel size of the workspace, metres.
RESOLUTION: Final = 20

#: Six parts of the table, so three row groups for each of two ranks.
ROWS: Final = 24_576
RANKS: Final = 2

#: The default recipe, small enough for a minute.
RECIPE: Final = replace(
    RECIPES["cot12"], name="small", members=2, hidden=(64, 64, 64, 64), steps=1500
)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo makes, and where.

    Attributes
    ----------
    root : Path
    seed : int
        Of table, ground and clouds.
    rows : int
        Of the synthetic table.
    recipe : Recipe
        Of the model trained on it.
    scenes : Sequence[DemoScene]
    extent : int
        Side of a scene, metres, a multiple of 60.
    """

    root: Path
    seed: int
    rows: int = ROWS
    recipe: Recipe = RECIPE
    scenes: Sequence[DemoScene] = SCENES
    extent: int = EXTENT_M

    @property
    def table(self) -> Path:
        """Synthetic table."""
        return self.root / "table"

    @property
    def small(self) -> Path:
        """Bundle of the model trained here."""
        return self.root / "small"

    @property
    def archive(self) -> Path:
        """L1C products."""
        return self.root / "archive"

    @property
    def workspace(self) -> Path:
        """Workspace of the main job."""
        return self.root / "workspace"

    @property
    def figures(self) -> Path:
        """Pictures of the report."""
        return self.root / "figures"

    def truth(self, scene_id: str) -> Path:
        """True thickness of a scene."""
        return self.root / "truth" / f"{scene_id}.tif"


def demo(spark: SparkSession, plan: Demo, model: str | Path | None) -> Iterator[StageResult]:
    """Give the result of each stage as it ends; a stage with a failure is the last.

    What an earlier run has made is kept.

    Parameters
    ----------
    spark : SparkSession
    plan : Demo
    model : str or Path, optional
        Model that the main job applies to the scenes, as for `run`.

    Raises
    ------
    WorkspaceError
        The folder holds the demo of another seed, or cannot be written.
    ModelError
        The model cannot be loaded.
    """
    options = RunOptions(
        archive=str(plan.archive),
        out=plan.workspace,
        model=model,
        resolution=RESOLUTION,
        change_options=True,
    )
    masked = replace(options, mask_above=options.bundle.thresholds.thick)
    stages: dict[str, Callable[[], StageResult]] = {
        f"simulating {plan.rows:,} pixels": partial(
            simulate, spark, SimulateOptions(out=plan.table, rows=plan.rows, seed=plan.seed)
        ),
        f"training a small model on them, {RANKS} ranks": partial(_train, plan),
        f"simulating {len(plan.scenes)} scenes": partial(_simulate_scenes, spark, plan),
    }
    for title, stage in stages.items():
        log.info(title)
        result = stage()
        yield result
        if result.count("failed"):
            return
    log.info("ingesting the scenes, applying model %s, writing products", options.bundle.name)
    yield from run(spark, masked)


def written(plan: Demo) -> list[Write]:
    """What the demo would write, beside what an earlier run has made.

    Raises
    ------
    WorkspaceError
        The folder holds the demo of another seed.
    ModelError
        The place of the small model holds what is none.
    """
    table = SimulateOptions(out=plan.table, rows=plan.rows, seed=plan.seed)
    small = [] if plan.small.exists() else [model(plan.small, plan.recipe.architecture)]
    left = [scene for scene in plan.scenes if not scene.product(plan.archive).exists()]
    scenes = f"{len(left):,} of {len(plan.scenes):,} scenes"
    return [
        *simulated(table),
        *small,
        Write("archive", plan.archive, scenes),
        Write("workspace", plan.workspace, f"what is due of {len(plan.scenes):,} scenes"),
    ]


def _train(plan: Demo) -> StageResult:
    """A bundle that is there is taken as it is: it appears whole, and the table is the same."""
    started = time.monotonic()
    if plan.small.exists():
        load_bundle(plan.small)
        return StageResult("train", time.monotonic() - started, [Outcome("small", "skipped")])
    train(TrainingRun(plan.recipe, str(plan.table), plan.small), RANKS)
    seconds = time.monotonic() - started
    return StageResult("train", seconds, [Outcome("small", "done", rows=plan.rows)])


def _simulate_scenes(spark: SparkSession, plan: Demo) -> StageResult:
    started = time.monotonic()
    task = partial(_simulate_scene, replace(plan, root=plan.root.absolute()))
    outcomes = run_tasks(spark, "Simulating scenes", plan.scenes, task)
    return StageResult("scenes", time.monotonic() - started, outcomes)


def _simulate_scene(plan: Demo, scene: DemoScene) -> Outcome:
    """Simulate one scene; any error is its outcome."""
    name, truth = scene.scene_id, plan.truth(scene.scene_id)
    try:
        made = write_demo_scene(scene, plan.archive, truth, plan.seed, RESOLUTION, plan.extent)
    except Exception as error:
        return Outcome(name, "failed", reason=reason(error))
    if not made:
        return Outcome(name, "skipped")
    return Outcome(name, "done", rows=(plan.extent // RESOLUTION) ** 2)
