"""The model card: what a model is, how it was made, and how far it can be trusted, as one page.

After Mitchell et al. 2019, "Model Cards for Model Reporting", doi 10.1145/3287560.3287596.
"""

from __future__ import annotations

import base64
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spark_cot.evaluate.bias import (
    bias_checks,
    bias_figure,
    bias_table,
    held_out,
    read_rows,
)
from spark_cot.evaluate.ramp import brightness_ramps, ramp_checks, ramps_figure
from spark_cot.evaluate.two_dates import (
    CLOUDS,
    COTS,
    GROUNDS,
    read_two_dates,
    thinnest_seen,
    two_date_checks,
    two_dates_figure,
)
from spark_cot.infer.predictor import Predictor
from spark_cot.products.files import write_errors
from spark_cot.report.pages import templates
from spark_cot.simulate.validate.report import Report
from spark_cot.storage import write_text

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from spark_cot.models.bundle import Bundle

_DPI: Final = 110


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the card; whatever is empty is left out.

    Attributes
    ----------
    title, text : str
        Heading, and a paragraph below it.
    facts : Mapping[str, str]
        Names and what stands for them.
    header, rows : Sequence
        A table; its first column is left aligned, the others are numbers.
    figure : str
        A picture as a ``data:`` URI, so that the page needs no other file.
    """

    title: str
    text: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figure: str = ""


def write_card(bundle: Bundle, rows: pa.Table | None, path: Path) -> Path:
    """Write the card of a model as one HTML page.

    Parameters
    ----------
    bundle : Bundle
    rows : pyarrow.Table, optional
        Of the synthetic table; those of its test split say where the model is biased. Without them
        the card says nothing of that.
    path : Path
        File to write.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    ModelError
        If the rows lack an input of the model.
    """
    content = render_card(bundle, rows)
    with write_errors(path):
        write_text(path, content)
    return path


def render_card(bundle: Bundle, rows: pa.Table | None = None) -> str:
    """The card as HTML; all text in it is escaped. Parameters as of `write_card`."""
    predictor = Predictor(bundle)
    checks = two_date_checks(predictor) + ramp_checks(predictor)
    parts = [*_made(bundle), *_scores(bundle.metrics), *_two_dates(predictor), _ramps(predictor)]
    if rows is not None:
        checks += bias_checks(predictor, rows)
        parts += _bias(predictor, held_out(rows))
    report = Report(tuple(checks))
    return templates().get_template("card.html").render(
        bundle=bundle, report=report, parts=[*parts, _held_to(report)]
    )  # fmt: skip


def _made(bundle: Bundle) -> Iterator[Part]:
    document = bundle.document
    yield Part(
        "Inputs",
        "What the model reads of a pixel, and what it saw of it in training.",
        header=("input", "unit", "mean", "standard deviation"),
        rows=[
            (row["column"], row["unit"], f"{row['mean']:.4g}", f"{row['std']:.4g}")
            for row in document["inputs"]
        ],
    )
    thresholds = {name: _text(value) for name, value in document["thresholds"].items()}
    yield Part("Thresholds", "Where thin and thick cloud begin.", facts=thresholds)
    shape = {name: _text(value) for name, value in document["architecture"].items()}
    yield Part("Network", facts=shape | {"target": _text(document["target"])})
    training = dict(bundle.training)
    recipe = training.pop("recipe", {})
    made = {name: _text(value) for name, value in training.items()}
    yield Part("Training", bundle.source, facts=made)
    if recipe:
        facts = {name: _text(value) for name, value in recipe.items() if name != "inputs"}
        yield Part("Recipe", facts=facts)


def _scores(metrics: Mapping[str, Any]) -> Iterator[Part]:
    """Scores as facts, and as one table for all that are given for the same cases."""
    single: dict[str, str] = {}
    tables: defaultdict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    listed: list[Part] = []
    for name, value in metrics.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            tables[tuple(value)].append((title, *map(_text, value.values())))
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            rows = [tuple(map(_text, row.values())) for row in value]
            listed.append(Part(f"Scores: {title}", header=tuple(value[0]), rows=rows))
        else:
            single[title] = _text(value)
    yield Part("Scores", "On simulated rows that training has not seen.", facts=single)
    for header, rows in tables.items():
        yield Part(f"Scores: {rows[0][0]}", header=("", *header), rows=rows)
    yield from listed


def _two_dates(predictor: Predictor) -> Iterator[Part]:
    read = read_two_dates(predictor)
    seen = thinnest_seen(read, predictor.thresholds.thin)
    thickness = [cot for cot in COTS if cot > 0]
    at_30 = {
        (row["cloud"], row["ground"], row["cot"]): row["estimate"]
        for row in read.to_pylist()
        if row["sun_zenith"] == 30
    }
    yield Part(
        "How thin a cloud does it see, over which ground",
        "Estimates of clouds of known thickness over known ground, simulated with the sun 30 "
        "degrees from the zenith: a water cloud with its top at 2 km, an ice cloud with its top at "
        "11 km. The second column is the thickness from which on a cloud is classed thin or thick.",
        header=("cloud over ground", "seen from COT", *(f"COT {cot:g}" for cot in thickness)),
        rows=[
            (
                f"{cloud} over {ground}",
                f"{seen[cloud, ground]:.2f}",
                *(f"{at_30[cloud, ground, cot]:.2f}" for cot in thickness),
            )
            for cloud in CLOUDS
            for ground in GROUNDS
        ],
        figure=_picture(two_dates_figure(read)),
    )


def _ramps(predictor: Predictor) -> Part:
    return Part(
        "A white cloud that grows brighter",
        "All bands rise in proportion, beyond what flat cloud reaches, as sunlit sides of clouds "
        "do. An estimate must never fall below a third of the largest one before it.",
        figure=_picture(ramps_figure(brightness_ramps(predictor))),
    )


def _bias(predictor: Predictor, rows: pa.Table) -> Iterator[Part]:
    read = read_rows(predictor, rows)
    yield Part(
        "Where it reads too thin or too thick",
        f"Median of estimate over truth, {len(rows):,} simulated rows of the test split without "
        "noise. Grey parts have too few rows.",
        figure=_picture(bias_figure(rows, *read)),
    )
    table = bias_table(rows, *read, ("phase", "thickness"))
    yield Part(
        "Bias by phase and thickness",
        "Estimate over truth, and the share of the errors that are at most one cot_std.",
        header=("cloud", "COT", "rows", "16 %", "median", "84 %", "within one cot_std"),
        rows=[
            (
                row["phase"],
                row["thickness"],
                f"{row['rows']:,}",
                *(f"{row[name]:.2f}" for name in ("p16", "median", "p84")),
                f"{row['within']:.0%}",
            )
            for row in table.to_pylist()
        ],
    )


def _held_to(report: Report) -> Part:
    return Part(
        "What it is held to", header=Report.HEADER, rows=[check.cells for check in report.checks]
    )


def _picture(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, dpi=_DPI, format="png")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
