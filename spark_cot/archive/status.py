"""The state of a workspace as its log tells it: coverage, failures, models, disk, runs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from spark_cot.commit.inventory import usage
from spark_cot.commit.ledger import STAGES, Entries, LedgerEntry
from spark_cot.commit.lock import holder
from spark_cot.commit.state import read_log
from spark_cot.report.run import Section
from spark_cot.storage import find
from spark_cot.tables.workspace import Workspace

#: Tile and month of a scene_id and of the names of products in the compact convention.
_TILE: Final = re.compile(r"_T(\d\d[A-Z]{3})(?:_|$)")
_MONTH: Final = re.compile(r"_(\d{4})(\d\d)\d\dT\d{6}(?:_|$)")
_UNKNOWN: Final = "unknown"

_DAYS_SHOWN: Final = 30


@dataclass(slots=True)
class Cell:
    """Scenes of a tile and month: with a product, failed in some stage, and neither."""

    done: int = 0
    failed: int = 0
    unfinished: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """A scene or product that failed, the stage and the attempts it took there."""

    name: str
    stage: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A model and its thresholds, and the scenes whose COT they made."""

    model: str
    hash: str
    thin_from: float
    thick_from: float
    scenes: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a command, from its report."""

    command: str
    started: str
    seconds: float
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class Status:
    """All of it.

    Attributes
    ----------
    coverage : mapping
        Cells by tile and month, ``2024-03``.
    failures : list[Failed]
    models : list[ModelInUse]
        The most used first.
    disk : mapping
        Bytes by folder of the workspace.
    runs : list[Run]
        The last ones, the newest first.
    at_work : str
        The job that holds the lock; empty if none does.
    """

    coverage: Mapping[str, Mapping[str, Cell]]
    failures: list[Failed] = field(default_factory=list)
    models: list[ModelInUse] = field(default_factory=list)
    disk: Mapping[str, int] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    at_work: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def status(workspace: Workspace, runs: int = 5) -> Status:
    """Read the state of ``workspace``, with its last ``runs`` runs; nothing is locked or written.

    Raises
    ------
    WorkspaceError
        Its log is missing or cannot be read.
    """
    log = read_log(workspace)
    entries = {stage: log.outlines(stage) for stage in STAGES}
    failures = [
        Failed(entry.name, stage, entry.attempt, entry.error)
        for stage in STAGES
        for entry in entries[stage].values()
        if entry.state == "failed"
    ]
    return Status(
        coverage=_coverage(entries),
        failures=sorted(failures, key=lambda failed: failed.name),
        models=_models(entries["apply"]),
        disk=usage(workspace),
        runs=list(_last_runs(workspace, runs)),
        at_work=str(holder(workspace) or ""),
    )


def operating_sections(workspace: Workspace) -> list[Section]:
    """What a run report shows of the workspace: disk used, scenes finished per day."""
    disk = [(name, _gigabytes(size)) for name, size in usage(workspace).items()]
    days = scenes_per_day(workspace)
    return [
        Section("Scenes per day", "Products finished, days in UTC.", bars=list(days.items())),
        Section("Disk used", header=("Folder", "GB"), rows=disk),
    ]


def scenes_per_day(workspace: Workspace) -> dict[str, int]:
    """Products finished on each of the last days, from the first on which there was any."""
    entries = read_log(workspace).outlines("products").values()
    finished = Counter(entry.finished_at[:10] for entry in entries if entry.state == "done")
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=n)).isoformat() for n in reversed(range(_DAYS_SHOWN))]
    first = min(finished, default=date.max.isoformat())
    return {day: finished[day] for day in days if day >= first}


def _coverage(entries: Entries) -> dict[str, dict[str, Cell]]:
    coverage: dict[str, dict[str, Cell]] = {}
    for name in sorted(set().union(*entries.values())):
        found = [stage[name].state for stage in entries.values() if name in stage]
        cell = coverage.setdefault(_part(_TILE, name), {}).setdefault(_part(_MONTH, name), Cell())
        if "failed" in found:
            cell.failed += 1
        elif name in entries["products"]:
            cell.done += 1
        else:
            cell.unfinished += 1
    return {tile: dict(sorted(months.items())) for tile, months in sorted(coverage.items())}


def _part(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    return "-".join(match.groups()) if match else _UNKNOWN


def _models(applied: Mapping[str, LedgerEntry]) -> list[ModelInUse]:
    names = ("model", "model_hash", "thin_from", "thick_from")
    found = Counter(
        tuple(entry.facts[f"spark_cot.{name}"] for name in names)
        for entry in applied.values()
        if "spark_cot.model" in entry.facts
    )
    return [
        ModelInUse(model, model_hash, float(thin), float(thick), scenes)
        for (model, model_hash, thin, thick), scenes in found.most_common()
    ]


def _last_runs(workspace: Workspace, number: int) -> Iterator[Run]:
    for path in reversed(find(workspace.reports, "*.json")[-number:]):
        report = json.loads(path.read_text(encoding="utf-8"))
        states = report["states"]
        yield Run(
            report["command"],
            report["started"][:16].replace("T", " "),
            report["seconds"],
            states["done"],
            states["failed"],
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.3f}"
