"""A model bundle: all that a prediction needs, in one folder, named by the hash of its content.

The folder holds ``model.json`` (architecture, inputs and their statistics, target, thresholds,
envelope, provenance) and ``weights.safetensors``. Nothing in it is code, and nothing pickled is
ever loaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from spark_cot import __version__
from spark_cot.errors import ModelError
from spark_cot.models.architecture import ARCHITECTURES, MLP, Float32
from spark_cot.models.classes import Thresholds
from spark_cot.models.envelope import Envelope, default_envelope
from spark_cot.models.posterior import Posterior
from spark_cot.models.target import Target, target_of
from spark_cot.msi import ANGLES, BAND_IDS
from spark_cot.storage import check_access, path_of, read_bytes

_LOG = logging.getLogger(__name__)

FORMAT: Final = "spark_cot model bundle"
FORMAT_VERSION: Final = 2
#: Version 1 knows no posterior and no envelope.
READABLE_VERSIONS: Final = (1, FORMAT_VERSION)
MODEL_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "weights.safetensors"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model with all that a prediction needs.

    Two bundles are equal when their hashes are, that is when they predict the same.

    Attributes
    ----------
    name : str
        For people; the hash is what identifies the model.
    architecture : MLP
    inputs : tuple[str, ...]
        Columns of the pixel table in network order: bands (TOA reflectance) and angles (degrees).
    means, stds : tuple[float, ...]
        Per input, in its unit: the network sees (x - mean) / std.
    target : Target or Posterior
    thresholds : Thresholds
    weights : dict[str, numpy.ndarray]
        float32 tensors named and shaped as ``architecture.shapes``; made read-only.
    training : dict
        Provenance: data hash, seed, command and the like, as JSON values.
    metrics : dict
        Scores by name, as JSON values.
    source : str
        Citation or description of where the model comes from.
    library_version : str
        Version of spark_cot that made the bundle.
    envelope : Envelope, optional
        What the model was trained on; by default three standard deviations about each mean.

    Raises
    ------
    ModelError
        If inputs, statistics, envelope, target or weights do not fit each other or the
        architecture.
    """

    name: str
    architecture: MLP
    inputs: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    target: Target | Posterior
    thresholds: Thresholds
    weights: dict[str, Float32]
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    library_version: str = __version__
    envelope: Envelope = None  # type: ignore[assignment]  # set below, from the statistics

    def __post_init__(self) -> None:
        # Plain floats, so that a bundle has the hash of what its JSON reads back as.
        object.__setattr__(self, "means", tuple(map(float, self.means)))
        object.__setattr__(self, "stds", tuple(map(float, self.stds)))
        _check_inputs(self)
        if self.envelope is None:
            object.__setattr__(self, "envelope", default_envelope(self.means, self.stds))
        self.envelope.check(self.inputs, self.means)
        _check_outputs(self)
        _check_weights(self)
        for tensor in self.weights.values():
            tensor.flags.writeable = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def bands(self) -> tuple[str, ...]:
        """The inputs that are bands."""
        return tuple(column for column in self.inputs if column in BAND_IDS)

    @property
    def meaning(self) -> dict[str, Any]:
        """What decides a prediction, beside the weights: the hashed part of ``model.json``."""
        statistics = zip(self.inputs, self.means, self.stds, strict=True)
        return {
            "architecture": {"kind": self.architecture.kind, **asdict(self.architecture)},
            "inputs": [
                {
                    "column": column,
                    "unit": "degrees" if column in ANGLES else "TOA reflectance",
                    "mean": mean,
                    "std": std,
                }
                for column, mean, std in statistics
            ],
            "target": {"quantity": "cloud optical thickness at 550 nm", **self.target.document},
            "thresholds": {"unit": "COT at 550 nm", **asdict(self.thresholds)},
            "envelope": asdict(self.envelope),
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) over ``meaning`` as canonical JSON and the weights as little-endian bytes.

        Name, training, metrics, source and library version are left out: they change no prediction.
        """
        return _hash(self, self.meaning)

    @property
    def id(self) -> str:
        """The first 16 digits of the hash: the model's name in tables, ledgers and products."""
        return self.hash[:16]

    @property
    def document(self) -> dict[str, Any]:
        """Content of ``model.json``."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "hash": self.hash,
            "name": self.name,
            **self.meaning,
            "training": self.training,
            "metrics": self.metrics,
            "source": self.source,
            "library_version": self.library_version,
        }


def _hash(bundle: Bundle, meaning: Mapping[str, Any]) -> str:
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode())
    for tensor in bundle.architecture.shapes:
        digest.update(bundle.weights[tensor].astype("<f4").tobytes())
    return digest.hexdigest()


def _stored_hash(bundle: Bundle, version: int) -> str:
    """The hash by the rule of a format version: version 1 knew no envelope."""
    known = bundle.meaning
    if version < 2:
        del known["envelope"]
    return _hash(bundle, known)


def _check_inputs(bundle: Bundle) -> None:
    known = (*BAND_IDS, *ANGLES)
    unknown = [column for column in bundle.inputs if column not in known]
    if unknown:
        raise ModelError(f"unknown inputs {unknown}, expected some of {list(known)}")
    if len(set(bundle.inputs)) != len(bundle.inputs):
        raise ModelError(f"inputs {list(bundle.inputs)} name a column twice")
    counts = {
        "inputs": len(bundle.inputs),
        "means": len(bundle.means),
        "stds": len(bundle.stds),
        "inputs of the architecture": bundle.architecture.inputs,
    }
    if len(set(counts.values())) != 1:
        raise ModelError(f"counts disagree: {counts}")
    if not all(map(math.isfinite, bundle.means)):
        raise ModelError(f"means must be finite, found {list(bundle.means)}")
    if not all(math.isfinite(std) and std > 0 for std in bundle.stds):
        raise ModelError(f"stds must be above zero, found {list(bundle.stds)}")


def _check_outputs(bundle: Bundle) -> None:
    architecture, target = bundle.architecture, bundle.target
    if architecture.outputs not in target.outputs:
        wanted = " or ".join(map(str, target.outputs))
        raise ModelError(f"{architecture.outputs} outputs, the target has {wanted}")
    if architecture.output_activation != target.activation:
        raise ModelError(
            f"activation {architecture.output_activation!r} of the output does not fit the target, "
            f"expected {target.activation}"
        )


def _check_weights(bundle: Bundle) -> None:
    expected, found = bundle.architecture.shapes, bundle.weights
    faults = [f"missing {name}" for name in expected if name not in found]
    faults += [f"unexpected {name}" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        if found[name].shape != expected[name] or found[name].dtype != np.float32:
            faults.append(
                f"{name} is {found[name].dtype} {found[name].shape}, "
                f"expected float32 {expected[name]}"
            )
        elif not np.isfinite(found[name]).all():
            faults.append(f"{name} holds NaN or infinity")
    if faults:
        raise ModelError(f"weights do not fit: {'; '.join(sorted(faults))}")


def save_bundle(bundle: Bundle, folder: str | Path) -> Path:
    """Write a bundle as ``folder``, whole or not at all; an older bundle there is replaced.

    Raises
    ------
    ModelError
        If the folder holds anything but a bundle or cannot be written, or if training or metrics
        are no JSON.
    """
    folder = Path(folder)
    check_place(folder)
    document = _json(bundle)
    staging = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        staging.mkdir(parents=True)
        (staging / WEIGHTS_FILE).write_bytes(safetensors.numpy.save(bundle.weights))
        (staging / MODEL_FILE).write_text(document)
        _replace(folder, staging)
    except OSError as error:
        raise ModelError(f"cannot be written: {error}", str(folder)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def check_place(folder: Path) -> None:
    """Raise ModelError if ``folder`` holds what is no bundle: `save_bundle` would replace it."""
    if folder.exists() and not _is_bundle_or_empty(folder):
        raise ModelError(
            "exists and is not a model bundle", str(folder), "Choose a new folder for the bundle"
        )


def _json(bundle: Bundle) -> str:
    try:
        return json.dumps(bundle.document, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ModelError(f"training or metrics hold what JSON cannot: {error}") from error


def _replace(folder: Path, staging: Path) -> None:
    """Put ``staging`` in the place of ``folder``; a crash in between leaves the old one beside."""
    retired = staging.with_suffix(".old")
    if folder.exists():
        folder.rename(retired)
    staging.rename(folder)
    shutil.rmtree(retired, ignore_errors=True)


def _is_bundle_or_empty(folder: Path) -> bool:
    return folder.is_dir() and {p.name for p in folder.iterdir()} <= {MODEL_FILE, WEIGHTS_FILE}


def load_bundle(folder: str | Path) -> Bundle:
    """Read and verify the bundle in a folder or below an ``s3://`` URL.

    A bundle of format version 1 gets the default envelope, which the log says; its hash is then
    that of the bundle with this envelope, since it predicts otherwise outside.

    Raises
    ------
    ModelError
        If a file is missing or malformed, of another format version, or was changed since the
        bundle was saved.
    """
    folder = path_of(folder)
    check_access(folder)
    try:
        document = _read_document(folder)
        bundle = _parse(document, _read_weights(folder))
        found = _stored_hash(bundle, document["format_version"])
        if document.get("hash") != found:
            raise ModelError(
                f"content hash is {found}, {MODEL_FILE} says {document.get('hash')}: "
                "the files were damaged or edited"
            )
    except ModelError as error:
        cure = error.cure or "Copy the bundle again, or make it anew"
        raise ModelError(error.what, str(folder), cure) from error
    if document["format_version"] < FORMAT_VERSION:
        _LOG.info(
            "Model %s (%s) is of format version %s, which knows no envelope: three standard "
            "deviations about the mean of each input are taken for what it was trained on",
            bundle.name,
            folder,
            document["format_version"],
        )
    return bundle


def _read_document(folder: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(_read(folder, MODEL_FILE))
    except ValueError as error:
        raise ModelError(f"{MODEL_FILE} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelError(f"{MODEL_FILE} does not describe a {FORMAT}")
    if document.get("format_version") not in READABLE_VERSIONS:
        raise ModelError(
            f"format version {document.get('format_version')}, "
            f"expected one of {list(READABLE_VERSIONS)}",
            cure="Read it with the version of spark_cot that made it",
        )
    return document


def _read_weights(folder: Path) -> dict[str, Float32]:
    try:
        return safetensors.numpy.load(_read(folder, WEIGHTS_FILE))
    except SafetensorError as error:
        raise ModelError(f"{WEIGHTS_FILE} is not a safetensors file: {error}") from error


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_bytes(folder / name)
    except OSError as error:
        raise ModelError(
            f"{name} cannot be read: {error.strerror or error}",
            cure="Give a folder made by `spark-cot train` or `spark-cot model import`",
        ) from error


def _parse(document: Mapping[str, Any], weights: dict[str, Float32]) -> Bundle:
    try:
        architecture = dict(document["architecture"])
        kind = architecture.pop("kind")
        if kind not in ARCHITECTURES:
            raise ModelError(
                f"architecture {kind!r} is unknown, expected one of {sorted(ARCHITECTURES)}"
            )
        inputs, limits = document["inputs"], document["thresholds"]
        means, stds = (tuple(entry[key] for entry in inputs) for key in ("mean", "std"))
        return Bundle(
            name=str(document["name"]),
            architecture=ARCHITECTURES[kind](**architecture),
            inputs=tuple(entry["column"] for entry in inputs),
            means=means,
            stds=stds,
            target=target_of(document["target"]),
            thresholds=Thresholds(limits["thin"], limits["thick"]),
            weights=weights,
            training=dict(document["training"]),
            metrics=dict(document["metrics"]),
            source=str(document["source"]),
            library_version=str(document["library_version"]),
            envelope=Envelope(**document["envelope"])
            if document["format_version"] > 1
            else default_envelope(means, stds),
        )
    except KeyError as error:
        raise ModelError(f"{MODEL_FILE} lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{MODEL_FILE} holds a value of the wrong type: {error}") from error
