"""Quicklook PNG: true colour, optical thickness and classes of a scene, side by side.

Colour scales are fixed, so that the quicklooks of an archive compare with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from spark_cot.models.classes import CloudClass, Thresholds
from spark_cot.msi import REFLECTANCE_SCALE
from spark_cot.products.decimate import block_factor, block_majority, block_mean
from spark_cot.style import COT_COLOURS, COT_TICKS, GAMMA, LINEAR, NODATA_COLOUR, THICKEST, WHITE

#: Longest side of a panel in pixels.
PANEL: Final = 560

_INK, _FAINT, _HAIRLINE = "#1f2933", "#66727f", "#c9cfd6"

_DPI: Final = 100
_MARGIN, _GAP, _HEADER, _TITLE, _FOOTER = 30, 26, 92, 28, 72
_NARROWEST: Final = 400


@dataclass(frozen=True, slots=True)
class Overview:
    """A scene small enough to look at.

    Attributes
    ----------
    rgb : NDArray[np.float32]
        TOA reflectance of B04, B03, B02, shape ``(ny, nx, 3)``, NaN nodata.
    cot : NDArray[np.float32]
        Optical thickness at 550 nm, shape ``(ny, nx)``, NaN nodata.
    cloud_class : NDArray[np.uint8]
        Codes of ``CloudClass``, shape ``(ny, nx)``.
    pixel_m : float
        Size of a pixel, metres.
    """

    rgb: NDArray[np.float32]
    cot: NDArray[np.float32]
    cloud_class: NDArray[np.uint8]
    pixel_m: float


@dataclass(frozen=True, slots=True)
class Caption:
    """What the quicklook says: a title, lines below it, and the cover of each class in percent.

    Nodata in percent of all pixels, the other classes in percent of the valid ones.
    """

    title: str
    lines: tuple[str, ...]
    thresholds: Thresholds
    cover: Mapping[CloudClass, float]


def make_overview(
    reflectance: Callable[[str], NDArray[np.int16]],
    cot: NDArray[np.float32],
    cloud_class: NDArray[np.uint8],
    resolution: int,
) -> Overview:
    """Decimate a scene to panels of at most ``PANEL`` pixels; nodata takes no part.

    Parameters
    ----------
    reflectance : Callable[[str], NDArray[np.int16]]
        TOA reflectance x 10000 of a band, shape ``(ny, nx)``; one band is held at a time.
    cot : NDArray[np.float32]
        Shape ``(ny, nx)``, NaN nodata.
    cloud_class : NDArray[np.uint8]
        Shape ``(ny, nx)``; 0, nodata, decides what is valid in all bands.
    resolution : int
        Pixel size, metres.
    """
    ny, nx = cloud_class.shape
    factor = block_factor((ny, nx), PANEL)
    valid = cloud_class != CloudClass.NODATA
    bands = [block_mean(reflectance(band), valid, factor) for band in ("B04", "B03", "B02")]
    return Overview(
        rgb=np.stack(bands, axis=-1) / np.float32(REFLECTANCE_SCALE),
        cot=block_mean(cot, valid, factor),
        cloud_class=block_majority(cloud_class, factor),
        pixel_m=float(resolution * factor),
    )


def write_quicklook(path: Path, overview: Overview, caption: Caption) -> None:
    """Draw the three panels as a PNG of at most about 1800 x 780 pixels; equal input, equal bytes.

    Panels are drawn at a whole-number zoom, so no pixel is interpolated. North is up; grey is
    nodata.
    """
    with matplotlib.style.context("default", after_reset=True):  # whatever a user's rc file says
        page = _Page(*overview.cloud_class.shape)
        _header(page, caption)
        _true_colour(page, overview)
        _thickness(page, overview.cot, caption.thresholds)
        _classes(page, overview.cloud_class, caption)
        page.figure.savefig(path, format="png", metadata={"Software": None})


class _Page:
    """A figure measured in pixels from its upper left corner, with three cells for panels."""

    def __init__(self, ny: int, nx: int) -> None:
        zoom = max(1, PANEL // max(ny, nx))
        self.panel = nx * zoom, ny * zoom
        self.cell = max(nx * zoom, _NARROWEST)
        self.width = 2 * _MARGIN + 3 * self.cell + 2 * _GAP
        self.height = _MARGIN + _HEADER + _TITLE + ny * zoom + _FOOTER + _MARGIN
        self.figure = Figure(
            figsize=(self.width / _DPI, self.height / _DPI), dpi=_DPI, facecolor="white"
        )
        FigureCanvasAgg(self.figure)
        self.below = _MARGIN + _HEADER + _TITLE + ny * zoom

    def left(self, cell: int) -> int:
        return _MARGIN + cell * (self.cell + _GAP)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose upper left corner is at pixel (x, y)."""
        return self.figure.add_axes(
            (
                x / self.width,
                1 - (y + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )

    def text(self, x: float, y: float, text: str, size: float = 9, **overrides: Any) -> None:
        """Text whose upper left corner is at pixel (x, y); never read as mathematics."""
        style: dict[str, Any] = {"color": _INK, "va": "top", "parse_math": False} | overrides
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, **style)

    def panel_axes(self, cell: int, title: str) -> Axes:
        self.text(self.left(cell), _MARGIN + _HEADER, title, 10.5, weight="bold")
        axes = self.axes(self.left(cell), _MARGIN + _HEADER + _TITLE, *self.panel)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=_HAIRLINE, linewidth=0.8)
        return axes


