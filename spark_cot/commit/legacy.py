"""State of format 1: a JSON file for each scene and stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from spark_cot.commit.ledger import STAGES, LedgerEntry
from spark_cot.commit.rebuild import item_files
from spark_cot.storage import find, read_bytes, remove_folder
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import ITEM_NAME, Workspace

#: Facts of format 1 that are a scene's own.
_DETAILS: Final = frozenset(
    {"fingerprint", "files", "pixels", "model_hash", "cover", "outside", "bytes", "item"}
)


def legacy_entries(workspace: Workspace) -> tuple[list[LedgerEntry], dict[str, str]]:
    """Entries of a workspace of format 1, and why others cannot be read, by path."""
    records = {scene.scene_id: scene for scene in workspace.scenes()}
    entries, faults = [], {}
    for file in _files(workspace):
        try:
            entries.append(_entry(workspace, json.loads(read_bytes(file)), records))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            faults[str(file)] = f"{type(error).__name__}: {error}"
    return entries, faults


def remove_legacy(workspace: Workspace) -> None:
    """Remove the state of format 1."""
    for stage in STAGES:
        remove_folder(workspace.ledger / stage)
    for file in workspace.index_files:
        file.unlink(missing_ok=True)


def _files(workspace: Workspace) -> Iterator[Path]:
    for stage in STAGES:
        yield from find(workspace.ledger / stage, "*.json")


def _entry(
    workspace: Workspace, values: dict[str, Any], records: Mapping[str, SceneRecord]
) -> LedgerEntry:
    known = {field.name for field in fields(LedgerEntry)}
    entry = LedgerEntry(**{name: value for name, value in values.items() if name in known})
    facts = {name: value for name, value in entry.facts.items() if name not in _DETAILS}
    details = {name: value for name, value in entry.facts.items() if name in _DETAILS}
    files = details.pop("files", {})
    if "fingerprint" in details:
        details["input"] = details.pop("fingerprint")
    files = {path: record for path, record in files.items() if not path.startswith("scenes/")}
    if entry.stage == "ingest" and facts and entry.name in records:
        details["scene"] = records[entry.name].to_json()
    if entry.stage == "products" and len(files) == 1:  # version 0.1 recorded the item alone
        (item,) = files
        if item.endswith(f"/{ITEM_NAME}"):
            files |= item_files(item, json.loads(read_bytes(workspace.root / item)))
    return replace(entry, facts=facts, details=details, files=files)
