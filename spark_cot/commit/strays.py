"""Files in a workspace that belong to nobody.

Files of the tables that nobody owns are orphans: a killed run made them, or someone else did. Work
in progress is what a killed run leaves behind; the next run takes it up or replaces it. Symbolic
links, and all that is behind them, are somebody's by definition.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from spark_cot.commit.files import relative
from spark_cot.commit.ledger import STAGES
from spark_cot.storage import listing, sizes
from spark_cot.tables.workspace import Workspace

#: Folders whose files belong to scenes.
OF_SCENES: Final = ("pixels", "scenes", "cot", "masked", "products")

#: Where killed jobs leave their work, and where state of format 1 was.
_LEFT_BEHIND: Final = ("_parts/",)
_OF_FORMAT_1: Final = tuple(f"_ledger/{stage}/" for stage in STAGES)


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that belongs to no commit.

    Attributes
    ----------
    path : str
        In the workspace.
    size : int
        Bytes.
    kind : "orphan" or "leftover"
    modified : float
        When it was last written, POSIX seconds.
    """

    path: str
    size: int
    kind: Literal["orphan", "leftover"]
    modified: float

    @property
    def folder(self) -> str:
        """First folder of its path."""
        return self.path.partition("/")[0]


def strays(workspace: Workspace, files: Collection[str]) -> list[Stray]:
    """Orphans and leftovers, sorted by path, where ``files`` are those that are owned.

    Work in progress counts as leftover: while a job runs, that is wrong.
    """
    left_behind = _LEFT_BEHIND + (_OF_FORMAT_1 if workspace.format_version > 1 else ())
    found = []
    for file, facts in listing(workspace.root, through_links=False).items():
        path = relative(workspace, file)
        is_temporary = file.name.startswith(".") and file.suffix == ".tmp"
        if is_temporary or path.startswith(left_behind):
            found.append(Stray(path, facts.size, "leftover", facts.modified))
        elif path.partition("/")[0] in OF_SCENES and path not in files:
            found.append(Stray(path, facts.size, "orphan", facts.modified))
    return sorted(found, key=lambda stray: stray.path)


def table_bytes(workspace: Workspace) -> int:
    """Bytes of all tables and products, on whatever disk they lie."""
    return sum(sum(sizes(workspace.root / folder).values()) for folder in OF_SCENES)
