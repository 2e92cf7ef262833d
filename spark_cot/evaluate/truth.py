"""Estimated against true optical thickness: scores, and the figures that show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib
import numpy as np
from matplotlib.colors import AsinhNorm, LogNorm
from matplotlib.figure import Figure

from spark_cot.errors import TableError
from spark_cot.evaluate.scores import SPLIT_COT, THICK_COT, THIN_COT
from spark_cot.models.classes import Thresholds, classify
from spark_cot.style import (
    COT_COLOURS,
    COT_TICKS,
    CURVES,
    FAINT,
    GAMMA,
    INK,
    LINEAR,
    NODATA_COLOUR,
    THICKEST,
    WHITE,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

#: Classes of the truth, whatever thresholds a model has for its estimates.
TRUE_CLASSES: Final = Thresholds(THIN_COT, THICK_COT)

#: Range of the logarithmic axes. Thinner cloud, and none, has a broad bin of its own below it.
_NONE, _LOWEST, _HIGHEST = 0.02, 0.03, 200.0
_TICKS: Final = (0.1, 1, 10, 100)

_DIFFERENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well thickness was estimated.

    Attributes
    ----------
    pixels : int
        Pixels with an estimate.
    mae, rmse, bias : float
        Mean absolute, root mean square and mean difference, estimate minus truth.
    thin_mae : float
        Mean absolute difference where the truth is below SPLIT_COT.
    right : float
        Share of the pixels whose class, by the model's thresholds, is that of the truth, by
        TRUE_CLASSES.
    """

    pixels: int
    mae: float
    rmse: float
    bias: float
    thin_mae: float
    right: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model's estimates beside the truth.

    Attributes
    ----------
    model : str
        Name for people.
    thresholds : Thresholds
        Of the model's estimates.
    true, estimate, std : ndarray
        Optical thickness at 550 nm, and the standard uncertainty that the model gives with it;
        one shape. An estimate of NaN is none.

    Raises
    ------
    TableError
        The shapes differ, or there is no estimate at all.
    """

    model: str
    thresholds: Thresholds
    true: Floats
    estimate: Floats
    std: Floats

    def __post_init__(self) -> None:
        shapes = {values.shape for values in (self.true, self.estimate, self.std)}
        if len(shapes) > 1:
            raise TableError(f"true and estimated thickness have shapes {shapes}", self.model)
        if np.isnan(self.estimate).all():
            raise TableError("no pixel has an estimate", self.model)

    def agreement(self) -> Agreement:
        """Scores over all pixels with an estimate; NaN where there is no thin pixel."""
        seen = ~np.isnan(self.estimate)
        true, estimate = self.true[seen].astype(np.float64), self.estimate[seen]
        error = estimate - true
        size = np.abs(error)
        thin = true < SPLIT_COT
        same = classify(true, TRUE_CLASSES) == classify(estimate, self.thresholds)
        return Agreement(
            pixels=true.size,
            mae=float(size.mean()),
            rmse=float(np.sqrt((error**2).mean())),
            bias=float(error.mean()),
            thin_mae=float(size[thin].mean()) if thin.any() else float("nan"),
            right=float(same.mean()),
        )

    def ratio(self, where: NDArray[np.bool_]) -> float:
        """Median of estimate over truth; NaN where no pixel with an estimate is chosen.

        Parameters
        ----------
        where : ndarray
            Pixels under cloud to look at, in the shape of the others.
        """
        seen = where & ~np.isnan(self.estimate)
        if not seen.any():
            return math.nan
        return float(np.median(self.estimate[seen] / self.true[seen]))


def reliability(
    comparison: Comparison, bins: int = 20
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Root mean square of uncertainty and of error, in ``bins`` equal parts by uncertainty.

    They are equal where the uncertainty is right.

    Returns
    -------
    std, error : ndarray
        float64 ``(bins,)``, or fewer if there are fewer pixels.
    """
    seen = ~np.isnan(comparison.estimate)
    std = comparison.std[seen].astype(np.float64)
    error = comparison.estimate[seen] - comparison.true[seen].astype(np.float64)
    order = np.argsort(std, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    squares = [((std[part] ** 2).mean(), (error[part] ** 2).mean()) for part in parts]
    stated, found = np.sqrt(squares).T
    return stated, found


def agreement_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Density of estimates over the truth, one panel a model; errors over stated uncertainties."""
    count = len(comparisons)
    figure = Figure(figsize=(4.9 * (count + 1), 5.0), layout="constrained")
    axes = figure.subplots(1, count + 1)
    for axis, comparison in zip(axes, comparisons, strict=False):
        image = _density(axis, comparison)
    figure.colorbar(image, ax=axes[count - 1], shrink=0.8, label="pixels", pad=0.01)
    _reliability(axes[-1], comparisons)
    return figure


def maps_figure(rgb: Floats, comparison: Comparison) -> Figure:
    """True colour, true and estimated thickness, and their difference, side by side.

    Parameters
    ----------
    rgb : ndarray
        TOA reflectance of B04, B03, B02, ``(ny, nx, 3)``.
    comparison : Comparison
        Arrays of ``(ny, nx)``.
    """
    figure = Figure(figsize=(16, 4.1), layout="constrained")
    axes = figure.subplots(1, 4)
    axes[0].imshow(np.clip(rgb / WHITE, 0, 1) ** (1 / GAMMA), interpolation="nearest")
    thickness = AsinhNorm(linear_width=LINEAR, vmin=0, vmax=THICKEST, clip=True)
    colours = matplotlib.colormaps[COT_COLOURS].with_extremes(bad=NODATA_COLOUR)
    for axis, values in zip(axes[1:3], (comparison.true, comparison.estimate), strict=True):
        image = axis.imshow(values, norm=thickness, cmap=colours, interpolation="nearest")
    _colourbar(figure, image, axes[2], COT_TICKS)
    difference = AsinhNorm(linear_width=LINEAR, vmin=-_DIFFERENCE, vmax=_DIFFERENCE, clip=True)
    image = axes[3].imshow(
        comparison.estimate - comparison.true,
        norm=difference,
        cmap=matplotlib.colormaps["RdBu_r"].with_extremes(bad=NODATA_COLOUR),
        interpolation="nearest",
    )
    _colourbar(figure, image, axes[3], (-30, -10, -3, -1, 0, 1, 3, 10, 30))
    titles = ("True colour", "True thickness", comparison.model, "Estimate minus truth")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, loc="left", color=INK, weight="bold", fontsize=11)
    return figure


def _density(axis: Axes, comparison: Comparison) -> Any:
    seen, none = ~np.isnan(comparison.estimate), math.sqrt(_NONE * _LOWEST)
    true, estimate = (
        np.where(values < _LOWEST, none, np.minimum(values, _HIGHEST))
        for values in (comparison.true[seen], comparison.estimate[seen])
    )
    edges = np.array([_NONE, *np.geomspace(_LOWEST, _HIGHEST, 121)])
    *_, image = axis.hist2d(true, estimate, [edges, edges], norm=LogNorm(vmin=1), cmap="magma_r")
    axis.plot([_LOWEST, _HIGHEST], [_LOWEST, _HIGHEST], color=INK, lw=0.8)
    axis.set(xscale="log", yscale="log")
    for along, line, thresholds in (
        (axis.xaxis, axis.axvline, TRUE_CLASSES),
        (axis.yaxis, axis.axhline, comparison.thresholds),
    ):
        line(_LOWEST, color=FAINT, lw=0.5)
        line(thresholds.thin, color=FAINT, lw=0.8, ls=":")
        line(thresholds.thick, color=FAINT, lw=0.8, ls=":")
        along.set_ticks([none, *_TICKS], ["0", *map("{:g}".format, _TICKS)])
    axis.set(xlabel="true thickness", ylabel="estimated thickness", aspect="equal")
    axis.set_title(comparison.model, loc="left", color=INK, weight="bold", fontsize=11)
    return image


def _reliability(axis: Axes, comparisons: Sequence[Comparison]) -> None:
    for comparison, colour in zip(comparisons, CURVES, strict=False):
        axis.plot(
            *reliability(comparison), "o-", color=colour, ms=4, lw=1.2, label=comparison.model
        )
    limits = (_LOWEST, 30.0)
    axis.plot(limits, limits, color=INK, lw=0.8)
    axis.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    axis.set(xlabel="stated uncertainty", ylabel="root mean square error")
    for along in (axis.xaxis, axis.yaxis):
        along.set_major_formatter("{x:g}")
    axis.legend(frameon=False, fontsize=9)
    axis.set_title("Error against uncertainty", loc="left", color=INK, weight="bold", fontsize=11)


def _colourbar(figure: Figure, image: Any, axis: Axes, ticks: Sequence[float]) -> None:
    bar = figure.colorbar(image, ax=axis, ticks=list(ticks), pad=0.02)
    bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks], fontsize=8)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
