"""Remove what no commit owns."""

from __future__ import annotations

from spark_cot.commit.inventory import Stray, strays
from spark_cot.commit.lock import locked
from spark_cot.storage import remove_folder
from spark_cot.tables.workspace import Workspace


def vacuum(workspace: Workspace, dry_run: bool = False) -> list[Stray]:
    """Remove orphans and leftovers; what was, or with ``dry_run`` would be, removed.

    Parts of scenes that a killed run began go too: the next run begins these scenes anew.

    Raises
    ------
    WorkspaceError
        A job is at work in the workspace.
    """
    if dry_run:
        return strays(workspace)
    with locked(workspace, "vacuum"):
        found = strays(workspace)
        for stray in found:
            (workspace.root / stray.path).unlink(missing_ok=True)
        remove_folder(workspace.parts)
    return found
