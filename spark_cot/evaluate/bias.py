"""Where a model reads cloud too thin or too thick: by thickness, phase, height and ground.

One number over all rows hides a kind of cloud that is read wrong. Rows of the synthetic table know
what they hold: they are parted by true thickness, phase, height of the cloud's top above the ground
and group of the ground, and each part says what the estimates are of the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from spark_cot.simulate.validate.report import Check
from spark_cot.simulate.world.states import CLOUD_TYPES
from spark_cot.simulate.world.surfaces import GROUPS
from spark_cot.style import FAINT, INK, NODATA_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from spark_cot.infer.predictor import Predictor

    Floats = NDArray[np.floating[Any]]
    Codes = NDArray[np.intp]

#: Lower edges of the bins of true COT and of the cloud's top in km above the ground; the last
#: bins have no upper edge.
THICKNESS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 20.0)
HEIGHT_KM: Final = (0.0, 1.5, 3.0, 4.5, 9.0)

#: Values of each axis, in order.
STRATA: Final[Mapping[str, tuple[str, ...]]] = {
    "phase": tuple(kind.replace("_", " ") for kind in CLOUD_TYPES[1:]),
    "top": ("< 1.5 km", "1.5-3 km", "3-4.5 km", "4.5-9 km", "> 9 km"),
    "ground": tuple(group.replace("_", " ") for group in GROUPS),
    "thickness": ("0.1-0.5", "0.5-1", "1-2", "2-5", "5-20", "> 20"),
}

#: Columns of the synthetic table that say which part a row belongs to.
COLUMNS: Final = (
    "cot", "cloud_type", "water_top", "ice_top", "surface_height", "surface_class",
    "second_surface_class", "surface_share",
)  # fmt: skip

_FIGURES: Final = ("rows", "median", "p16", "p84", "within")

#: Fewer rows say nothing of a median.
_ENOUGH: Final = 8
_LOW: Final = ("< 1.5 km", "1.5-3 km")


def surface_group(rows: pa.Table) -> Codes:
    """Position in GROUPS of the ground that fills most of each pixel; -1 is none of them."""
    first, second = (_group(rows[name]) for name in ("surface_class", "second_surface_class"))
    return np.where(rows["surface_share"].to_numpy() >= 0.5, first, second)


def strata(rows: pa.Table) -> dict[str, Codes]:
    """Where each row stands on the axes of STRATA: position in its values, -1 for none.

    Parameters
    ----------
    rows : pyarrow.Table
        With COLUMNS of the synthetic table.
    """
    kind = _positions(rows["cloud_type"], CLOUD_TYPES)
    water_top, ice_top, height = (
        rows[name].to_numpy() for name in ("water_top", "ice_top", "surface_height")
    )
    has_ice_above = np.isin(kind, [CLOUD_TYPES.index(name) for name in ("ice", "ice_over_water")])
    top = np.where(has_ice_above, ice_top, water_top) - height
    return {
        "phase": kind - 1,
        "top": np.searchsorted(HEIGHT_KM[1:], top, side="right"),
        "ground": surface_group(rows),
        "thickness": np.searchsorted(THICKNESS, rows["cot"].to_numpy(), side="right") - 1,
    }


def bias_table(
    rows: pa.Table, estimate: Floats, std: Floats, by: Sequence[str] = tuple(STRATA)
) -> pa.Table:
    """What the estimates are of the truth, for every part that has rows.

    Parameters
    ----------
    rows : pyarrow.Table
        With COLUMNS of the synthetic table; rows thinner than COT 0.1 are left out.
    estimate, std : ndarray
        ``(rows,)``, COT and its standard uncertainty as the model gives them; rows with an estimate
        of NaN are left out.
    by : Sequence[str]
        Axes of STRATA to part by; rows are pooled over the others.

    Returns
    -------
    pyarrow.Table
        The axes (string), ``rows`` int64, and float64: ``median``, ``p16`` and ``p84`` of estimate
        over truth, ``within`` share of the errors of at most one ``std``. In order of the axes.
    """
    codes = strata(rows)
    true = rows["cot"].to_numpy().astype(np.float64)
    chosen = np.all([code >= 0 for code in codes.values()], axis=0) & ~np.isnan(estimate)
    sizes = tuple(len(STRATA[axis]) for axis in by)
    part = np.ravel_multi_index(tuple(codes[axis][chosen] for axis in by), sizes)
    ratio = estimate[chosen] / true[chosen]
    inside = np.abs(estimate[chosen] - true[chosen]) <= std[chosen]
    keys = np.unique(part)
    found = [_figures(ratio[part == key], inside[part == key]) for key in keys]
    places = np.unravel_index(keys, sizes)
    columns: dict[str, Any] = {
        axis: pa.array(np.array(STRATA[axis])[place], pa.string())
        for axis, place in zip(by, places, strict=True)
    }
    numbers = np.array(found, np.float64).reshape(len(keys), len(_FIGURES))
    columns |= dict(zip(_FIGURES, numbers.T, strict=True))
    columns["rows"] = columns["rows"].astype(np.int64)
    return pa.table(columns)


def low_water_bias(rows: pa.Table, estimate: Floats, std: Floats) -> dict[str, float]:
    """Figures of `bias_table` for water cloud of COT 1 to 2 whose top is below 3 km.

    Returns
    -------
    dict
        ``rows`` and the other figures; NaN where there is no such row.
    """
    codes = strata(rows)
    low = [STRATA["top"].index(name) for name in _LOW]
    chosen = (
        (codes["phase"] == STRATA["phase"].index("water"))
        & np.isin(codes["top"], low)
        & (codes["thickness"] == STRATA["thickness"].index("1-2"))
    )
    part = bias_table(rows.filter(pa.array(chosen)), estimate[chosen], std[chosen], ("thickness",))
    (found,) = part.to_pylist() or [dict.fromkeys(_FIGURES, np.nan)]
    return {name: float(found[name]) for name in _FIGURES}


def bias_checks(predictor: Predictor, rows: pa.Table) -> list[Check]:
    """Low thin water cloud, which a model takes for ground if its training knew too few grounds.

    Parameters
    ----------
    predictor : Predictor
    rows : pyarrow.Table
        Of the synthetic table; those of the test split are judged.
    """
    unseen = held_out(rows)
    found = low_water_bias(unseen, *read_rows(predictor, unseen))
    label = (
        f"{predictor.bundle.name}, water cloud of COT 1-2 with its top below 3 km, "
        f"{found['rows']:.0f} rows"
    )
    return [
        Check(f"{label}: median estimate over truth", found["median"], least=0.35),
        Check(f"{label}: errors within one cot_std", found["within"], least=0.30),
    ]


def held_out(rows: pa.Table) -> pa.Table:
    """Rows of the test split, which no training sees."""
    return rows.filter(pa.array(rows["split"].to_numpy(zero_copy_only=False) == "test"))


def read_rows(predictor: Predictor, rows: pa.Table) -> tuple[Floats, Floats]:
    """COT ``(rows,)`` and its standard uncertainty, as the model reads the rows."""
    said = predictor.from_columns({name: rows[name].to_numpy() for name in predictor.bundle.inputs})
    return said.cot, said.cot_std


def bias_figure(rows: pa.Table, estimate: Floats, std: Floats) -> Figure:
    """Median estimate over truth: a column of panels a phase, over height and over ground.

    Blue is read too thick, red too thin; parts with fewer than 8 rows stay grey.
    """
    figure = Figure(figsize=(15, 7.2), layout="constrained")
    axes = figure.subplots(2, len(STRATA["phase"]), sharex=True, sharey="row")
    for line, axis_name in zip(axes, ("top", "ground"), strict=True):
        table = bias_table(rows, estimate, std, ("phase", axis_name, "thickness"))
        for axis, phase in zip(line, STRATA["phase"], strict=True):
            image = _heat_map(axis, table, phase, axis_name)
    for axis, phase in zip(axes[0], STRATA["phase"], strict=True):
        axis.set_title(f"{phase} cloud", loc="left", color=INK, weight="bold", fontsize=11)
    axes[0, 0].set_ylabel("top above the ground", color=FAINT)
    axes[1, 0].set_ylabel("ground", color=FAINT)
    figure.supxlabel("true thickness (COT at 550 nm)", color=INK, fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.01, ticks=[0.25, 0.5, 1, 2, 4],
                          extend="both", label="median estimate over truth")  # fmt: skip
    bar.ax.set_yticklabels(["1/4", "1/2", "1", "2", "4"])
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    return figure


def _figures(ratio: Floats, inside: NDArray[np.bool_]) -> tuple[float, ...]:
    p16, median, p84 = np.percentile(ratio, (16, 50, 84))
    return float(ratio.size), float(median), float(p16), float(p84), float(inside.mean())


def _heat_map(axis: Axes, table: pa.Table, phase: str, down: str) -> Any:
    values, across = STRATA[down], STRATA["thickness"]
    image = np.full((len(values), len(across)), np.nan)
    for row in table.to_pylist():
        if row["phase"] == phase and row["rows"] >= _ENOUGH:
            place = values.index(row[down]), across.index(row["thickness"])
            image[place] = row["median"]
            pale = 0.4 < row["median"] < 2.5
            axis.text(*place[::-1], f"{row['median']:.2f}", ha="center", va="center", fontsize=8,
                      color=INK if pale else "white")  # fmt: skip
    colours = matplotlib.colormaps["RdBu"].with_extremes(bad=NODATA_COLOUR)
    shown = axis.imshow(
        np.clip(image, 0.01, None), norm=LogNorm(0.25, 4), cmap=colours, aspect="auto"
    )
    axis.set_xticks(range(len(across)), across)
    axis.set_yticks(range(len(values)), values)
    axis.tick_params(labelsize=8, colors=FAINT, length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return shown


def _group(classes: pa.ChunkedArray) -> Codes:
    names = [name for members in GROUPS.values() for name in members]
    group = [place for place, members in enumerate(GROUPS.values()) for _ in members]
    return np.array([*group, -1])[_positions(classes, names)]


def _positions(values: pa.ChunkedArray, names: Sequence[str]) -> Codes:
    """Position of each value among the names; -1 is none of them."""
    found = {name: place for place, name in enumerate(names)}
    words, codes = np.unique(values.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    return np.array([found.get(str(word), -1) for word in words], np.intp)[codes]
