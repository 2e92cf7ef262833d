"""What the demo found out: thickness against the truth, two models side by side, what to try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc
import rasterio

from spark_cot.archive.simulate import read_synthetic
from spark_cot.demo.story import Demo
from spark_cot.evaluate.scores import SPLIT_COT
from spark_cot.evaluate.truth import TRUE_CLASSES, Comparison, agreement_figure, maps_figure
from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import Bundle, load_bundle
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.report.run import Picture, Section
from spark_cot.tables.raster import column_on_grid
from spark_cot.tables.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from spark_cot.tables.scenes import SceneRecord

    Float32s = NDArray[np.float32]

_DPI: Final = 110
#: Bins of true thickness in which estimates are held to it.
_BINS: Final = {
    "COT 0.5 to 1": (0.5, 1.0),
    "1 to 3": (1.0, 3.0),
    "3 to 10": (3.0, 10.0),
    "from 10": (10.0, np.inf),
}

#: Reflectance of a white sheet that lies flat; flat cloud hardly reaches it.
_SHEET: Final = 1.0

_SCORES: Final = ("pixels", "MAE", f"MAE, COT < {SPLIT_COT:g}", "RMSE", "bias", "classed right")


def demo_sections(plan: Demo, bundle: Bundle) -> list[Section]:
    """Sections of the report on a demo that has been run; their pictures are drawn anew.

    Parameters
    ----------
    plan : Demo
    bundle : Bundle
        Model that the main job applied.
    """
    workspace, small = Workspace.open(plan.workspace), load_bundle(plan.small)
    scenes = [scene for scene in workspace.scenes() if plan.truth(scene.scene_id).exists()]
    told = {scene.scene_id: scene for scene in plan.scenes}
    titles = {name: scene.title for name, scene in told.items()}
    applied = [_applied(plan, workspace, scene, bundle) for scene in scenes]
    others = [_predicted(plan, workspace, scene, small) for scene in scenes]
    plan.figures.mkdir(parents=True, exist_ok=True)
    maps = [
        _picture(
            plan.figures / f"{scene.scene_id}.png",
            maps_figure(_true_colour(workspace, scene), comparison),
            f"{scene.scene_id}, {titles[scene.scene_id]}. {told[scene.scene_id].shows}",
        )
        for scene, comparison in zip(scenes, applied, strict=True)
    ]
    return [
        Section(
            "Thickness against the truth",
            f"The scenes are simulated, so their true thickness is known ({plan.root}/truth). "
            f"Estimates are those of the model {bundle.name}. A pixel is classed right if the "
            f"estimate's class is that of the truth: thin from {TRUE_CLASSES.thin:g}, thick from "
            f"{TRUE_CLASSES.thick:g}.",
            ("scene", "under cloud", "true mean", *_SCORES),
            [
                (titles[scene.scene_id], *_cover(comparison), *_scores(comparison))
                for scene, comparison in zip(scenes, applied, strict=True)
            ],
            maps,
        ),
        Section(
            f"What {bundle.name} sees",
            "Estimate over truth, the median of the cloudy pixels in bins of true thickness: 1 is "
            "right, 0.5 half of it. Two scenes are hard on purpose. Through thin low cloud the "
            "ground shines: the thinner the cloud, the more a model takes it for bright ground. "
            "Towers have sides: in the sun they reflect more than a white sheet (B04 above 1), in "
            "the shade less than flat cloud. One pixel does not tell its slope, so expect too much "
            "in the sun and too little in the shade, but cloud in both. Read clear: percent of the "
            "pixels with B04 above 1. Outside: percent of all pixels beyond what the model was "
            "trained on.",
            ("scene", *_BINS, "B04 above 1", "read clear", "outside"),
            [
                (titles[scene.scene_id], *_seen(workspace, scene, comparison))
                for scene, comparison in zip(scenes, applied, strict=True)
            ],
        ),
        _models(plan, [bundle, small], [_joined(applied), _joined(others)]),
        Section("Where to look next", commands=_commands(plan, workspace, scenes[0])),
    ]


def _models(plan: Demo, bundles: Sequence[Bundle], on_scenes: Sequence[Comparison]) -> Section:
    on_rows = [_held_out(plan, bundle) for bundle in bundles]
    picture = _picture(
        plan.figures / "agreement.png",
        agreement_figure(on_scenes),
        "All pixels of the scenes. Dotted: from where on cloud is thin and thick. Right: pixels in "
        "20 equal parts by stated uncertainty; on the line it is as large as the error.",
    )
    rows = [
        (f"{comparison.model}, {where}", *_scores(comparison))
        for where, comparisons in (("scenes", on_scenes), ("held-out rows", on_rows))
        for comparison in comparisons
    ]
    return Section(
        "Two models",
        f"The demo trained {bundles[1].name} on a table of {plan.rows:,} simulated pixels, which "
        "came through Petastorm to two ranks. Held-out rows are the test split of that table.",
        ("model", *_SCORES),
        rows,
        [picture],
    )


def _applied(plan: Demo, workspace: Workspace, scene: SceneRecord, bundle: Bundle) -> Comparison:
    """The COT table of a scene beside the truth, arrays ``(ny, nx)``."""
    path, shape = workspace.cot(scene.tile, scene.date, scene.scene_id), scene.grid.shape
    cot, std = (column_on_grid(path, name, shape, np.nan, "float32") for name in ("cot", "cot_std"))
    return Comparison(bundle.name, bundle.thresholds, _truth(plan, scene), cot, std)


def _predicted(plan: Demo, workspace: Workspace, scene: SceneRecord, bundle: Bundle) -> Comparison:
    """Another model's estimates from the pixel table of a scene, arrays ``(ny, nx)``."""
    path, shape = workspace.pixels(scene.tile, scene.date, scene.scene_id), scene.grid.shape
    columns = {}
    for name in bundle.inputs:
        scale = REFLECTANCE_SCALE if name in BAND_IDS else 1
        columns[name] = column_on_grid(path, name, shape, np.nan, "float32").ravel() / scale
    prediction = Predictor(bundle).from_columns(columns)
    cot, std = (values.reshape(shape) for values in (prediction.cot, prediction.cot_std))
    return Comparison(bundle.name, bundle.thresholds, _truth(plan, scene), cot, std)


