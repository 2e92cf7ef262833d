"""Ledger entries: what was last done for a scene in a stage, and how it ended.

Tasks give an entry with their outcome, the driver appends it to the log (`commit.log`). What a
file was made from stands in the file too (`Made`), so entries of what is done can be read back
from the tables (`commit.rebuild`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, Self

from spark_cot.commit.files import FileRecord
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import ITEM_NAME

State = Literal["done", "failed"]

#: The stages that commit files of scenes, in the order in which they follow each other.
STAGES: Final[tuple[str, ...]] = ("ingest", "apply", "products")

#: How the path of the file that commits a scene begins and ends, by stage.
_COMMITTING: Final = {
    "ingest": ("pixels/", ".parquet"),
    "apply": ("cot/", ".parquet"),
    "products": ("products/", f"/{ITEM_NAME}"),
}

#: Fields that the log keeps as JSON.
_OWN: Final = ("details", "files")
_MAPPINGS: Final = ("facts", *_OWN)

#: Footer entry of a committed file: what it was made from.
MADE: Final = "spark_cot.made"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What was last done for one scene in one stage.

    Attributes
    ----------
    stage : str
        ``ingest``, ``apply`` or ``products``.
    name : str
        The scene_id; the product's name where the product could not be read far enough to know it.
    key : str
        Identity of source, grid, model and configuration; equal keys need no second run.
    state : "done" or "failed"
    source : str
        Product the scene came from.
    rows : int
        Rows in the table or pixels in the product.
    seconds : float
        Task time spent on it.
    attempt : int
        How many times this key has been tried, this one included.
    error : str
        Reason of a failure: cause and cure.
    facts : dict
        JSON values: the configuration that the key was made of. A failure keeps those of the last
        success, as it does the following.
    details : dict
        JSON values that are the scene's own: its ``input``, its row of the index (``scene``, of the
        ingest), cover by class and what else is shown of it.
    files : dict
        Size and SHA-256 of the committed files by path in the workspace.
    finished_at : str
        ISO 8601, UTC.
    strips : tuple[str, ...]
        Datastrips that the pixels are from, as text of `safe.Strip`; by default those of ``scene``.
        Earlier versions did not note any.
    """

    stage: str
    name: str
    key: str
    state: State
    source: str = ""
    rows: int = 0
    seconds: float = 0.0
    attempt: int = 1
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    finished_at: str = field(default_factory=lambda: utc(datetime.now(UTC)))
    strips: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.strips:
            own = self.details.get("scene", {}).get("datastrips", ())
            object.__setattr__(self, "strips", tuple(own))

    def to_row(self) -> dict[str, Any]:
        """The entry as a row of the log: mappings as JSON."""
        texts = {name: json.dumps(getattr(self, name)) for name in _MAPPINGS}
        texts["strips"] = " ".join(self.strips)
        return {name: getattr(self, name) for name in _FIELDS} | texts | {"size": self.size}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """An entry from a row of the log, or from some of its columns."""
        values = {name: row[name] for name in _FIELDS if row.get(name) is not None}
        values |= {name: json.loads(values[name]) for name in _OWN if name in values}
        if "facts" in values:
            values["facts"] = _shared(values["facts"])
        if "strips" in values:
            values["strips"] = tuple(values["strips"].split())
        return cls(**values)

    @property
    def committed(self) -> str:
        """Path of the file that commits the scene, empty if there is none."""
        begin, end = _COMMITTING[self.stage]
        found = (path for path in self.files if path.startswith(begin) and path.endswith(end))
        return next(found, "")

    @property
    def size(self) -> int:
        """Bytes of all its files, -1 if none commits the scene."""
        return sum(file["bytes"] for file in self.files.values()) if self.committed else -1

    @property
    def scene(self) -> SceneRecord | None:
        """The scene's row of the index, as its ingest recorded it."""
        values = self.details.get("scene")
        return SceneRecord.from_json(values) if values else None


@lru_cache(maxsize=256)
def _shared(text: str) -> Mapping[str, Any]:
    """Facts, of which many scenes have the same: one mapping for all, not to be changed."""
    return dict(json.loads(text))


_FIELDS: Final = tuple(field.name for field in fields(LedgerEntry))

#: Entries by stage and name.
Entries = Mapping[str, Mapping[str, LedgerEntry]]


@dataclass(frozen=True, slots=True)
class Made:
    """What a result was made from, as the file that commits it says.

    Attributes
    ----------
    stage : str
    key : str
        Identity of the result.
    input : str
        Fingerprint of the product, or key of the result that the stage read.
    configuration : mapping
        JSON values: what the result is made of beside its input.
    """

    stage: str
    key: str
    input: str
    configuration: Mapping[str, Any]

    @property
    def footer(self) -> dict[str, str]:
        """The same as metadata of a Parquet file, which has a place of its own for the key."""
        return {MADE: json.dumps(self.to_dict(), sort_keys=True)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, without the key."""
        return {"stage": self.stage, "input": self.input, "configuration": self.configuration}

    @classmethod
    def from_dict(cls, key: str, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; fields of newer versions are left out."""
        return cls(values["stage"], key, values["input"], values["configuration"])


def utc(moment: datetime) -> str:
    """ISO 8601 to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
