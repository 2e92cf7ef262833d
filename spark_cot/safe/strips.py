"""Datastrips: stretches of a datatake that were received and processed apart.

Where a new one begins in the middle of a tile, products of both hold a part of it, with an overlap.
Source: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, section 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

#: Generations of one datastrip state its times to the second or so; strips are longer than this.
_TOLERANCE: Final = timedelta(seconds=3)
_FORM: Final = "%Y%m%dT%H%M%S"
_TEXT: Final = re.compile(r"(\d{8}T\d{6})/(\d{8}T\d{6})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Strip:
    """When a tile was sensed, and when its datastrip begins, if that is stated; UTC."""

    sensed: datetime
    begins: datetime | None = None

    def is_same(self, other: Strip) -> bool:
        """Whether both tell of one datastrip, by its begin or, if one does not know it, the tile's.

        Where the begin is known it alone counts: old baselines state other times for the tile.
        """
        if self.begins is not None and other.begins is not None:
            return abs(self.begins - other.begins) <= _TOLERANCE
        return abs(self.sensed - other.sensed) <= _TOLERANCE

    def __str__(self) -> str:
        """``20240305T105854/20240305T105512``, to the second."""
        begins = "" if self.begins is None else f"{self.begins:{_FORM}}"
        return f"{self.sensed:{_FORM}}/{begins}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The strip of such a text; ValueError for another text."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"not a datastrip: {text!r}")
        return cls(_time(match[1]), _time(match[2]) if match[2] else None)


def _time(text: str) -> datetime:
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)
