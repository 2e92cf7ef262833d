"""What `docs/models.md` says of thin cloud, measured again: `python docs/evidence.py TABLE`.

TABLE is a synthetic table; its test rows are read. The tables between the page's markers and the
figures beside them are rewritten for the models that ship.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_cot.archive.simulate import read_synthetic
from spark_cot.evaluate.bias import bias_figure, low_water_bias, read_rows, surface_group
from spark_cot.evaluate.ramp import brightness_ramps, ramps_figure
from spark_cot.evaluate.two_dates import (
    CLOUDS,
    GROUNDS,
    read_two_dates,
    thinnest_seen,
    two_dates_figure,
)
from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import load_bundle
from spark_cot.models.shipped import DEFAULT, SHIPPED, shipped_model
from spark_cot.simulate.world.surfaces import GROUPS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "models.md"
FIGURES: Final = ROOT / ".readme"
DPI: Final = 80

#: Thicknesses over which the models are asked for estimate over truth, sun at 30 degrees.
SHOWN: Final = (1.0, 1.5, 2.0, 3.0)


def main(table: Path) -> None:
    """Rewrite the page's tables and its figures."""
    rows = read_synthetic(table, ["test"])
    models = {name: Predictor(load_bundle(shipped_model(name))) for name in SHIPPED}
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (
        ("seen from", seen_from(models)),
        ("estimate over truth", over_truth(models)),
        ("low water cloud", low_water(models, rows)),
        ("brightness", brightness(models)),
    ):
        text = replaced(text, name, content)
    PAGE.write_text(text, encoding="utf-8")
    for name, figure in figures(models[DEFAULT], rows).items():
        figure.savefig(FIGURES / f"{name}.png", dpi=DPI)


def replaced(page: str, name: str, content: str) -> str:
    """The page with the content between the markers of that name."""
    pattern = rf"(<!-- measured: {name} -->\n).*?(<!-- end of measured -->)"
    page, count = re.subn(pattern, lambda m: f"{m[1]}\n{content}\n{m[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"the page has {count} places for {name!r}, expected 1")
    return page


def seen_from(models: dict[str, Predictor]) -> str:
    """True thickness from which on a cloud is classed thin or thick, by cloud and ground."""
    seen = {
        name: thinnest_seen(read_two_dates(model), model.thresholds.thin)
        for name, model in models.items()
    }
    lines = (
        (cloud, ground, *(written(seen[name][cloud, ground]) for name in models))
        for cloud in CLOUDS
        for ground in GROUNDS
    )
    return markdown(("cloud", "over", *(f"`{name}`" for name in models)), lines)


def over_truth(models: dict[str, Predictor]) -> str:
    """Estimate over truth of the water cloud at COT 1, 1.5, 2 and 3, by ground."""

    def cells(name: str, ground: str) -> str:
        read = read_two_dates(models[name]).filter(
            (pc.field("ground") == ground)
            & (pc.field("cloud") == "water")
            & (pc.field("sun_zenith") == 30)
        )
        by_cot = dict(zip(read["cot"].to_pylist(), read["estimate"].to_pylist(), strict=True))
        return " / ".join(f"{by_cot[cot] / cot:.2f}" for cot in SHOWN)

    lines = ((ground, *(cells(name, ground) for name in models)) for ground in GROUNDS)
    return markdown(("over", *(f"`{name}`" for name in models)), lines)


def low_water(models: dict[str, Predictor], rows: pa.Table) -> str:
    """Median of estimate over truth and share within one std, COT 1-2, top below 3 km."""
    group = surface_group(rows)
    parts = {"all": np.ones(len(rows), bool)}
    parts |= {name.replace("_", ", "): group == place for place, name in enumerate(GROUPS)}
    read = {name: read_rows(model, rows) for name, model in models.items()}
    lines = []
    for ground, mine in parts.items():
        chosen = rows.filter(pa.array(mine))
        found = [low_water_bias(chosen, cot[mine], std[mine]) for cot, std in read.values()]
        cells = [f"{each['median']:.2f}, {100 * each['within']:.0f} %" for each in found]
        lines.append((ground, f"{found[0]['rows']:,.0f}", *cells))
    return markdown(("ground", "rows", *(f"`{name}`" for name in models)), lines)


def brightness(models: dict[str, Predictor]) -> str:
    """Smallest estimate over the largest before it, of all ramps of water and of ice."""

    def least(model: Predictor, cloud: str) -> str:
        ramps = [ramp for ramp in brightness_ramps(model) if ramp.cloud == cloud]
        return f"{min(ramp.steadiness for ramp in ramps):.2f}"

    lines = ((cloud, *(least(model, cloud) for model in models.values())) for cloud in CLOUDS)
    return markdown(("white cloud", *(f"`{name}`" for name in models)), lines)


def figures(model: Predictor, rows: pa.Table) -> dict[str, Figure]:
    """The figures of one model, by the file's name."""
    return {
        "two-dates": two_dates_figure(read_two_dates(model)),
        "bias": bias_figure(rows, *read_rows(model, rows)),
        "brightness": ramps_figure(brightness_ramps(model)),
    }


def written(cot: float) -> str:
    """A thickness, or that there is none."""
    return "not up to 10" if math.isnan(cot) else f"{cot:.2f}"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    rows = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
