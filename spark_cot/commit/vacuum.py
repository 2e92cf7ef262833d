"""Remove what no commit owns."""

from __future__ import annotations

from spark_cot.commit.inventory import Stray, owned, strays
from spark_cot.commit.lock import locked
from spark_cot.errors import WorkspaceError
from spark_cot.storage import remove_folder
from spark_cot.tables.workspace import Workspace


def vacuum(workspace: Workspace, dry_run: bool = False) -> list[Stray]:
    """Remove orphans and leftovers; what was, or with ``dry_run`` would be, removed.

    Parts of scenes that a killed run began go too: the next run begins these scenes anew.

    Raises
    ------
    WorkspaceError
        A job is at work in the workspace, or not all of its files could be asked what they are.
    """
    if dry_run:
        return _strays(workspace)
    with locked(workspace, "vacuum"):
        found = _strays(workspace)
        for stray in found:
            (workspace.root / stray.path).unlink(missing_ok=True)
        remove_folder(workspace.parts)
    return found


def _strays(workspace: Workspace) -> list[Stray]:
    held = owned(workspace)
    if held.unreadable:
        raise WorkspaceError(
            f"is left as it is, for not all owners can be read: {held.unreadable[0]}",
            str(workspace.root),
        )
    return strays(workspace, held.files)
