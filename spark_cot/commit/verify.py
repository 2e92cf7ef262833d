"""Whether a workspace holds what its log says it holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import pyarrow as pa

from spark_cot.commit.files import relative, set_aside, sha256
from spark_cot.commit.inventory import owned
from spark_cot.commit.ledger import STAGES, LedgerEntry
from spark_cot.commit.lock import holder, locked
from spark_cot.commit.parts import KEY
from spark_cot.commit.spread import Spread, in_batches, in_threads
from spark_cot.commit.state import read_log
from spark_cot.commit.strays import strays
from spark_cot.errors import SparkCotError, TableError
from spark_cot.storage import open_parquet
from spark_cot.tables.schema import TABLES
from spark_cot.tables.workspace import Workspace

#: A task checks at most so many scenes; there are at least so many tasks, if there are scenes.
_SCENES_AT_MOST: Final = 50
_BATCHES: Final = 256

_TABLES: Final = {table.name: table for table in TABLES}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; ``path`` is relative to the workspace."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what was found.

    Attributes
    ----------
    scenes, files : int
    size : int
        Bytes of the files.
    findings : list[Finding]
    unknown : int
        Files of which nobody has taken a checksum yet.
    damaged : list[str]
        Files that commit results of which something is missing or damaged.
    due : list[str]
        Those of them that the next run makes again.
    """

    scenes: int
    files: int
    size: int
    findings: list[Finding]
    unknown: int = 0
    damaged: list[str] = field(default_factory=list)
    due: list[str] = field(default_factory=list)


def verify(
    workspace: Workspace, quick: bool = False, repair: bool = False, spread: Spread = in_threads
) -> Verification:
    """Compare tables and products with the log, the scene index and each other.

    Orphans and leftovers are looked for only while no job is at work.

    Parameters
    ----------
    workspace : Workspace
    quick : bool
        Sizes and footers only; no content is read for its checksum.
    repair : bool
        Make due again what is missing or damaged: the file that commits a damaged result is set
        aside, and the next run makes it anew from what it was made from. What cannot be read now
        stays.
    spread : Spread
        How batches of scenes are checked.

    Raises
    ------
    WorkspaceError
        The log is missing or cannot be read; with ``repair`` also: a job is at work.
    """
    with locked(workspace, "verify") if repair else nullcontext():
        found = _verify(workspace, quick, spread, alone=repair or holder(workspace) is None)
        return replace(found, due=set_aside(workspace, found.damaged) if repair else [])


def _verify(workspace: Workspace, quick: bool, spread: Spread, alone: bool) -> Verification:
    log, scenes = read_log(workspace), dict[str, dict[str, LedgerEntry]]()
    for stage in STAGES:
        for name, entry in log.entries(stage).items():
            if entry.files:
                scenes.setdefault(name, {})[stage] = entry
    batches = in_batches(list(scenes.values()), _SCENES_AT_MOST, _BATCHES)
    checked = spread("Verifying", batches, partial(_check_scenes, workspace, quick))
    checks = [check for batch in checked for check in batch]
    findings = [finding for check in checks for finding in check.findings]
    if alone:
        held = owned(workspace)
        findings += [Finding("", reason) for reason in held.unreadable]
        if not held.unreadable:
            left = strays(workspace, held.files)
            findings += [Finding(s.path, f"{s.kind} of {s.size} bytes") for s in left]
        findings += _check_index(workspace, {s.scene_id for s in log.scenes()})
    return Verification(
        len(scenes),
        sum(check.files for check in checks),
        sum(check.size for check in checks),
        sorted(findings, key=lambda finding: (finding.path, finding.what)),
        sum(check.unknown for check in checks),
        [path for check in checks for path in check.damaged],
    )


def _check_index(workspace: Workspace, scenes: Collection[str]) -> Iterator[Finding]:
    path = relative(workspace, workspace.index)
    try:
        listed = set(workspace.scene_table()["scene_id"].to_pylist())
    except SparkCotError as error:
        yield Finding(path, error.what)
        return
    for name in sorted(listed ^ set(scenes)):
        yield Finding(path, f"{'lists' if name in listed else 'does not list'} {name}")


def _check_scenes(
    workspace: Workspace, quick: bool, scenes: Sequence[Mapping[str, LedgerEntry]]
) -> list[_Check]:
    return [_check_scene(workspace, quick, entries) for entries in scenes]


@dataclass(slots=True)
class _Check:
    """The check of one scene as it goes on."""

    workspace: Workspace
    quick: bool
    files: int = 0
    size: int = 0
    unknown: int = 0
    findings: list[Finding] = field(default_factory=list)
    unread: int = 0
    damaged: list[str] = field(default_factory=list)

    def expect(self, path: str, what: str, expected: object, found: object) -> None:
        """Note a difference."""
        if expected != found:
            self.findings.append(Finding(path, f"{what} {found}, expected {expected}"))

    def file(self, path: str, size: int, checksum: str) -> bool:
        """Compare a file with its record; whether it is there."""
        file = self.workspace.root / path
        try:
            found = file.stat().st_size
            self.expect(path, "bytes:", size, found)
            self.unknown += not checksum
            if checksum and not self.quick and found == size:
                self.expect(path, "SHA-256", checksum, sha256(file))
        except FileNotFoundError:
            self.findings.append(Finding(path, "missing"))
            return False
        except OSError as error:
            self.leave(path, error)
            return False
        self.files, self.size = self.files + 1, self.size + found
        return True

    def leave(self, path: str, error: OSError) -> None:
        """Note a file that cannot be read now: nobody knows whether it is sound."""
        self.findings.append(Finding(path, f"cannot be read: {error.strerror or error}"))
        self.unread += 1


def _check_scene(workspace: Workspace, quick: bool, entries: Mapping[str, LedgerEntry]) -> _Check:
    check = _Check(workspace, quick)
    rows = {}
    for entry in entries.values():
        before = len(check.findings) - check.unread
        for path, record in entry.files.items():
            if not check.file(path, record["bytes"], record["sha256"]):
                continue
            if path.endswith(".parquet"):
                rows[path.split("/")[0]] = _check_table(check, path, entry)
        if len(check.findings) - check.unread > before:
            check.damaged.append(entry.committed)
    pixels, cot = rows.get("pixels"), rows.get("cot")
    if pixels and cot and pixels != cot and _is_current(entries):
        path = entries["apply"].committed
        check.expect(path, "row groups unlike those of the pixels:", pixels, cot)
        check.damaged.append(path)
    return check


def _is_current(entries: Mapping[str, LedgerEntry]) -> bool:
    """Whether COT was made from these pixels: a run may have ended between the two."""
    return entries["apply"].details.get("input") == entries["ingest"].key


def _check_table(check: _Check, path: str, entry: LedgerEntry) -> list[int]:
    """Compare a Parquet file with its schema and the ledger; rows of its row groups."""
    table = _TABLES[path.split("/")[0]]
    try:
        with open_parquet(check.workspace.root / path) as file:
            table.check(file.schema_arrow, path)
            metadata = file.metadata
            if entry.state == "done" and table.name in ("pixels", "cot"):
                key = (metadata.metadata or {}).get(KEY.encode(), b"none").decode()
                check.expect(path, "key", entry.key, key)
                check.expect(path, "rows:", entry.rows, metadata.num_rows)
            return [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    except TableError as error:
        check.findings.append(Finding(path, error.what))
    except pa.ArrowException as error:
        check.findings.append(Finding(path, f"no whole Parquet file: {error}"))
    except OSError as error:
        check.leave(path, error)
    return []
