"""Repair: the state of a workspace made anew from its tables and products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spark_cot.commit.flight import forget_flights
from spark_cot.commit.ledger import STAGES, LedgerEntry
from spark_cot.commit.listing import Listing, list_scenes
from spark_cot.commit.lock import locked
from spark_cot.commit.log import Log, LogDamagedError, LogLostError
from spark_cot.commit.rebuild import with_checksums
from spark_cot.commit.state import Comparison, compare, read_log, take_up, write_index
from spark_cot.tables.workspace import FORMAT_VERSION, Workspace


@dataclass(frozen=True, slots=True)
class StageRepair:
    """Scenes of one stage.

    Attributes
    ----------
    stage : str
    files : int
        Scenes that have a file in its table, or a product.
    known : int
        Scenes that the log knows.
    read_back : int
        Results that are read back from files, for the log does not know them as they are.
    due : list[str]
        Scenes that the log knows and whose file is missing: the next run makes them again.
    """

    stage: str
    files: int
    known: int
    read_back: int
    due: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Repair:
    """What is wrong with the state of a workspace, and what was done about it.

    Attributes
    ----------
    log : str
        What is wrong with the log as a whole; empty if it can be read.
    stages : list[StageRepair]
    unknown : dict
        Reasons by path: files that do not say what they hold. They stay, and their scenes are due.
    unreadable : dict
        Reasons by path: files that the store did not give; repair again when it does.
    index : str
        What is wrong with the scene index; empty if it is current.
    done : bool
        Whether it was carried out.
    """

    log: str
    stages: list[StageRepair]
    unknown: Mapping[str, str]
    unreadable: Mapping[str, str]
    index: str
    done: bool = False

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.log or self.index or any(stage.read_back for stage in self.stages))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"is_needed": self.is_needed}


def repair(workspace: Workspace, carry_out: bool = False) -> Repair:
    """Find what the log and the scene index lack, and with ``carry_out`` make it from the files.

    All footers are read, and the checksums of tables that the log does not know; no table and no
    product is changed.

    Raises
    ------
    WorkspaceError
        The log is of a newer format; with ``carry_out`` also: a job is at work.
    """
    with locked(workspace, "repair") if carry_out else nullcontext():
        if carry_out and workspace.format_version != FORMAT_VERSION:
            workspace = take_up(workspace).workspace
        known, fault = _readable(workspace)
        listing = list_scenes(workspace)
        found = compare(known, listing, doubted=None, unsummed=True)
        repair = _diagnosis(known, listing, found, fault)
        if not carry_out:
            return repair
        news = with_checksums(workspace, found.news)
        _write(known, news, is_whole=not fault)
        if not found.unreadable:
            forget_flights(workspace)
        return replace(repair, done=True)


def _readable(workspace: Workspace) -> tuple[Log, str]:
    """What can be read of the log, and what is wrong with it."""
    if workspace.format_version != FORMAT_VERSION:
        what = f"has format {workspace.format_version}, the current one is {FORMAT_VERSION}"
        return read_log(workspace), what
    try:
        return read_log(workspace), ""
    except (LogLostError, LogDamagedError) as error:
        return Log(workspace, Log(workspace).salvaged()), error.what


def _diagnosis(known: Log, listing: Listing, found: Comparison, fault: str) -> Repair:
    states = Counter(known.rows([])["stage"].to_pylist())
    news = Counter(entry.stage for entry in found.news)
    stages = [
        StageRepair(s, len(listing.names(s)), states[s], news[s], list(found.missing[s]))
        for s in STAGES
    ]
    index = ""
    if fault or found.news or known.workspace.index_mark() != known.mark():
        index = "does not show what the log says"
    return Repair(fault, stages, {**found.foreign, **found.silent}, found.unreadable, index)


def _write(known: Log, news: list[LedgerEntry], is_whole: bool) -> None:
    """Let the log say what the files say, and the index what the log says."""
    log = Log(known.workspace)
    if is_whole:
        log.append(news)
    else:
        entries = {(e.stage, e.name): e for stage in STAGES for e in known.entries(stage).values()}
        log.replace((entries | {(e.stage, e.name): e for e in news}).values())
    known.workspace.mark()
    write_index(log)
