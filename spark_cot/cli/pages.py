"""What the operating commands print: tables of at most 100 columns on standard output."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spark_cot.archive.repair import Repair
from spark_cot.archive.status import Cell, Status
from spark_cot.archive.writes import Write
from spark_cot.commit.vacuum import Sweep
from spark_cot.commit.verify import Verification
from spark_cot.plan.decide import Decision, Kind, Plan

#: Where nobody says how wide the screen is.
_WIDTH: Final = 100

#: Reasons that a plan tells, at most.
_REASONS_SHOWN: Final = 12

_MEANING: Final[dict[Kind, str]] = {
    "new": "not processed yet",
    "changed": "the product is not the one that was processed",
    "outdated-format": "made by an older version, whose results differ",
    "outdated-model": "made by another model",
    "outdated-configuration": "made with other options",
    "unfinished": "stages or files are missing",
    "failed-before": "failed, and is tried again",
    "given-up": "failed more often than --retry-failed allows; left as it is",
    "superseded": "a later generation of the scene is in the archive",
    "gone": "no longer in this archive; what was made of it stays",
    "done": "nothing to do",
}


def show(*pages: RenderableType) -> None:
    """Print to standard output."""
    width = None if sys.stdout.isatty() else _WIDTH
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    for page in pages:
        console.print(page, crop=False)


def plan_page(plan: Plan, scenes_shown: int = 0) -> RenderableType:
    """Scenes of each kind, the first scenes to work on, and what was given up and why."""
    table = _table("Plan", "", ">Scenes", ">Now", "Meaning")
    chosen = Counter(decision.kind for decision in plan.chosen)
    for kind, number in plan.counts.items():
        at_once = f"{chosen[kind]:,}" if chosen[kind] else ""
        table.add_row(kind, f"{number:,}", at_once, _MEANING[kind])
    reasons = _table("Why", ">Scenes", "", "")
    for kind, why, number in plan.reasons[:_REASONS_SHOWN]:
        reasons.add_row(f"{number:,}", kind, Text(why))
    todo = [decision for decision in plan.chosen if decision.stage][:scenes_shown]
    left = len(plan.chosen) - len(todo)
    listed = [Group(_scenes(todo), *([f"and {left:,} more"] if left else []))] if todo else []
    troubles = list(_troubles(plan))
    return _spaced(
        table,
        *([reasons] if plan.reasons else []),
        *([_work(plan)] if plan.chosen else []),
        *listed,
        *([Group(*troubles)] if troubles else []),
    )


def changes_page(changed: Sequence[str]) -> RenderableType:
    """Options of the workspace that are given up, and what that takes."""
    lines = [_line(f"  {change}") for change in changed]
    head = _line("Other options than the workspace was made with; they need --change-options:")
    return _spaced(Group(head, *lines))


def _work(plan: Plan) -> Table:
    """What each stage has to do."""
    table = _table("Work", "Stage", ">Scenes", ">Bytes replaced", ">Bytes written, about")
    for work in plan.work:
        written = "unknown" if work.written is None else f"{work.written:,}"
        table.add_row(work.stage, f"{work.scenes:,}", f"{work.replaced:,}", written)
    return table


def writes_page(writes: Sequence[Write]) -> RenderableType:
    """What a command would write."""
    table = _table("Would be written", "", "How much", ">Bytes, about", ">Bytes replaced")
    for write in writes:
        written = "unknown" if write.written is None else f"{write.written:,}"
        table.add_row(write.what, write.amount, written, f"{write.replaced:,}")
    places = [_line(f"{write.what}  {write.place}") for write in writes]
    return _spaced(table, Group(*places))


def status_page(status: Status) -> RenderableType:
    """Coverage, failures, models, disk and runs."""
    models = _table("Models in use", "Model", "Hash", ">Thin from", ">Thick from", ">Scenes")
    for m in status.models:
        row = (m.model, m.hash[:12], f"{m.thin_from:g}", f"{m.thick_from:g}", f"{m.scenes:,}")
        models.add_row(*row)
    disk = _table("Disk used", "Folder", ">GB")
    for folder, size in status.disk.items():
        disk.add_row(folder, f"{size / 1e9:,.3f}")
    runs = _table("Last runs", "Started", "Command", ">Seconds", ">Done", ">Failed")
    for run in status.runs:
        row = (run.started, run.command, f"{run.seconds:,.0f}", f"{run.done:,}", f"{run.failed:,}")
        runs.add_row(*row)
    failures = [
        _paragraph(f"{f.name}  {f.stage}, attempt {f.attempts}", f.reason) for f in status.failures
    ]
    headed = [Group(Text("Failures", style="bold"), *failures)] if failures else []
    at_work = [_line(f"At work now: {status.at_work}")] if status.at_work else []
    return _spaced(*_coverage(status), *headed, models, disk, runs, *at_work)


def verification_page(found: Verification, checksums: bool) -> RenderableType:
    """Findings, and what was checked."""
    findings = [_paragraph(finding.path, finding.what) for finding in found.findings]
    how = "checksums compared" if checksums else "sizes and footers only"
    summary = (
        f"{found.scenes:,} scenes, {found.files:,} files, {found.size / 1e9:,.3f} GB, {how}; "
        f"findings: {len(findings):,}"
    )
    notes = [_line(f"made again by the next run: {path}") for path in found.due]
    if found.unknown:
        unknown = f"{found.unknown:,} files have no checksum yet: `spark-cot repair` takes them"
        notes.append(_line(unknown))
    return Group(*findings, *notes, Text(summary, style="bold red" if findings else "bold green"))


def repair_page(found: Repair) -> RenderableType:
    """What the state lacks by stage, files that are no help, and what was or is to be done."""
    table = _table("State", "Stage", ">With files", ">In the log", ">Read back", ">Due")
    for s in found.stages:
        numbers = (s.files, s.known, s.read_back, len(s.due))
        table.add_row(s.stage, *(f"{number:,}" if number else "" for number in numbers))
    faults = [f"The log {found.log}."] if found.log else []
    faults += [f"The scene index {found.index}."] if found.index else []
    due = [_line(f"due  {stage.stage}  {name}") for stage in found.stages for name in stage.due]
    files = {**found.unknown, **found.unreadable}
    untold = [_paragraph(path, why) for path, why in files.items()]
    if found.done:
        summary = "repaired" if found.is_needed else "nothing was to be done"
    else:
        summary = "repair with --yes" if found.is_needed else "nothing to do"
    style = "bold red" if found.is_needed and not found.done else "bold green"
    return Group(table, *faults, *due, *untold, Text(summary, style=style))


def vacuum_page(sweep: Sweep, max_share: float | None = None) -> RenderableType:
    """What was removed; with ``max_share`` what would be, and whether that is too much."""
    lines = [
        _line(f"{stray.size:>14,}  {sweep.days(stray):>6,.1f} d  {stray.kind:<8}  {stray.path}")
        for stray in sweep.strays
    ]
    verb = "removed" if max_share is None else "would be removed"
    summary = (
        f"{verb}: files {len(sweep.strays):,}, bytes {sweep.size:,}, "
        f"{sweep.share:.1%} of the tables; too young: {sweep.young:,}"
    )
    end = [Text(summary, style="bold")]
    if max_share is not None and sweep.share > max_share:
        refusal = f"more than {max_share:.0%} of the tables: it would be refused without --force"
        end.append(Text(refusal, style="bold red"))
    return Group(*lines, *end)


def _scenes(decisions: Iterable[Decision]) -> Table:
    table = _table("", "Scene", "Kind", "From stage", ">Failed before")
    for d in decisions:
        table.add_row(Text(d.name), d.kind, d.stage, f"{d.attempts} x" if d.attempts else "")
    return table


def _troubles(plan: Plan) -> Iterator[RenderableType]:
    """Why products cannot be read, why scenes are given up, and what nobody could look at."""
    unreadable = {item.name for item in plan.unreadable}
    for d in plan.decisions:
        if d.kind == "given-up" or d.name in unreadable:
            before = f", failed {d.attempts} x before" if d.attempts else ""
            yield _paragraph(f"{d.name}  {d.kind}{before}", d.reason)
    for item in plan.archive.passed_over:
        if item.unseen:
            yield _paragraph(f"{item.path}  not seen", item.reason)


def _coverage(status: Status) -> Iterator[Table]:
    """A table of tiles by month for each year, with a row for each state that occurs."""
    years = sorted({month[:4] for months in status.coverage.values() for month in months})
    for year in years:
        months = [f"{year}-{month:02d}" for month in range(1, 13)]
        table = _table(f"Scenes {year}", "Tile", "", *(f">{month[5:]}" for month in months))
        for tile, by_month in status.coverage.items():
            cells = [by_month.get(month, Cell()) for month in months]
            for state in ("done", "failed", "unfinished"):
                numbers = [getattr(cell, state) for cell in cells]
                if any(numbers):
                    table.add_row(tile, state, *(f"{n:,}" if n else "" for n in numbers))
        yield table


def _paragraph(head: str, text: str) -> RenderableType:
    """A line, and below it an indented text."""
    return Group(_line(head), Padding(Text(text, overflow="fold"), (0, 0, 0, 4)))


def _line(text: str) -> Text:
    """A line that is never broken: names and paths are copied from it."""
    return Text(text, no_wrap=True, overflow="ignore")


def _spaced(*pages: RenderableType) -> Group:
    """Pages with an empty line after each."""
    return Group(*(part for page in pages for part in (page, "")))


def _table(title: str, *columns: str) -> Table:
    """A plain table; names of right-aligned columns begin with ``>``."""
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        justify: JustifyMethod = "right" if column.startswith(">") else "left"
        table.add_column(column.removeprefix(">"), justify=justify)
    return table
