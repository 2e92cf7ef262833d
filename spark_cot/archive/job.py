"""A run of a command: its stages put together into the run report."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from spark_cot import __version__
from spark_cot.commit.ledger import LedgerEntry
from spark_cot.commit.state import read_log
from spark_cot.engine.outcome import Outcome, StageResult
from spark_cot.models.bundle import Bundle
from spark_cot.report.run import (
    Failure,
    Picture,
    RunReport,
    SceneResult,
    Section,
    StageSummary,
    State,
    write_report,
)
from spark_cot.tables.workspace import ITEM_NAME, QUICKLOOK_NAME, Workspace

_SOFTWARE: Final = ("pyspark", "pyarrow", "torch", "rasterio")

#: The stages whose outcomes are scenes of a workspace.
_SCENE_STAGES: Final = ("ingest", "apply", "products")

#: A scene's state over all stages is the first of these that one of them left it in.
_PRECEDENCE: Final[tuple[State, ...]] = ("failed", "given-up", "done", "skipped")


@dataclass(slots=True)
class Job:
    """What a command was asked for, the stages that have ended, and what else it has to show.

    Pictures of the sections are given by their place on disk.
    """

    command: str
    options: dict[str, str]
    bundle: Bundle | None = None
    stages: list[StageResult] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def report(self, folder: Path, workspace: Workspace | None = None) -> Path:
        """Write the report into ``folder``; path of its page."""
        seconds = sum(stage.seconds for stage in self.stages)
        report = RunReport(
            command=self.command,
            options=self.options,
            started=datetime.now(UTC) - timedelta(seconds=seconds),
            seconds=seconds,
            stages=[_stage(stage) for stage in self.stages],
            scenes=self._scenes(workspace) if workspace else [],
            rest=self._rest(),
            failures=[
                Failure(outcome.source, stage.stage, outcome.reason, outcome.name)
                for stage in self.stages
                for outcome in stage.outcomes
                if outcome.state in ("failed", "given-up")
            ],
            passed_over=[item for stage in self.stages for item in stage.passed_over],
            sections=[_linked(section, folder) for section in self.sections],
            model=self._model(),
            software=dict(_versions()),
        )
        return write_report(report, folder)[1]

    def _scenes(self, workspace: Workspace) -> list[SceneResult]:
        """The scenes that had work to do."""
        outcomes: dict[str, list[Outcome]] = {}
        for stage in self.stages:
            for outcome in stage.outcomes if stage.stage in _SCENE_STAGES else ():
                outcomes.setdefault(outcome.name, []).append(outcome)
        log = read_log(workspace)
        ingested, products = log.entries("ingest", outcomes), log.entries("products", outcomes)
        return [
            _scene(workspace, ingested.get(name), products.get(name), outcomes[name])
            for name in sorted(outcomes)
        ]

    def _rest(self) -> dict[State, int]:
        """How many scenes had none, by state."""
        rests = [stage.rest for stage in self.stages if stage.stage in _SCENE_STAGES]
        states = {state for rest in rests for state in rest}
        return {state: max(rest.get(state, 0) for rest in rests) for state in sorted(states)}

    def _model(self) -> dict[str, str]:
        if self.bundle is None:
            return {}
        return {"name": self.bundle.name, "hash": self.bundle.id}


def _versions() -> Iterator[tuple[str, str]]:
    """What took part, as far as it says its version: code in a zip file has none."""
    yield "python", platform.python_version()
    yield "spark-cot", __version__
    for name in _SOFTWARE:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _linked(section: Section, folder: Path) -> Section:
    """The section with the paths of its pictures relative to the report's folder."""
    pictures = [Picture(os.path.relpath(p.path, folder), p.caption) for p in section.pictures]
    return replace(section, pictures=pictures)


def _stage(result: StageResult) -> StageSummary:
    return StageSummary(
        name=result.stage,
        seconds=result.seconds,
        scenes=result.count("done"),
        rows=result.rows,
        skipped=result.count("skipped"),
        failed=result.count("failed"),
        superseded=result.count("superseded"),
    )


def _scene(
    workspace: Workspace,
    ingested: LedgerEntry | None,
    product: LedgerEntry | None,
    outcomes: list[Outcome],
) -> SceneResult:
    state = next(s for s in _PRECEDENCE if any(outcome.state == s for outcome in outcomes))
    name, source = outcomes[0].name, outcomes[0].source
    record = ingested.scene if ingested is not None else None
    if record is None:
        return SceneResult(name, "", "", state, source=source)
    folder = workspace.product(record.tile, record.date, name)
    details = product.details if product is not None else {}
    shown = "item" in details
    link = Path("..") / folder.relative_to(workspace.root)
    return SceneResult(
        scene_id=name,
        tile=record.tile,
        date=record.date,
        state=state,
        rows=record.valid_pixels,
        cover=details.get("cover", {}),
        quicklook=(link / QUICKLOOK_NAME).as_posix() if shown else None,
        item=(link / ITEM_NAME).as_posix() if shown else None,
        outside=details.get("outside"),
        source=source,
    )
