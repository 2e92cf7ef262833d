"""Which files of a workspace belong to a commit, and which do not.

The log records the files of each commit with size and checksum; a file that commits a scene and
that the log does not know says itself what belongs to it. Files in the tables that neither owns are
orphans: a killed run made them, or someone else did. Work in progress is what a killed run leaves
behind; the next run takes it up or replaces it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from spark_cot.commit.files import relative
from spark_cot.commit.ledger import STAGES
from spark_cot.commit.listing import Listing, list_scenes
from spark_cot.commit.state import compare, read_log
from spark_cot.errors import WorkspaceError
from spark_cot.storage import sizes
from spark_cot.tables.workspace import CATALOGUES, ITEM_NAME, Workspace

#: Folders whose files belong to scenes.
_OF_SCENES: Final = ("pixels", "scenes", "cot", "masked", "products")

#: Where killed jobs leave things behind, and where state of format 1 was.
_LEFT_BEHIND: Final = ("_parts/",)
_OF_FORMAT_1: Final = tuple(f"_ledger/{stage}/" for stage in STAGES)


@dataclass(frozen=True, slots=True)
class Owned:
    """The files that belong to commits.

    Attributes
    ----------
    files : frozenset[str]
        Paths in the workspace.
    unreadable : list[str]
        Owners that could not be read, with reasons: more files than ``files`` may be theirs.
    """

    files: frozenset[str]
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that belongs to no commit; ``path`` is relative to the workspace."""

    path: str
    size: int
    kind: Literal["orphan", "leftover"]


def owned(workspace: Workspace) -> Owned:
    """The files that the log or the files themselves say to be a scene's, and the lists of all."""
    listing = list_scenes(workspace)
    lists = {path for path in listing.others if path.rpartition("/")[2] in CATALOGUES}
    lists |= {relative(workspace, file) for file in workspace.index_files}
    try:
        log = read_log(workspace)
        found = compare(log, listing)
    except WorkspaceError as error:
        return Owned(frozenset(lists), [str(error)])
    entries = [entry for stage in STAGES for entry in log.entries(stage).values()]
    files = {path for entry in (*entries, *found.news) for path in entry.files}
    files |= set(_of_silent(found.silent, listing))
    return Owned(frozenset(lists | files), [f"{p}: {why}" for p, why in found.unreadable.items()])


def strays(workspace: Workspace, files: Collection[str]) -> list[Stray]:
    """Orphans and leftovers, sorted by path, where ``files`` are those that are owned.

    Work in progress counts as leftover: while a job runs, that is wrong.
    """
    left_behind = _LEFT_BEHIND + (_OF_FORMAT_1 if workspace.format_version > 1 else ())
    found = []
    for file, size in sizes(workspace.root).items():
        path = relative(workspace, file)
        is_temporary = file.name.startswith(".") and file.suffix == ".tmp"
        if is_temporary or path.startswith(left_behind):
            found.append(Stray(path, size, "leftover"))
        elif path.split("/")[0] in _OF_SCENES and path not in files:
            found.append(Stray(path, size, "orphan"))
    return sorted(found, key=lambda stray: stray.path)


def usage(workspace: Workspace) -> dict[str, int]:
    """Bytes below each folder of the workspace, by its name."""
    total: dict[str, int] = {}
    for file, size in sizes(workspace.root).items():
        folder, slash, _ = relative(workspace, file).partition("/")
        if slash:
            total[folder] = total.get(folder, 0) + size
    return dict(sorted(total.items()))


def _of_silent(paths: Iterable[str], listing: Listing) -> Iterator[str]:
    """Files that cannot say what belongs to them, and all that lies in the folder of a product."""
    products = {path.rpartition("/")[0] for path in paths if path.endswith(f"/{ITEM_NAME}")}
    yield from paths
    yield from (path for path in listing.others if path.rpartition("/")[0] in products)
