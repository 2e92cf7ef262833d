"""Which files of a workspace belong to a commit.

The log records the files of each commit with size and checksum; a file that commits a scene and
that the log does not know says itself what belongs to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from spark_cot.commit.files import relative
from spark_cot.commit.ledger import STAGES
from spark_cot.commit.listing import Listing, list_scenes
from spark_cot.commit.rebuild import footer_of
from spark_cot.commit.state import compare, read_log
from spark_cot.errors import TableError, WorkspaceError
from spark_cot.storage import sizes
from spark_cot.tables.workspace import ITEM_NAME, Workspace


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


def owned(workspace: Workspace) -> Owned:
    """The files that the log or the files themselves say to be a scene's, and the lists of all."""
    listing = list_scenes(workspace)
    lists = {*listing.catalogues} | {relative(workspace, file) for file in workspace.index_files}
    try:
        log = read_log(workspace)
        found = compare(log, listing)
    except WorkspaceError as error:
        return Owned(frozenset(lists), [str(error)])
    entries = [entry for stage in STAGES for entry in log.entries(stage).values()]
    files = {path for entry in (*entries, *found.news) for path in entry.files}
    files |= set(_of_silent(found.silent, listing))
    loose = {name: path for name, path in listing.masked.items() if path not in files}
    whole, unreadable = _that_say_so(workspace, loose)
    reasons = [f"{path}: {why}" for path, why in {**found.unreadable, **unreadable}.items()]
    return Owned(frozenset(lists | files | whole), reasons)


def usage(workspace: Workspace) -> dict[str, int]:
    """Bytes below each folder of the workspace, by its name."""
    total: dict[str, int] = {}
    for file, size in sizes(workspace.root).items():
        folder, slash, _ = relative(workspace, file).partition("/")
        if slash:
            total[folder] = total.get(folder, 0) + size
    return dict(sorted(total.items()))


def _that_say_so(workspace: Workspace, files: Mapping[str, str]) -> tuple[set[str], dict[str, str]]:
    """Files of tables that say that they are their scene's, and why others cannot be asked.

    ``files`` are paths by scene. Masked rows whose product is lost are whole all the same.
    """
    whole, unreadable = set(), {}
    for name, path in files.items():
        try:
            footer_of(workspace, name, path)
        except TableError:
            continue
        except OSError as error:
            unreadable[path] = str(error)
        else:
            whole.add(path)
    return whole, unreadable


def _of_silent(paths: Collection[str], listing: Listing) -> Iterator[str]:
    """Files that cannot say what belongs to them, and all that lies in the folder of a product."""
    products = [PurePosixPath(p).parent for p in paths if p.endswith(f"/{ITEM_NAME}")]
    yield from paths
    if products:
        files = listing.sizes([folder.name for folder in products])
        yield from (path for path in files if PurePosixPath(path).parent in products)
