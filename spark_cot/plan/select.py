"""Which scenes of a workspace a stage works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from spark_cot.errors import SetupError, WorkspaceError
from spark_cot.tables.scenes import SceneRecord


class Selectable(Protocol):
    """What a selection looks at: a row of the scene index, or a granule of an archive."""

    @property
    def scene_id(self) -> str: ...  # noqa: D102
    @property
    def tile(self) -> str: ...  # noqa: D102
    @property
    def sensing_time(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Selection:
    """Tiles, sensing dates and scene ids; an empty one is no restriction.

    Attributes
    ----------
    tiles : tuple[str, ...]
        MGRS tiles such as ``31TCJ``.
    first, last : date, optional
        Sensing dates, both included.
    scene_ids : tuple[str, ...]
    """

    tiles: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    scene_ids: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls, tiles: Iterable[str] = (), dates: str | None = None, scene_ids: Iterable[str] = ()
    ) -> Selection:
        """From options: ``31TCJ`` or ``T31TCJ``; ``2024-03-05``, ``FROM:TO``, ``FROM:``, ``:TO``.

        Raises
        ------
        SetupError
            ``dates`` has another form.
        """
        first, last = _dates(dates) if dates else (None, None)
        return cls(tuple(t.upper().removeprefix("T") for t in tiles), first, last, tuple(scene_ids))

    def takes(self, scene: Selectable) -> bool:
        """Whether ``scene`` is selected."""
        day = scene.sensing_time.date()
        return (
            (not self.tiles or scene.tile in self.tiles)
            and (self.first is None or self.first <= day)
            and (self.last is None or day <= self.last)
            and (not self.scene_ids or scene.scene_id in self.scene_ids)
        )

    def of(self, scenes: Sequence[SceneRecord], where: str) -> list[SceneRecord]:
        """Selected ones of the ``scenes`` of the workspace ``where``, in their order.

        Raises
        ------
        WorkspaceError
            None is selected.
        """
        selected = [scene for scene in scenes if self.takes(scene)]
        if not selected:
            raise WorkspaceError(
                f"none of its {len(scenes)} scenes is selected",
                where,
                "Widen --tile, --date or --scene, or ingest first"
                f" (tiles here: {', '.join(sorted({s.tile for s in scenes})) or 'none'})",
            )
        return selected


def _dates(text: str) -> tuple[date | None, date | None]:
    first, colon, last = text.partition(":")
    try:
        start = date.fromisoformat(first) if first else None
        end = date.fromisoformat(last) if last else None
    except ValueError as error:
        raise SetupError(
            f"{text!r} is no date or range of dates", "--date", "Write 2024-03-05 or FROM:TO"
        ) from error
    return (start, end) if colon else (start, start)
