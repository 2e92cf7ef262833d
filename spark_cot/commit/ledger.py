"""The ledger: what was last done for each scene in each stage, and how it ended.

One small JSON file per stage and scene, replaced atomically by the task that finished or failed
the scene, so the ledger survives the death of the driver.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from spark_cot.storage import find, read_all, read_bytes, write_text
from spark_cot.tables.workspace import Workspace

State = Literal["done", "failed"]


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
        What the key was made of, as far as people ask for it, and what the report shows beside:
        fingerprint, grid, model hash, thresholds, pixels and cover by class, and the committed
        files. A failure keeps those of the last success, whose files are still there.
    finished_at : str
        ISO 8601, UTC.
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
    facts: dict[str, Any] = field(default_factory=dict)
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The entries of one stage of a workspace."""

    workspace: Workspace
    stage: str

    def get(self, name: str) -> LedgerEntry | None:
        """The last entry of ``name``, None if there is none."""
        try:
            return _entry(read_bytes(self._path(name)))
        except FileNotFoundError:
            return None

    def entries(self) -> dict[str, LedgerEntry]:
        """All entries by name."""
        found = map(_entry, read_all(find(self._folder, "*.json")).values())
        return {entry.name: entry for entry in found}

    def is_done(self, name: str, key: str) -> bool:
        """Whether ``name`` was last finished with exactly this key."""
        entry = self.get(name)
        return entry is not None and entry.state == "done" and entry.key == key

    def key(self, name: str) -> str:
        """Key of the last entry of ``name``, empty if there is none."""
        entry = self.get(name)
        return entry.key if entry is not None else ""

    def attempts(self, name: str, key: str) -> int:
        """How many times ``name`` has been tried with this key."""
        entry = self.get(name)
        return entry.attempt if entry is not None and entry.key == key else 0

    def record(self, name: str, key: str, state: State, **values: Any) -> LedgerEntry:
        """Replace the entry of ``name``; ``values`` are further fields of `LedgerEntry`."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = LedgerEntry(self.stage, name, key, state, finished_at=now, **values)
        write_text(self._path(name), json.dumps(asdict(entry), indent=1) + "\n")
        return entry

    def forget(self, name: str) -> None:
        """Remove the entry of ``name``, if there is one."""
        self._path(name).unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.workspace.ledger / self.stage

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _entry(content: bytes) -> LedgerEntry:
    return LedgerEntry(**json.loads(content))
