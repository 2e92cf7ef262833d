"""Whether a workspace holds what its ledger says it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pyarrow as pa

from spark_cot.commit.inventory import STAGES, files_of, owned, sha256
from spark_cot.commit.ledger import Ledger, LedgerEntry
from spark_cot.commit.lock import holder
from spark_cot.commit.parts import KEY
from spark_cot.commit.strays import strays
from spark_cot.errors import TableError
from spark_cot.progress import progress
from spark_cot.storage import open_parquet
from spark_cot.tables.schema import TABLES
from spark_cot.tables.workspace import Workspace

_TABLES: Final = {table.name: table for table in TABLES}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; ``path`` is relative to the workspace."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what was found."""

    scenes: int
    files: int
    size: int
    findings: list[Finding]


def verify(workspace: Workspace, quick: bool = False, threads: int = 4) -> Verification:
    """Compare tables and products with the ledger, the scene index and each other.

    Orphans and leftovers are looked for only while no job is at work.

    Parameters
    ----------
    workspace : Workspace
    quick : bool
        Sizes and footers only; no content is read for its checksum.
    threads : int
        Scenes checked at once; hashing and reading let go of the interpreter.
    """
    scenes: dict[str, dict[str, LedgerEntry]] = {}
    for stage in STAGES:
        for name, entry in Ledger(workspace, stage).entries().items():
            if files_of(entry):
                scenes.setdefault(name, {})[stage] = entry
    with ThreadPoolExecutor(threads) as pool:
        running = pool.map(partial(_check_scene, workspace, quick), scenes.values())
        checks = list(_counted("Verifying", len(scenes), running))
    findings = [finding for check in checks for finding in check.findings]
    if holder(workspace) is None:
        files = owned(workspace).files
        findings += [
            Finding(stray.path, f"{stray.kind} of {stray.size} bytes")
            for stray in strays(workspace, files)
        ]
    return Verification(
        len(scenes),
        sum(check.files for check in checks),
        sum(check.size for check in checks),
        sorted(findings, key=lambda finding: (finding.path, finding.what)),
    )


def _counted(title: str, total: int, running: Iterable[_Check]) -> Iterator[_Check]:
    with progress(title, total, "scenes") as show:
        for number, check in enumerate(running, start=1):
            yield check
            show(number)


@dataclass(slots=True)
class _Check:
    """The check of one scene as it goes on."""

    workspace: Workspace
    quick: bool
    files: int = 0
    size: int = 0
    findings: list[Finding] = field(default_factory=list)

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
            if not self.quick and found == size:
                self.expect(path, "SHA-256", checksum, sha256(file))
        except FileNotFoundError:
            self.findings.append(Finding(path, "missing"))
            return False
        self.files, self.size = self.files + 1, self.size + found
        return True


def _check_scene(workspace: Workspace, quick: bool, entries: Mapping[str, LedgerEntry]) -> _Check:
    check = _Check(workspace, quick)
    rows = {}
    for entry in entries.values():
        for path, record in files_of(entry).items():
            if not check.file(path, record["bytes"], record["sha256"]):
                continue
            if path.endswith(".parquet"):
                rows[path.split("/")[0]] = _check_table(check, path, entry)
    if rows.get("pixels") and rows.get("cot") and _is_current(entries):
        path = next(path for path in files_of(entries["apply"]))
        check.expect(path, "row groups unlike those of the pixels:", rows["pixels"], rows["cot"])
    return check


def _is_current(entries: Mapping[str, LedgerEntry]) -> bool:
    """Whether COT was made after the pixels: a run may have ended between the two."""
    return entries["apply"].finished_at >= entries["ingest"].finished_at


def _check_table(check: _Check, path: str, entry: LedgerEntry) -> list[int]:
    """Compare a Parquet file with its schema and the ledger; rows of its row groups."""
    table = _TABLES[path.split("/")[0]]
    try:
        with open_parquet(check.workspace.root / path) as file:
            table.check(file.schema_arrow, path)
            metadata = file.metadata
            if entry.state == "done" and table.name == "scenes":
                rows = file.read(["valid_pixels"]).column(0)[0].as_py()
                check.expect(path, "valid pixels:", entry.rows, rows)
            elif entry.state == "done" and table.name in ("pixels", "cot"):
                key = (metadata.metadata or {}).get(KEY.encode(), b"none").decode()
                check.expect(path, "key", entry.key, key)
                check.expect(path, "rows:", entry.rows, metadata.num_rows)
            return [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    except TableError as error:
        check.findings.append(Finding(path, error.what))
    except (pa.ArrowException, OSError) as error:
        check.findings.append(Finding(path, f"no readable Parquet file: {error}"))
    return []
