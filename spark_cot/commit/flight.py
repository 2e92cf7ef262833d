"""Waves in flight: scenes whose files may be newer than what the log says of them.

Before a wave begins a note of its scenes is made; it goes when the log knows how they ended. A note
that is still there when the next job starts is of a job that died: what its tasks had finished is
read back from the files.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_cot.storage import find, read_all, remove_folder, write_text
from spark_cot.tables.workspace import Workspace


@contextmanager
def in_flight(workspace: Workspace, names: Iterable[str]) -> Iterator[None]:
    """Note the scenes ``names`` for the time of the block, and beyond it if the block fails."""
    note = _folder(workspace) / f"{uuid.uuid4().hex}.json"
    write_text(note, json.dumps(list(names)))
    yield
    note.unlink()


def still_in_flight(workspace: Workspace) -> set[str] | None:
    """The scenes that notes name; None, for any, if a note cannot be read."""
    try:
        texts = read_all(find(_folder(workspace), "*.json")).values()
        return {name for text in texts for name in json.loads(text)}
    except (OSError, ValueError):
        return None


def forget_flights(workspace: Workspace) -> None:
    """Remove all notes; the log knows how their scenes ended."""
    remove_folder(_folder(workspace))


def _folder(workspace: Workspace) -> Path:
    return workspace.ledger / "flight"
