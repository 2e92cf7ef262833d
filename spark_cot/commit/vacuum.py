"""Remove what no commit owns.

Nothing is removed while it is in doubt whose a file is: an owner that cannot be read may own
anything; what is young may be the work of a process that nobody knows of; and if much of the
tables seems to be nobody's, it is more likely that the state is lost than that the tables are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from spark_cot.commit.inventory import owned
from spark_cot.commit.lock import locked
from spark_cot.commit.spread import Spread, in_batches, in_threads
from spark_cot.commit.strays import OF_SCENES, Stray, strays, table_bytes
from spark_cot.errors import WorkspaceError
from spark_cot.storage import DELETED_AT_ONCE, remove_empty_folders, remove_files
from spark_cot.tables.workspace import Workspace

DAY: Final = 86_400.0

#: Owners that an error names.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Sweep:
    """What `vacuum` removed, or would remove.

    Attributes
    ----------
    strays : list of Stray
    young : int
        Strays that were left because they are not old enough.
    share : float
        Of the bytes of all tables and products, those of ``strays`` among them; 0 to 1.
    seen_at : float
        When the workspace was looked through, POSIX seconds; ages are counted from then.
    """

    strays: list[Stray]
    young: int
    share: float
    seen_at: float

    @property
    def size(self) -> int:
        """Bytes of all strays."""
        return sum(stray.size for stray in self.strays)

    def days(self, stray: Stray) -> float:
        """Age of a stray."""
        return (self.seen_at - stray.modified) / DAY


def vacuum(
    workspace: Workspace,
    *,
    older_than: float = 7.0,
    max_share: float = 0.2,
    force: bool = False,
    dry_run: bool = False,
    spread: Spread = in_threads,
) -> Sweep:
    """Remove orphans and leftovers; symbolic links and what is behind them stay.

    Parts of scenes that a killed run began go too: the next run begins these scenes anew.

    Parameters
    ----------
    workspace : Workspace
    older_than : float
        Days for which a file must not have been written to.
    max_share : float
        Share of the bytes of tables and products above which nothing is removed, 0 to 1.
    force : bool
        Remove a larger share too.
    dry_run : bool
        Remove nothing.
    spread : Spread
        How batches of files are removed.

    Raises
    ------
    WorkspaceError
        An owner of files cannot be read, too large a share would go, a job is at work in the
        workspace, or a file cannot be removed.
    """
    if dry_run:
        return _look(workspace, older_than)
    with locked(workspace, "vacuum"):
        sweep = _look(workspace, older_than)
        if sweep.share > max_share and not force:
            raise WorkspaceError(
                f"{sweep.share:.0%} of the bytes of its tables seem to be nobody's, more than "
                f"{max_share:.0%}; nothing was removed",
                str(workspace.root),
                "If its state was lost, run `spark-cot repair`. See --dry-run for the files, and "
                "give --force if they are really to go",
            )
        _remove(workspace, sweep.strays, spread)
    return sweep


def _look(workspace: Workspace, older_than: float) -> Sweep:
    """Whatever is old enough and nobody's; WorkspaceError if that cannot be known."""
    now = time.time()
    with _errors(workspace, "cannot be looked through, so nothing was removed"):
        owners = owned(workspace)
        if owners.unreadable:
            raise _in_doubt(workspace, owners.unreadable)
        found = strays(workspace, owners.files)
        total = table_bytes(workspace)
    old = [stray for stray in found if stray.modified <= now - older_than * DAY]
    going = sum(stray.size for stray in old if stray.folder in OF_SCENES)
    return Sweep(old, len(found) - len(old), going / total if total else 0.0, now)


def _remove(workspace: Workspace, going: Sequence[Stray], spread: Spread) -> None:
    batches = in_batches([stray.path for stray in going], DELETED_AT_ONCE, 1)
    faults = spread("Removing", batches, partial(_remove_batch, workspace)) if batches else []
    what = "not all could be removed; run again for the rest"
    with _errors(workspace, what):
        for fault in filter(None, faults):
            raise OSError(fault)
        remove_empty_folders(workspace.parts)


def _remove_batch(workspace: Workspace, paths: Sequence[str]) -> str:
    """Remove some files; why not all could be, empty if all are gone."""
    try:
        remove_files(workspace.root / path for path in paths)
    except OSError as error:
        return str(error)
    return ""


def _in_doubt(workspace: Workspace, unreadable: Sequence[str]) -> WorkspaceError:
    more = len(unreadable) - _NAMED
    lines = [*unreadable[:_NAMED], *([f"and {more:,} more"] if more > 0 else [])]
    return WorkspaceError(
        "owners of files cannot be read, so nothing was removed:\n  " + "\n  ".join(lines) + "\n",
        str(workspace.root),
        "Run `spark-cot repair` first",
    )


@contextmanager
def _errors(workspace: Workspace, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(
            f"{what}: {error}", str(workspace.root), "Check that its disk or store works"
        ) from error
