"""The state of a workspace: its log, made to agree with its files.

The tables are the truth and the log is an index of them. Where a listing of the files shows another
scene or another size than the log has, and for all scenes of waves that were in flight when a job
died, the files are asked what they are, and the log is told. So a lost log, a half restored one, a
merged workspace and a killed driver end in the same state as an undisturbed run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from spark_cot.commit.files import FileRecord, set_aside
from spark_cot.commit.flight import forget_flights, still_in_flight
from spark_cot.commit.ledger import STAGES, LedgerEntry
from spark_cot.commit.legacy import legacy_entries, remove_legacy
from spark_cot.commit.listing import Listing, list_scenes
from spark_cot.commit.log import Log, LogDamagedError, LogLostError
from spark_cot.commit.rebuild import Reader, with_checksums
from spark_cot.errors import SparkCotError
from spark_cot.tables.scene_index import SceneRow, index_table
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import FORMAT_VERSION, Workspace

log = logging.getLogger(__name__)

_ROWS_AT_ONCE: Final = 5_000

#: Reasons that a log line gives, at most.
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class State:
    """What a workspace says of its scenes.

    Attributes
    ----------
    workspace : Workspace
        Of the current format.
    log : Log
    listing : Listing
        The files as they were found.
    """

    workspace: Workspace
    log: Log
    listing: Listing


@dataclass(frozen=True, slots=True)
class Comparison:
    """The log beside the files.

    Attributes
    ----------
    news : list[LedgerEntry]
        What the log is to be told: results that the files hold and the log does not.
    missing : dict
        Scenes by stage that the log calls done and whose file is not there: they are due.
    foreign, silent, unreadable : dict
        Reasons by path, as in `rebuild.Rebuilt`, without those that the log knows as they are.
    broken : list[str]
        Paths among the foreign and the silent where the log has results.
    """

    news: list[LedgerEntry] = field(default_factory=list)
    missing: Mapping[str, list[str]] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def read_log(workspace: Workspace) -> Log:
    """The log for who reads only; nothing is written.

    Raises
    ------
    LogLostError
        There is none, though the workspace has scenes.
    WorkspaceError
        It is damaged, or of a newer format.
    """
    if workspace.format_version != FORMAT_VERSION:
        entries, faults = legacy_entries(workspace)
        _warn("cannot be read, what they say is left out", faults)
        return Log(workspace, entries)
    found = Log(workspace)
    try:
        found.check()
    except LogLostError:
        if not list_scenes(workspace).is_empty:
            raise
        return Log(workspace, ())
    return found


def look(workspace: Workspace) -> State:
    """The state for who writes nothing; errors as in `read_log`."""
    return State(workspace, read_log(workspace), list_scenes(workspace))


def take_up(workspace: Workspace) -> State:
    """The state for a job that is to write, which holds the lock: current, and true to the files.

    State of an older format is brought to the current one; a log that was lost or damaged, and what
    a killed job did not get to write into it, is read back from the files. All of that is said in
    the log of the program.

    Raises
    ------
    WorkspaceError
        The log cannot be read now, is of a newer format, or cannot be written.
    """
    listing, fault = list_scenes(workspace), ""
    current = replace(workspace, format_version=FORMAT_VERSION)
    found = Log(current)
    if workspace.format_version != FORMAT_VERSION:
        _migrate(workspace, found)
    else:
        try:
            found.check()
        except (LogLostError, LogDamagedError) as error:
            fault = "" if listing.is_empty else error.what
            found.replace(found.salvaged())
    current.mark()
    compared = compare(found, listing, None if fault else still_in_flight(current))
    found.append(compared.news if fault else with_checksums(current, compared.news))
    if fault:
        log.warning(
            "%s: %s; %d entries are read back from its files, and `spark-cot repair` takes their "
            "checksums too",
            workspace.root,
            fault,
            len(compared.news),
        )
    elif compared.news:
        log.warning(
            "%d results of killed jobs or copied files taken over into the log of %s",
            len(compared.news),
            workspace.root,
        )
    untold = {**compared.foreign, **compared.silent}
    _warn("do not say what they hold; what the log knows of them is set aside and due", untold)
    set_aside(current, compared.broken)
    _warn("cannot be read now; the log's word on them stands", compared.unreadable)
    if not compared.unreadable:
        forget_flights(current)
    return State(current, found, listing.without(untold))


def compare(
    known: Log,
    listing: Listing,
    doubted: Collection[str] | None = (),
    unsummed: bool = False,
) -> Comparison:
    """Look for what the log of a workspace does not know of its files.

    Parameters
    ----------
    known : Log
    listing : Listing
    doubted : collection of str, optional
        Scenes whose files are asked even if their sizes are those of the log; None for all.
    unsummed : bool
        Whether it is news too that the log lacks a checksum. What is read back from tables has none
        yet (`with_checksums`).
    """
    logged, scenes = known.rows(["size"]), listing.scenes()
    differ = _different(logged, scenes)
    asked = {
        stage: names if doubted is None else names & {*doubted}
        for stage, names in ((stage, listing.names(stage)) for stage in STAGES)
    }
    looked_at = {stage: asked[stage] | differ[stage] for stage in STAGES}
    before = {stage: known.entries(stage, looked_at[stage]) for stage in STAGES}
    sizes = listing.sizes(set().union(*looked_at.values()))
    whole = {e.committed for es in before.values() for e in es.values() if _is_whole(e, sizes)}
    files = {
        stage: {
            name: file
            for name, file in listing.committing(stage, looked_at[stage]).items()
            if name in asked[stage] or file.path not in whole
        }
        for stage in STAGES
    }
    records = cache(partial(_records, known.workspace))
    read = Reader(known.workspace, files, sizes, records).read()
    told = (_news(e, before[e.stage].get(e.name), unsummed) for e in read.entries)
    silent = {path: why for path, why in read.silent.items() if path not in whole}
    untold = {*read.foreign, *silent}
    return Comparison(
        news=_with_sources(known, [entry for entry in told if entry is not None]),
        missing=_missing(logged, scenes),
        foreign=read.foreign,
        silent=silent,
        unreadable=read.unreadable,
        broken=[
            file.path
            for stage in STAGES
            for name, file in files[stage].items()
            if name in before[stage] and file.path in untold
        ],
    )


def _different(logged: pa.Table, scenes: pa.Table) -> dict[str, set[str]]:
    """By stage, scenes with files whose bytes are not those of the log."""
    before = logged.select(["stage", "name", "size"]).rename_columns(["stage", "name", "before"])
    both = scenes.join(before, ["stage", "name"], join_type="left outer")
    agree = pc.fill_null(pc.equal(both["size"], both["before"]), False)
    return {stage: {*names} for stage, names in _by_stage(both.filter(pc.invert(agree))).items()}


def _missing(logged: pa.Table, scenes: pa.Table) -> dict[str, list[str]]:
    """By stage, scenes that have files by the log, and no file that commits them."""
    held = logged.filter(pc.greater_equal(logged["size"], 0)).select(["stage", "name"])
    return _by_stage(held.join(scenes, ["stage", "name"], join_type="left anti"))


def _by_stage(rows: pa.Table) -> dict[str, list[str]]:
    """Sorted names by stage."""
    return {
        stage: sorted(rows.filter(pc.equal(rows["stage"], stage))["name"].to_pylist())
        for stage in STAGES
    }


def _is_whole(entry: LedgerEntry, sizes: Mapping[str, int]) -> bool:
    """Whether all its files are there in their size."""
    return all(sizes.get(path) == record["bytes"] for path, record in entry.files.items())


def _with_sources(known: Log, news: Collection[LedgerEntry]) -> list[LedgerEntry]:
    """Entries with the source of their scene, which only those of the ingest can tell."""
    sources = known.sources({entry.name for entry in news}) if news else {}
    sources |= {entry.name: entry.source for entry in news if entry.stage == "ingest"}
    return [replace(entry, source=sources.get(entry.name, "")) for entry in news]


def refresh_index(known: Log) -> None:
    """Bring the scene index up to what the log says now, by what it did not say before."""
    workspace, mark = known.workspace, known.mark()
    before = workspace.index_mark()
    if before == mark:
        return
    changed = known.names_since(before)
    if changed is None:
        write_index(known)
        return
    kept = workspace.scene_table()
    kept = kept.filter(pc.invert(pc.is_in(kept["scene_id"], pa.array(changed, pa.string()))))
    workspace.write_index(pa.concat_tables([kept, index_table(_index_rows(known, changed))]), mark)


def write_index(known: Log) -> None:
    """Write the scene index from what the log says of scenes and their products."""
    known.workspace.write_index(index_table(_index_rows(known)), known.mark())


def _index_rows(known: Log, names: Collection[str] | None = None) -> Iterator[SceneRow]:
    rows = known.rows(["details", "files"])
    if names is not None:
        rows = rows.filter(pc.is_in(rows["name"], pa.array(names, pa.string())))
    scenes, products = (
        rows.filter(pc.equal(rows["stage"], stage)).select(["name", "details", "files"])
        for stage in ("ingest", "products")
    )
    products = products.rename_columns(["name", "product", "product_files"])
    joined = scenes.join(products, "name", join_type="left outer")
    for batch in joined.to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            details = json.loads(row["details"])
            if "scene" in details:
                scene = SceneRecord.from_json(details["scene"])
                product = json.loads(row["product"] or "{}")
                yield _index_row(scene, product, json.loads(row["product_files"] or "{}"))


def _index_row(
    scene: SceneRecord, product: Mapping[str, Any], files: Mapping[str, FileRecord]
) -> SceneRow:
    if "item" not in product:
        return SceneRow(scene)
    names = frozenset(path.rpartition("/")[2] for path in files)
    cover = {**product["cover"], "outside": product["outside"]}
    return SceneRow(scene, f"../{product['item']}", names, cover)


def _migrate(workspace: Workspace, old: Log) -> None:
    """Bring the state of format 1 to the current one; killed anywhere, it is begun again."""
    entries, faults = legacy_entries(workspace)
    _warn("cannot be read, their scenes are read back from the files", faults)
    old.replace(entries)
    write_index(old)
    old.workspace.mark()
    remove_legacy(workspace)
    log.warning(
        "%s is brought from format 1 to %d: %d entries are in one log, the scene index is %s",
        workspace.root,
        FORMAT_VERSION,
        len(entries),
        workspace.index,
    )


def _news(found: LedgerEntry, known: LedgerEntry | None, unsummed: bool) -> LedgerEntry | None:
    """What a file tells that the log does not know; None if it agrees.

    The log knows more of a result than its file (attempts, seconds, a later failure), so where they
    agree the log's word stays; if ``unsummed`` it is news where a checksum is lacking.
    """
    if known is None or known.size != found.size:
        return found
    if known.key != found.key:
        return found if known.state == "done" else None
    if known.state != "done":
        return found
    lacks = any(not record["sha256"] for record in known.files.values())
    return known if lacks and unsummed else None


def _records(workspace: Workspace) -> dict[str, SceneRecord]:
    """The scene index, for pixel files that do not hold their row; empty if it cannot be read."""
    try:
        return {scene.scene_id: scene for scene in workspace.scenes()}
    except SparkCotError as error:
        log.warning("%s", error)
        return {}


def _warn(what: str, faults: Mapping[str, str]) -> None:
    if faults:
        shown = "; ".join(f"{path}: {why}" for path, why in list(faults.items())[:_SHOWN])
        log.warning("%d files %s: %s%s", len(faults), what, shown, ", ..." * (len(faults) > _SHOWN))
