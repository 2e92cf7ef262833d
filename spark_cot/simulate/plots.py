"""The pictures a scientist asks for: thickness, bands and heights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.simulate.column import simulate
from spark_cot.simulate.optics import load_optics
from spark_cot.simulate.world.states import ICE, WATER, standard_states
from spark_cot.simulate.world.surfaces import surface_library

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

#: Surface classes of the pictures; the member nearest to the class's median stands for it.
SURFACES: Final = ("water", "forest", "sand_rock_bright", "snow_ice")

_COT: Final = np.geomspace(0.05, 50, 40)
_TYPE_COLOURS: Final = {
    "clear": "0.35",
    "water": "tab:blue",
    "ice": "tab:cyan",
    "ice_over_water": "tab:purple",
    "mixed_phase": "tab:orange",
}
_THICK: Final = 5.0


def typical_surface(surface_class: str) -> int:
    """Row of the library nearest to the median of its class."""
    library = surface_library()
    rows = library.members(surface_class)
    spectra = library.reflectance[rows]
    distance = np.abs(spectra - np.median(spectra, axis=0)).sum(axis=1)
    return int(rows[np.argmin(distance)])


def thickness_figure() -> Figure:
    """Reflectance against COT for every band, four surfaces, water cloud and ice cloud."""
    figure = Figure(figsize=(15, 8), layout="constrained")
    axes = figure.subplots(2, len(SURFACES), sharex=True, sharey=True)
    for row, (kind, name) in enumerate(((WATER, "water"), (ICE, "ice"))):
        for column, surface in enumerate(SURFACES):
            rho = _over(typical_surface(surface), kind)
            _thickness_panel(axes[row, column], rho, f"{name} cloud over {surface}")
    figure.supxlabel("cloud optical thickness at 550 nm")
    figure.supylabel("TOA reflectance")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def spectrum_figure() -> Figure:
    """Spectra of four surfaces under clear sky, thin and thick cloud of water and of ice."""
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    axes = figure.subplots(1, len(SURFACES), sharey=True)
    wavelength = [band.wavelength_nm for band in BANDS]
    for axis, surface in zip(axes, SURFACES, strict=True):
        row = typical_surface(surface)
        axis.plot(wavelength, surface_library().reflectance[row], "k:", label="ground")
        for kind, colour, name in ((WATER, "tab:blue", "water"), (ICE, "tab:red", "ice")):
            rho = _over(row, kind, np.array([0.0, 1.0, 20.0]))
            if kind == WATER:
                axis.plot(wavelength, rho[0], "k.-", label="clear sky")
            axis.plot(wavelength, rho[1], ".--", color=colour, label=f"{name}, COT 1")
            axis.plot(wavelength, rho[2], ".-", color=colour, label=f"{name}, COT 20")
        axis.set(title=surface, xlabel="wavelength (nm)", xscale="log")
        axis.set_xticks([450, 665, 865, 1375, 2200], ["450", "665", "865", "1375", "2200"])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("TOA reflectance")
    axes[0].legend(fontsize="small")
    return figure


def histogram_figure(table: pa.Table) -> Figure:
    """Distribution of every band's reflectance by cloud type in a synthetic table."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    axes = figure.subplots(3, 5).ravel()
    kinds = table["cloud_type"].to_numpy().astype(str)
    edges = np.linspace(0, 1.2, 61)
    for axis, band in zip(axes, BAND_IDS, strict=False):
        values = table[band].to_numpy()
        for kind, colour in _TYPE_COLOURS.items():
            chosen = values[kinds == kind]
            axis.hist(chosen, edges, density=True, histtype="step", color=colour, label=kind)
        axis.set(title=band, yscale="log", ylim=(1e-3, 100))
    for axis in axes[len(BAND_IDS) :]:
        axis.remove()
    axes[0].legend(fontsize="small")
    figure.supxlabel("TOA reflectance")
    figure.supylabel("probability density")
    return figure


def height_figure(table: pa.Table) -> Figure:
    """B09/B8A and B10 against the height of the cloud top in a synthetic table."""
    kinds = table["cloud_type"].to_numpy().astype(str)
    high = np.isin(kinds, ("ice", "ice_over_water"))
    top = np.where(high, table["ice_top"].to_numpy(), table["water_top"].to_numpy())
    thick = (table["cot"].to_numpy() > _THICK) & (table["cloud_fraction"].to_numpy() == 1)
    b09, b8a, b10 = (table[band].to_numpy() for band in ("B09", "B8A", "B10"))
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    for axis, values, label in zip(panels, (b09 / b8a, b10), ("B09 / B8A", "B10"), strict=True):
        for kind, colour in _TYPE_COLOURS.items():
            chosen = thick & (kinds == kind)
            if chosen.any():
                axis.plot(
                    top[chosen], values[chosen], ".", ms=2, alpha=0.4, color=colour, label=kind
                )
        axis.set(xlabel="height of the cloud top (km)", ylabel=label)
        axis.grid(alpha=0.3)
    figure.suptitle(f"cloud of COT > {_THICK:g}, whole pixels")
    panels[0].legend(markerscale=5)
    return figure


def save_figures(table: pa.Table, folder: Path) -> list[Path]:
    """Write the four pictures as PNG; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "thickness": thickness_figure(),
        "spectra": spectrum_figure(),
        "bands": histogram_figure(table),
        "heights": height_figure(table),
    }
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def _over(surface: int, kind: int, cot: NDArray[np.float64] = _COT) -> NDArray[np.float64]:
    """Reflectance (cot, 13) of water or ice clouds of given thickness over a surface."""
    states = standard_states(
        cot.size,
        cloud_type=kind,
        surface=surface,
        second_surface=surface,
        **{"water_cot" if kind == WATER else "ice_cot": cot},
    )
    return simulate(states, load_optics())


def _thickness_panel(axis: Axes, rho: NDArray[np.float64], title: str) -> None:
    colours = colormaps["turbo"](np.linspace(0.05, 0.95, len(BAND_IDS)))
    for band, colour, curve in zip(BAND_IDS, colours, rho.T, strict=True):
        axis.plot(_COT, curve, color=colour, label=band)
    axis.set(title=title, xscale="log", ylim=(0, 1.1))
    axis.grid(alpha=0.3)
