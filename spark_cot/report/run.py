"""The run report: what a job did, how fast, and what failed, as JSON and as a page to read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import quote

from spark_cot.models.classes import CloudClass
from spark_cot.products.files import write_errors
from spark_cot.report.pages import templates
from spark_cot.safe import PassedOver
from spark_cot.secrets import hidden_in
from spark_cot.storage import write_text

State = Literal["done", "skipped", "failed", "given-up", "superseded"]
STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, slots=True)
class StageSummary:
    """One stage of a run: wall seconds, rows it wrote, scenes it processed and the others."""

    name: str
    seconds: float
    scenes: int
    rows: int
    skipped: int = 0
    failed: int = 0
    superseded: int = 0

    @property
    def mpx_per_s(self) -> float:
        """Million rows, that is pixels, per second."""
        return self.rows / self.seconds / 1e6 if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class SceneResult:
    """What became of a scene that had work to do.

    Attributes
    ----------
    scene_id, tile, date : str
    state : {"done", "failed"}
    rows : int
        Valid pixels.
    cover : Mapping[str, float]
        Percent of the valid pixels by class name; empty if unknown.
    quicklook, item : str, optional
        Paths relative to the report's folder.
    outside : float, optional
        Percent of the valid pixels outside the range that the model was trained on.
    source : str
        Path of the product.
    """

    scene_id: str
    tile: str
    date: str
    state: State
    rows: int = 0
    cover: Mapping[str, float] = field(default_factory=dict)
    quicklook: str | None = None
    item: str | None = None
    outside: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that could not be processed, the stage that gave up on it, and why."""

    source: str
    stage: str
    reason: str
    scene_id: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and the line below it; the path is relative to the report's folder."""

    path: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Something a command has to show beside its scenes; whatever is empty is left out.

    Attributes
    ----------
    title, text : str
        Heading, and a paragraph below it.
    header : Sequence[str]
        Names of the table's columns; the first is left aligned, the others are numbers.
    rows : Sequence[Sequence[str]]
        The table.
    pictures : Sequence[Picture]
    commands : Sequence[tuple[str, str]]
        What a command line is good for, and the line.
    bars : Sequence[tuple[str, int]]
        Labelled numbers, drawn as a bar each.
    """

    title: str
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[Picture] = ()
    commands: Sequence[tuple[str, str]] = ()
    bars: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that is worth knowing about one run of a job.

    Attributes
    ----------
    command : str
        Name of the command, such as ``run``.
    options : Mapping[str, str]
        The options in effect.
    started : datetime
        With time zone.
    seconds : float
        Wall time.
    stages : Sequence[StageSummary]
    scenes : Sequence[SceneResult]
        Those that are done and those that failed in this run.
    rest : Mapping[State, int]
        How many further scenes there are in each state: a report is as long as the run.
    failures : Sequence[Failure]
    passed_over : Sequence[PassedOver]
        What the archive holds beside products.
    sections : Sequence[Section]
        What else the command has to show.
    model : Mapping[str, str]
        Name, hash and thresholds of the model; empty if none took part.
    software : Mapping[str, str]
        Versions by name.
    """

    command: str
    options: Mapping[str, str]
    started: datetime
    seconds: float
    stages: Sequence[StageSummary] = ()
    scenes: Sequence[SceneResult] = ()
    rest: Mapping[State, int] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    passed_over: Sequence[PassedOver] = ()
    sections: Sequence[Section] = ()
    model: Mapping[str, str] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)

    @property
    def states(self) -> dict[State, int]:
        """Number of scenes in each state."""
        found = Counter[State](scene.state for scene in self.scenes)
        return {state: found[state] + self.rest.get(state, 0) for state in STATES}

    @property
    def name(self) -> str:
        """File stem: UTC start and command, so that a folder of reports sorts by time."""
        command = re.sub(r"[^\w-]", "_", self.command)
        return f"{self.started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{command}"

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, with the derived figures and without secrets."""
        content = asdict(self)
        content["started"] = self.started.isoformat()
        content["states"] = self.states
        del content["rest"]  # part of the states
        for stage, facts in zip(self.stages, content["stages"], strict=True):
            facts["mpx_per_s"] = stage.mpx_per_s
        return dict(hidden_in(content))


def write_report(report: RunReport, folder: Path) -> tuple[Path, Path]:
    """Write ``<start>-<command>.json`` and ``.html`` into ``folder``; give both paths.

    The page needs no other file; quicklooks and items are linked by relative path.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    paths = folder / f"{report.name}.json", folder / f"{report.name}.html"
    content = json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    with write_errors(folder):
        write_text(paths[0], _spelled(content + "\n"))
        write_text(paths[1], _spelled(render(report)))
    return paths


def _spelled(text: str) -> str:
    """The text with bytes of names that are no UTF-8 spelled out, as JSON does too."""
    return text.encode(errors="backslashreplace").decode()


def render(report: RunReport) -> str:
    """The report as one HTML page; all text in it is escaped."""
    environment = templates()
    environment.filters |= {"duration": _duration, "url": quote, "count": "{:,}".format}
    return environment.get_template("run.html").render(
        report=report,
        longest=max((stage.seconds for stage in report.stages), default=0.0) or 1.0,
        classes=[code.style for code in CloudClass if code is not CloudClass.NODATA],
    )


def _duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
