"""Options that live in a workspace: what its scenes are made with until someone says otherwise.

``_ledger/options.json`` remembers them. An option that is not given is the workspace's; one that
asks for something else is refused unless ``--change-options`` says that this is meant. Where the
file is lost, what most results were made with counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from spark_cot.archive.options import (
    NO_MASK,
    ArchiveOptions,
    ClassifyOptions,
    JobOptions,
    MaskOptions,
    WorkspaceOptions,
)
from spark_cot.commit.listing import list_scenes
from spark_cot.commit.lock import locked
from spark_cot.commit.log import Log, LogLostError
from spark_cot.commit.state import State, compare, look, read_log, take_up
from spark_cot.errors import WorkspaceError
from spark_cot.models.bundle import Bundle
from spark_cot.models.shipped import DEFAULT, SHIPPED, shipped_model
from spark_cot.safe.downsampling import Downsampling
from spark_cot.storage import is_remote, path_of, read_bytes, write_text
from spark_cot.tables.workspace import DEFAULT_RESOLUTION, Workspace

Some = TypeVar("Some", bound=JobOptions)

#: JSON values by name, as far as known: downsampling, model (where it lies), bundle (its name and
#: hash), thin, thick, mask_above.
Settings = Mapping[str, Any]

#: The fact of a stage's results that says what a setting was.
_FACTS: Final = {
    "ingest": {"downsampling": "downsampling"},
    "apply": {
        "model": "spark_cot.model",
        "bundle": "spark_cot.model_hash",
        "thin": "spark_cot.thin_from",
        "thick": "spark_cot.thick_from",
    },
    "products": {"mask_above": "mask_above"},
}
_THRESHOLDS: Final = ("thin", "thick")


@contextmanager
def at_work(command: str, options: Some) -> Iterator[tuple[State, Some]]:
    """The state of a command's workspace and the options in effect, for the time of the block.

    The workspace is locked, and its options are remembered. A dry run looks at it and no more.

    Raises
    ------
    WorkspaceError
        There is no such workspace, it cannot be written, or it was made with other options.
    TableError
        Another job is at work in it, or a table of it has another schema.
    ModelError
        The model cannot be loaded.
    """
    if options.dry_run:
        yield look(_as_it_is(options)), in_effect(options)[0]
        return
    workspace = _made_ready(options)
    with locked(workspace, command):
        state = take_up(workspace)
        known = remembered(state.workspace)
        settled, settings, changed = _settle(options, known)
        _refuse(settled, changed)
        if known | settings != known:
            text = json.dumps(known | settings, indent=1)
            write_text(_file(state.workspace), f"{text}\n")
        yield state, settled


def in_effect(options: Some) -> tuple[Some, list[str]]:
    """The options as their workspace completes them, and what they change there, in words.

    Nothing is written.

    Raises
    ------
    WorkspaceError
        They change something, and this is neither a dry run nor what ``change_options`` allows.
    ModelError
        The model cannot be loaded.
    """
    root = _root(options)
    known = remembered(Workspace.open(root)) if Workspace.exists(root) else {}
    settled, _, changed = _settle(options, known)
    if not options.dry_run:
        _refuse(settled, changed)
    return settled, changed


def remembered(workspace: Workspace) -> dict[str, Any]:
    """The settings of a workspace, as far as they are known."""
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads(read_bytes(_file(workspace))))
    try:
        return _of_results(read_log(workspace))
    except LogLostError:
        told = compare(Log(workspace, ()), list_scenes(workspace), None).news
        return _of_results(Log(workspace, told))


def _settle(options: Some, known: Settings) -> tuple[Some, dict[str, Any], list[str]]:
    """The options completed, the settings they make, and what that changes of those ``known``."""
    values: dict[str, Any] = {}
    decided: dict[str, Any] = {}
    if isinstance(options, ArchiveOptions):
        way = options.downsampling or Downsampling(known.get("downsampling", "exact"))
        values["downsampling"], decided["downsampling"] = way, way.value
    if isinstance(options, ClassifyOptions):
        named = options if options.model is not None else replace(options, model=_model_of(known))
        same = _identity(named.bundle) == known.get("bundle")  # another brings its own thresholds
        kept = {n: known[n] for n in _THRESHOLDS if same and getattr(named, n) is None}
        thresholds = replace(named, **kept).thresholds
        cuts = {"thin": thresholds.thin, "thick": thresholds.thick}
        values |= {"model": named.model, **cuts}
        decided |= {"model": _name_of(named), "bundle": _identity(named.bundle), **cuts}
    if isinstance(options, MaskOptions):
        mask = known.get("mask_above") if options.mask_above is None else options.mask
        values["mask_above"], decided["mask_above"] = NO_MASK if mask is None else mask, mask
    changed = [
        f"{_shown(name, known)}, now {_shown(name, decided)}"
        for name, value in decided.items()
        if name != "model" and known.get(name, value) != value
    ]
    return replace(options, **values), decided, changed


def _shown(name: str, settings: Settings) -> str:
    """A setting as the command line says it."""
    value = NO_MASK if settings[name] is None else settings[name]
    return f"--{'model' if name == 'bundle' else name.replace('_', '-')} {value}"


def _refuse(options: JobOptions, changed: list[str]) -> None:
    if changed and not options.change_options:
        raise WorkspaceError(
            f"was made with other options: {'; '.join(changed)}",
            str(_root(options)),
            "Leave them out to go on as before, or add --change-options to make anew what depends "
            "on them; --dry-run says how much that is",
        )


def _identity(bundle: Bundle) -> str:
    return f"{bundle.name} ({bundle.id})"


def _name_of(options: ClassifyOptions) -> str:
    """How the model is found again: by its name if it ships, for the package may move."""
    if options.model is None:
        return DEFAULT
    place = path_of(options.model)
    ships = [name for name in SHIPPED if shipped_model(name) == place]
    return ships[0] if ships else str(place if is_remote(place) else place.absolute())


def _model_of(known: Settings) -> Path | None:
    """The bundle of a workspace; None if it has none or nobody remembers where it lies."""
    name = known.get("model")
    if name is None:
        return None
    return shipped_model(name) if name in SHIPPED else path_of(name)


def _of_results(log: Log) -> dict[str, Any]:
    """What most results of each stage were made with."""
    settings: dict[str, Any] = {}
    for stage, names in _FACTS.items():
        kinds = Counter(
            json.dumps([entry.facts.get(fact) for fact in names.values()])
            for entry in log.outlines(stage).values()
            if entry.facts
        )
        for kind, _ in kinds.most_common(1):
            settings |= dict(zip(names, json.loads(kind), strict=True))
    if "model" in settings:
        settings["bundle"] = f"{settings['model']} ({settings['bundle'][:16]})"
        if settings["model"] not in SHIPPED:  # facts name a model, not where it lies
            del settings["model"]
    return settings | {name: float(settings[name]) for name in _THRESHOLDS if name in settings}


def _root(options: JobOptions) -> Path:
    """Folder of the workspace."""
    if isinstance(options, ArchiveOptions):
        return options.out
    assert isinstance(options, WorkspaceOptions)
    return options.workspace


def _made_ready(options: JobOptions) -> Workspace:
    """The workspace, made if an archive goes into it."""
    if isinstance(options, ArchiveOptions):
        return Workspace.create(options.out, options.resolution)
    return Workspace.open(_root(options))


def _as_it_is(options: JobOptions) -> Workspace:
    """The workspace, which a dry run does not make."""
    root = _root(options)
    if isinstance(options, ArchiveOptions) and not Workspace.exists(root):
        return Workspace(root.absolute(), options.resolution or DEFAULT_RESOLUTION)
    return _made_ready(options)


def _file(workspace: Workspace) -> Path:
    return workspace.ledger / "options.json"