def _held_out(plan: Demo, bundle: Bundle) -> Comparison:
    """A model's estimates for the test split of the synthetic table."""
    rows = read_synthetic(plan.table)
    rows = rows.filter(pc.equal(rows.column("split"), "test"))
    prediction = Predictor(bundle).from_columns(
        {name: rows.column(name).to_numpy() for name in bundle.inputs}
    )
    true = rows.column("cot").to_numpy()
    return Comparison(bundle.name, bundle.thresholds, true, prediction.cot, prediction.cot_std)


def _joined(comparisons: Sequence[Comparison]) -> Comparison:
    """All pixels of several comparisons of one model."""
    true, estimate, std = (
        np.concatenate([getattr(comparison, name).ravel() for comparison in comparisons])
        for name in ("true", "estimate", "std")
    )
    return Comparison(comparisons[0].model, comparisons[0].thresholds, true, estimate, std)


def _truth(plan: Demo, scene: SceneRecord) -> Float32s:
    with rasterio.open(plan.truth(scene.scene_id)) as image:
        return np.asarray(image.read(1), np.float32)


def _true_colour(workspace: Workspace, scene: SceneRecord) -> Float32s:
    path = workspace.pixels(scene.tile, scene.date, scene.scene_id)
    bands = [
        column_on_grid(path, band, scene.grid.shape, np.nan, "float32")
        for band in ("B04", "B03", "B02")
    ]
    return np.asarray(np.stack(bands, axis=-1) / REFLECTANCE_SCALE, np.float32)


def _picture(path: Path, figure: Figure, caption: str) -> Picture:
    figure.savefig(path, dpi=_DPI)
    return Picture(str(path), caption)


def _cover(comparison: Comparison) -> tuple[str, str]:
    cover = 100 * float((comparison.true > 0).mean())
    return f"{cover:.0f} %", f"{float(comparison.true.mean()):.2f}"


def _seen(workspace: Workspace, scene: SceneRecord, comparison: Comparison) -> Iterable[str]:
    """Estimate over truth in each bin and of the brightest cloud, and what is beside the range."""
    true, estimate = comparison.true, comparison.estimate
    path = workspace.cot(scene.tile, scene.date, scene.scene_id)
    outside = column_on_grid(path, "outside", true.shape, False, "bool")
    bright = (_true_colour(workspace, scene)[..., 0] > _SHEET) & (true > 0)
    parts = [(true >= low) & (true < high) for low, high in _BINS.values()]
    return (
        *(_number(comparison.ratio(part), ".2f") for part in (*parts, bright)),
        _number(_percent(estimate[bright] < comparison.thresholds.thin), ".1f", " %"),
        _number(_percent(outside[~np.isnan(estimate)]), ".1f", " %"),
    )


def _percent(those: NDArray[np.bool_]) -> float:
    """Percent that are true; NaN of none."""
    return 100 * float(those.mean()) if those.size else np.nan


def _number(value: float, form: str, unit: str = "") -> str:
    """A number, or a dash where there is none."""
    return "-" if np.isnan(value) else f"{value:{form}}{unit}"


def _scores(comparison: Comparison) -> Iterable[str]:
    scores = comparison.agreement()
    return (
        f"{scores.pixels:,}",
        f"{scores.mae:.2f}",
        f"{scores.thin_mae:.2f}",
        f"{scores.rmse:.2f}",
        f"{scores.bias:+.2f}",
        f"{100 * scores.right:.1f} %",
    )


def _commands(plan: Demo, workspace: Workspace, scene: SceneRecord) -> list[tuple[str, str]]:
    product = plan.workspace / workspace.product(
        scene.tile, scene.date, scene.scene_id
    ).relative_to(workspace.root)
    sql = (
        "SELECT tile, date, count(*) AS pixels, median(cot) AS median_cot, "
        "100 * avg((cloud_class >= 2)::INT) AS percent_cloudy "
        f"FROM '{plan.workspace}/cot/**/*.parquet' GROUP BY ALL ORDER BY ALL"
    )
    return [
        ("A map and its metadata", f"gdalinfo -stats {product / 'cot.tif'}"),
        ("All maps in QGIS or pystac", str(plan.workspace / "products" / "collection.json")),
        ("The table, by SQL", f'python -c "import duckdb; print(duckdb.sql(\\"{sql}\\"))"'),
        (
            "The small model instead: done again is what depends on the model",
            f"spark-cot apply {plan.workspace} --model {plan.small}\n"
            f"spark-cot products {plan.workspace}",
        ),
        ("Your own scenes", "spark-cot run YOUR_ARCHIVE --out workspace"),
        (
            "Your own model",
            f"spark-cot simulate --rows 200000 --seed {plan.seed} --out synthetic\n"
            "spark-cot train synthetic --out model",
        ),
    ]
