"""Bundles from the published models, which come without their statistics and thresholds.

Two forms of the ``MLP5`` of Pirinen et al. 2024 are read: the redistributed ensemble as one .npz,
and the authors' PyTorch checkpoints, one file per member. The published constants that belong to
them stand in ``published_mlp5.json``.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from spark_cot.errors import ModelError
from spark_cot.models.architecture import MLP, Float32
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.target import Target

#: Inputs of the published models: with and without B10.
_BAND_COUNTS: Final = (12, 11)
_NPZ_KEY: Final = re.compile(r"m(\d+)_lin(\d+)_(weight|bias)")
_CURE: Final = "Give the .npz ensemble, the MLP5 checkpoint files, or a folder of only these files"

Member = dict[str, Float32]
"""Tensors of one network: ``layer1.weight`` (out, in), ``layer1.bias`` (out,), ..."""


def import_model(source: str | Path | Sequence[str | Path], name: str | None = None) -> Bundle:
    """Make a bundle of a published model.

    Parameters
    ----------
    source : path or sequence of paths
        An .npz ensemble (arrays ``m0_lin1_weight`` ...), checkpoints of the members (state
        dictionaries ``lin1.weight`` ...), or a folder tree holding nothing but checkpoints.
    name : str, optional
        Name of the bundle; by default one that tells bands and members.

    Raises
    ------
    ModelError
        If a file is unreadable or is no such model, or the members differ in shape.
    """
    paths = _files(source)
    try:
        if [path.suffix for path in paths] == [".npz"]:
            members = _members_of_npz(paths[0])
        else:
            members = [_member_of_checkpoint(path) for path in paths]
        return _published_bundle(_architecture(members), _stack(members), paths, name)
    except ModelError as error:
        where = error.where or ", ".join(map(str, paths))
        raise ModelError(error.what, where, error.cure or _CURE) from error


def _files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    given = [Path(source)] if isinstance(source, str | Path) else [Path(path) for path in source]
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            paths += sorted(file for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            paths.append(path)
        else:
            raise ModelError("no such file or folder", str(path), _CURE)
    if not paths:
        raise ModelError("no model file found", ", ".join(map(str, given)), _CURE)
    return paths


def _members_of_npz(path: Path) -> list[Member]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key].astype(np.float32) for key in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"not a readable .npz file: {error}", str(path)) from error
    members: dict[int, Member] = {}
    for key, array in arrays.items():
        match = _NPZ_KEY.fullmatch(key)
        if match is None:
            raise ModelError(
                f"unexpected array {key}, expected m0_lin1_weight and the like", str(path)
            )
        member, layer, part = match.groups()
        members.setdefault(int(member), {})[f"layer{layer}.{part}"] = array
    if sorted(members) != list(range(len(members))) or not members:
        raise ModelError(f"members {sorted(members)}, expected 0, 1, 2 ...", str(path))
    return [members[number] for number in range(len(members))]


def _member_of_checkpoint(path: Path) -> Member:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(f"not a PyTorch checkpoint of weights: {reason}", str(path)) from error
    member: Member = {}
    for key, tensor in _state_dict(content, path).items():
        match = re.fullmatch(r"(?:module\.)?lin(\d+)\.(weight|bias)", str(key))
        if match is None or not isinstance(tensor, torch.Tensor):
            raise ModelError(
                f"unexpected entry {key}, expected lin1.weight and the like", str(path)
            )
        member[f"layer{match[1]}.{match[2]}"] = tensor.detach().to(torch.float32).numpy()
    return member


def _state_dict(content: Any, path: Path) -> Mapping[Any, Any]:
    """The state dictionary, also where a training script saved it beside other things."""
    for key in ("model_state_dict", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return _state_dict(content[key], path)
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"holds a {type(content).__name__}, no state dictionary", str(path))
    return content


def _architecture(members: list[Member]) -> MLP:
    """Architecture of the stacked members; names the first member that departs from member 0."""
    shapes = [{key: tensor.shape for key, tensor in member.items()} for member in members]
    for number, found in enumerate(shapes):
        if found != shapes[0]:
            raise ModelError(f"member {number} has tensors {found}, member 0 has {shapes[0]}")
    weights = [shapes[0].get(f"layer{i + 1}.weight", ()) for i in range(len(shapes[0]) // 2)]
    if not weights or any(len(shape) != 2 for shape in weights):
        raise ModelError(f"layers are missing or no matrices: {shapes[0]}")
    widths = (weights[0][1], *(shape[0] for shape in weights))
    if widths[0] not in _BAND_COUNTS:
        raise ModelError(
            f"{widths[0]} inputs, expected 12 (the bands without B01) or 11 (also without B10)",
            cure="Only the published models can be imported: others lack statistics and thresholds",
        )
    if widths[-1] != 1:
        raise ModelError(f"{widths[-1]} outputs, the published models have one output, COT")
    return MLP(len(members), widths)


def _stack(members: list[Member]) -> dict[str, Float32]:
    return {key: np.stack([member[key] for member in members]) for key in sorted(members[0])}


def _published_bundle(
    architecture: MLP, weights: dict[str, Float32], paths: list[Path], name: str | None
) -> Bundle:
    published = json.loads(files("spark_cot.models").joinpath("published_mlp5.json").read_text())
    inputs = [
        entry
        for entry in published["inputs"]
        if architecture.inputs == len(published["inputs"]) or entry["column"] != "B10"
    ]
    return Bundle(
        name=name or f"mlp5-{architecture.inputs}band-{architecture.members}members",
        architecture=architecture,
        inputs=tuple(entry["column"] for entry in inputs),
        means=tuple(entry["mean"] for entry in inputs),
        stds=tuple(entry["std"] for entry in inputs),
        target=Target(**published["target"]),
        thresholds=Thresholds(**published["thresholds"]),
        weights=weights,
        training={
            "imported": [
                {
                    "file": f"{path.parent.name}/{path.name}",
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }
                for path in paths
            ],
            "statistics_from": published["statistics_from"],
            "thresholds_from": published["thresholds_from"],
            "envelope_from": "three standard deviations about the mean of each input",
        },
        source=published["source"],
    )