def _header(page: _Page, caption: Caption) -> None:
    page.text(_MARGIN, _MARGIN, caption.title, 15, weight="bold")
    for number, line in enumerate(caption.lines):
        page.text(_MARGIN, _MARGIN + 32 + 20 * number, line, 9.5, color=_FAINT)


def _true_colour(page: _Page, overview: Overview) -> None:
    axes = page.panel_axes(0, "True colour")
    nodata = np.isnan(overview.rgb)
    stretched = np.clip(np.where(nodata, 0, overview.rgb) / WHITE, 0, 1) ** (1 / GAMMA)
    axes.imshow(np.where(nodata, to_rgb(NODATA_COLOUR), stretched), interpolation="nearest")
    _scale_bar(axes, overview)
    note = f"B04 B03 B02, TOA reflectance 0 to {WHITE:g}, gamma {GAMMA:g}"
    page.text(page.left(0), page.below + 14, note, 8.5, color=_FAINT)


def _scale_bar(axes: Axes, overview: Overview) -> None:
    """Bar of a round length, about a quarter of the panel, in the lower left corner."""
    ny, nx, _ = overview.rgb.shape
    metres = _round_down(nx * overview.pixel_m / 4)
    x, y = 0.03 * nx, ny - 0.03 * max(ny, nx)
    length = metres / overview.pixel_m
    outline = [withStroke(linewidth=4.5, foreground="black", alpha=0.55)]
    axes.plot(
        [x, x + length], [y, y], color="white", lw=2.5, path_effects=outline, scalex=False,
        scaley=False, solid_capstyle="butt",
    )  # fmt: skip
    label = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    axes.annotate(
        label, (x, y), (0, 4), textcoords="offset points", color="white", fontsize=8.5,
        path_effects=[withStroke(linewidth=2.5, foreground="black", alpha=0.55)],
    )  # fmt: skip


def _round_down(length: float) -> float:
    """Largest 1, 2 or 5 times a power of ten that is at most ``length``."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length)


def _thickness(page: _Page, cot: NDArray[np.float32], thresholds: Thresholds) -> None:
    axes = page.panel_axes(1, "Cloud optical thickness at 550 nm")
    colours = matplotlib.colormaps[COT_COLOURS].with_extremes(bad=NODATA_COLOUR)
    norm = AsinhNorm(linear_width=LINEAR, vmin=0, vmax=THICKEST, clip=True)
    image = axes.imshow(cot, cmap=colours, norm=norm, interpolation="nearest")
    scale = page.axes(page.left(1), page.below + 34, page.cell, 14)
    page.figure.colorbar(image, cax=scale, orientation="horizontal", ticks=list(COT_TICKS))
    scale.xaxis.set_major_formatter("{x:g}")
    scale.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    scale.tick_params(labelsize=8.5, length=3, color=_FAINT, labelcolor=_INK)
    scale.spines["outline"].set_visible(False)
    for name, value, side, gap in (
        ("thin", thresholds.thin, "right", -3),
        ("thick", thresholds.thick, "left", 3),
    ):
        scale.axvline(value, color="white", lw=1.6)
        scale.annotate(
            f"{name} from {value:g}", (value, 1), (gap, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha=side, fontsize=8.5, color=_INK,
        )  # fmt: skip
        scale.annotate(
            "", (value, 1), (0, 7), xycoords=("data", "axes fraction"), textcoords="offset points",
            arrowprops={"arrowstyle": "-|>", "color": _INK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _classes(page: _Page, cloud_class: NDArray[np.uint8], caption: Caption) -> None:
    axes = page.panel_axes(2, "Classes")
    palette = np.array([to_rgb(_colour(code)) for code in CloudClass])
    axes.imshow(palette[cloud_class], interpolation="nearest")
    legend = page.axes(page.left(2), page.below, page.cell, _FOOTER)
    legend.set(xlim=(0, page.cell), ylim=(_FOOTER, 0))
    legend.set_axis_off()
    order = (CloudClass.CLEAR, CloudClass.THIN, CloudClass.THICK, CloudClass.NODATA)
    for place, code in enumerate(order):
        x = place * page.cell / len(order)
        box = Rectangle((x + 0.5, 17), 14, 14, facecolor=palette[code], edgecolor=_FAINT, lw=0.8)
        legend.add_patch(box)
        legend.text(x + 22, 28, code.style.name, fontsize=9, color=_INK)
        share = f"{caption.cover[code]:.1f} %" + (" of all" if code is CloudClass.NODATA else "")
        legend.text(x + 22, 47, share, fontsize=9, color=_FAINT)


def _colour(code: CloudClass) -> str:
    return NODATA_COLOUR if code is CloudClass.NODATA else f"#{code.style.color_hint}"
