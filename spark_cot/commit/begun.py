"""Begun work: marks of tasks that touch a scene, which only those leave behind who die of it.

A worker that is killed for memory, or crashes in a codec, can say nothing. So a task makes a mark
before it works on a scene and removes it however it ends. A mark that is still there at the next
try, or when the next job starts, is of a task that died. Such a scene is a suspect: it is tried
again when the others are through, and by itself, of which a note is made. If the whole job dies
then, note and mark convict the scene, and no later job tries it without saying so.

Marks do not wait for the disk: after a power cut none is needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from spark_cot.storage import find, remove_files, write_text
from spark_cot.tables.workspace import Workspace

#: What stands in the place of a stage in the names of notes.
_ALONE: Final = "alone"
_CONVICTED: Final = "convicted"


@contextmanager
def begun(workspace: Workspace, name: str, stage: str, task: str) -> Iterator[None]:
    """Mark that a task works on a scene for the time of the block, and beyond if it dies in it."""
    mark = _path(workspace, name, stage, task)
    write_text(mark, "", durable=False)
    try:
        yield
    finally:
        with suppress(OSError):  # a mark too many costs the scene a try by itself
            mark.unlink(missing_ok=True)


class Past(NamedTuple):
    """What earlier tries came to, as far as they were not forgotten.

    Attributes
    ----------
    deaths : int
        How many tries of a task have died of its scene.
    is_convicted : bool
        Whether a whole job died while it worked on nothing but this scene.
    """

    deaths: int
    is_convicted: bool


def past(workspace: Workspace, name: str, stage: str, task: str) -> Past:
    """What is known of a scene and of one of its tasks: one listing."""
    marks = [mark.name for mark in find(_folder(workspace), f"{name}.*")]
    return Past(
        sum(mark.startswith(f"{name}.{stage}.{task}.") for mark in marks),
        _note(workspace, name, _CONVICTED).name in marks,
    )


def suspects(workspace: Workspace) -> set[str]:
    """Scenes with marks of tasks that died; of a scene that was by itself a note is made."""
    marks = _marks(workspace)
    for name, stages in marks.items():
        if {_ALONE, _CONVICTED} & stages and stages - {_ALONE}:
            write_text(_note(workspace, name, _CONVICTED), "", durable=False)
    return set(marks)


def try_alone(workspace: Workspace, name: str) -> None:
    """Forget how often a suspect was begun, and note that it is worked on by itself now."""
    if not past(workspace, name, _ALONE, "0").is_convicted:
        forget(workspace, [name])
        write_text(_note(workspace, name, _ALONE), "")


def forget(workspace: Workspace, names: Collection[str]) -> None:
    """Remove marks and notes of scenes: it is known how they ended."""
    marks = find(_folder(workspace))
    remove_files(mark for mark in marks if _name(mark) in names)


def _marks(workspace: Workspace) -> dict[str, set[str]]:
    """By scene, the stages of its marks and the kinds of its notes."""
    found: dict[str, set[str]] = {}
    for mark in find(_folder(workspace), "[!.]*.*.*.*"):
        found.setdefault(_name(mark), set()).add(mark.name.rsplit(".", 3)[1])
    return found


def _name(mark: Path) -> str:
    return mark.name.rsplit(".", 3)[0]


def _note(workspace: Workspace, name: str, kind: str) -> Path:
    return _folder(workspace) / f"{name}.{kind}.0.0"


def _path(workspace: Workspace, name: str, stage: str, task: str) -> Path:
    return _folder(workspace) / f"{name}.{stage}.{task}.{uuid.uuid4().hex}"


def _folder(workspace: Workspace) -> Path:
    return workspace.ledger / "begun"
