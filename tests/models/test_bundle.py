import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from spark_cot.errors import ModelError
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.envelope import default_envelope, trained_envelope
from spark_cot.models.posterior import Posterior
from spark_cot.models.target import Target


def test_a_saved_bundle_loads_as_it_was(bundle: Bundle, tmp_path: Path) -> None:
    found = load_bundle(save_bundle(bundle, tmp_path / "deep" / "model"))
    assert found == bundle
    assert found.document == bundle.document
    assert found.bands == ("B02", "B11")
    for name, tensor in bundle.weights.items():
        np.testing.assert_array_equal(found.weights[name], tensor)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["model"]


def test_model_json_tells_units_and_provenance(bundle: Bundle, tmp_path: Path) -> None:
    document = json.loads((save_bundle(bundle, tmp_path / "model") / "model.json").read_text())
    assert [entry["unit"] for entry in document["inputs"]] == [
        "TOA reflectance",
        "TOA reflectance",
        "degrees",
    ]
    assert document["training"] == {"seed": 7}
    assert document["thresholds"] == {"unit": "COT at 550 nm", "thin": 0.75, "thick": 1.25}


#: Hashes of the small bundle by the rules of format version 1, without an envelope, and of 2.
HASH_1 = "feabcc90ba93b2b39e6883949c421e5dfed069725134142a5f7c72d682dc3a20"
HASH_2 = "221900505dc1723182abff667bfc5ae8574f9a66c73133521a185ebe4bd871dc"


def test_the_hash_is_the_same_on_every_machine(bundle: Bundle) -> None:
    assert bundle.hash == HASH_2
    assert bundle.id == bundle.hash[:16]


def first_version(bundle: Bundle, folder: Path, changed: dict[str, Any]) -> Path:
    """The bundle as version 1 wrote it."""
    path = save_bundle(bundle, folder) / "model.json"
    document = json.loads(path.read_text())
    del document["envelope"]
    path.write_text(json.dumps(document | {"format_version": 1, "hash": HASH_1} | changed))
    return folder


def test_a_bundle_of_version_1_gets_the_default_envelope(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = first_version(bundle, tmp_path / "old", {})
    with caplog.at_level("INFO"):
        found = load_bundle(folder)
    assert "Model small" in caplog.text
    assert "three standard deviations about the mean" in caplog.text
    assert found.envelope == default_envelope(bundle.means, bundle.stds)
    assert found == bundle
    assert load_bundle(save_bundle(found, tmp_path / "new")) == found


def test_a_bundle_of_version_1_is_verified_by_its_own_rule(bundle: Bundle, tmp_path: Path) -> None:
    folder = first_version(bundle, tmp_path / "old", {"hash": HASH_2})
    with pytest.raises(ModelError, match=f"content hash is {HASH_1}"):
        load_bundle(folder)


def test_an_envelope_travels_and_changes_the_hash(bundle: Bundle, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(bundle.means, bundle.stds, (500, 3))
    trained = replace(bundle, envelope=trained_envelope(rows, bundle.means, bundle.stds))
    assert trained != bundle
    found = load_bundle(save_bundle(trained, tmp_path / "model"))
    assert found == trained
    assert found.envelope == trained.envelope


@pytest.mark.parametrize(
    "change",
    [{"name": "x"}, {"metrics": {}}, {"training": {}}, {"source": ""}, {"library_version": "9"}],
    ids=lambda change: next(iter(change)),
)
def test_prose_does_not_change_the_hash(bundle: Bundle, change: dict[str, Any]) -> None:
    assert replace(bundle, **change) == bundle


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": ("B11", "B02", "sun_zenith")},
        {"means": (0.3, 0.2, 45.1)},
        {"stds": (0.25, 0.125, 15.1)},
        {"target": Target("linear", 49)},
        {"target": Target("log1p", 50)},
        {"thresholds": Thresholds(0.75, 1.3)},
    ],
)
def test_what_changes_a_prediction_changes_the_hash(bundle: Bundle, change: dict[str, Any]) -> None:
    assert replace(bundle, **change) != bundle


def test_one_bit_of_one_weight_changes_the_hash(bundle: Bundle) -> None:
    weight = bundle.weights["layer2.bias"].copy()
    weight[1, 0] = np.nextafter(weight[1, 0], np.float32(9))
    assert replace(bundle, weights=bundle.weights | {"layer2.bias": weight}) != bundle


def test_a_bundle_travels_to_executors_by_pickle(bundle: Bundle) -> None:
    travelled = pickle.loads(pickle.dumps(bundle))  # noqa: S301
    assert travelled == bundle
    assert hash(travelled) == hash(bundle)


def test_weights_are_read_only(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="read-only"):
        bundle.weights["layer1.bias"][0, 0] = 1


def test_saving_replaces_an_older_bundle(bundle: Bundle, tmp_path: Path) -> None:
    newer = replace(bundle, thresholds=Thresholds(0.1, 0.2))
    save_bundle(bundle, tmp_path / "model")
    save_bundle(newer, tmp_path / "model")
    assert load_bundle(tmp_path / "model") == newer
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_saving_into_another_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match=r"not a model bundle.*Choose a new folder"):
        save_bundle(bundle, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("metrics", [{"mae": float("nan")}, {"mae": object()}])
def test_a_failed_save_leaves_the_old_bundle(
    bundle: Bundle, tmp_path: Path, metrics: dict[str, Any]
) -> None:
    save_bundle(bundle, tmp_path / "model")
    with pytest.raises(ModelError, match="JSON"):
        save_bundle(replace(bundle, metrics=metrics), tmp_path / "model")
    assert load_bundle(tmp_path / "model") == bundle
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_place_that_cannot_be_written_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="file/model: cannot be written"):
        save_bundle(bundle, tmp_path / "file" / "model")


Edit = Callable[[dict[str, Any]], object]
BROKEN: dict[str, tuple[Edit, str]] = {
    "another format": (lambda d: d.update(format="onnx"), "does not describe"),
    "future version": (lambda d: d.update(format_version=3), "format version 3, expected one of"),
    "unknown architecture": (lambda d: d["architecture"].update(kind="unet"), "'unet' is unknown"),
    "unknown activation": (
        lambda d: d["architecture"].update(hidden_activation="gelu"),
        "gelu.*expected relu",
    ),
    "unknown option": (lambda d: d["architecture"].update(dropout=0.1), "wrong type.*dropout"),
    "no members": (lambda d: d["architecture"].update(members=0), "positive integers"),
    "three outputs": (
        lambda d: d["architecture"].update(widths=[3, 4, 3]),
        "3 outputs.*has 1 or 2",
    ),
    "no output": (lambda d: d["architecture"].update(widths=[3]), "to the outputs"),
    "softmax of a reading": (
        lambda d: d["architecture"].update(output_activation="softmax"),
        "'softmax' of the output does not fit the target, expected relu",
    ),
    "unknown output activation": (
        lambda d: d["architecture"].update(output_activation="tanh"),
        "'tanh' of the output is unknown",
    ),
    "distribution without knots": (
        lambda d: d["target"].update(kind="posterior"),
        "lacks 'knots'",
    ),
    "text for a width": (lambda d: d["architecture"].update(widths=["3", 4, 1]), "positive"),
    "missing key": (lambda d: d.pop("target"), "lacks 'target'"),
    "wrong type": (lambda d: d.update(inputs=5), "wrong type"),
    "unknown column": (lambda d: d["inputs"][0].update(column="B13"), r"unknown inputs \['B13'\]"),
    "column twice": (lambda d: d["inputs"][0].update(column="B11"), "twice"),
    "input dropped": (lambda d: d["inputs"].pop(), "counts disagree"),
    "no spread": (lambda d: d["inputs"][1].update(std=0), "stds must be above zero"),
    "NaN mean": (lambda d: d["inputs"][1].update(mean=float("nan")), "means must be finite"),
    "unknown target": (lambda d: d["target"].update(kind="sqrt"), "'sqrt' is unknown"),
    "no scale": (lambda d: d["target"].update(scale=-1), "scale must be above zero"),
    "thresholds swapped": (lambda d: d["thresholds"].update(thin=2), "thin <= thick"),
    "no envelope": (lambda d: d.pop("envelope"), "lacks 'envelope'"),
    "envelope of words": (lambda d: d["envelope"].update(low=["a", "b", "c"]), "wrong type"),
    "half an envelope": (lambda d: d["envelope"].pop("limit"), "wrong type.*limit"),
    "envelope cut short": (lambda d: d["envelope"]["high"].pop(), "does not fit 3 inputs"),
    "envelope elsewhere": (
        lambda d: d["envelope"]["low"].__setitem__(0, 0.5),
        "envelope of B02 is 0.5 to .*an interval around its mean 0.3",
    ),
    "envelope of NaN": (lambda d: d["envelope"].update(limit=float("nan")), "limit above zero"),
    "edited envelope": (lambda d: d["envelope"].update(limit=6.0), "content hash"),
    "edited statistics": (lambda d: d["inputs"][0].update(mean=0.31), "content hash"),
    "hash removed": (lambda d: d.pop("hash"), "content hash"),
}


@pytest.mark.parametrize(("edit", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_malformed_document_is_explained(
    bundle: Bundle, tmp_path: Path, edit: Edit, message: str
) -> None:
    path = save_bundle(bundle, tmp_path / "model") / "model.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=message) as caught:
        load_bundle(path.parent)
    assert caught.value.where == str(path.parent)
    assert caught.value.cure


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "not valid JSON"), (b"[]", "does not describe"), (b"\xff\xfe\x00", "not valid JSON")],
)
def test_a_document_that_is_none(
    bundle: Bundle, tmp_path: Path, content: bytes, message: str
) -> None:
    path = save_bundle(bundle, tmp_path / "model") / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_bundle(path.parent)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_missing_file_is_named(bundle: Bundle, tmp_path: Path, name: str) -> None:
    (save_bundle(bundle, tmp_path / "model") / name).unlink()
    with pytest.raises(ModelError, match=f"{name} cannot be read: No such file"):
        load_bundle(tmp_path / "model")


def _with_weights(bundle: Bundle, folder: Path, weights: dict[str, Any]) -> Path:
    save_bundle(bundle, folder)
    (folder / "weights.safetensors").write_bytes(safetensors.numpy.save(weights))
    return folder


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (np.zeros((2, 5), np.float32), r"float32 \(2, 5\), expected float32 \(2, 4\)"),
        (np.zeros((2, 4), np.float64), "is float64"),
        (np.full((2, 4), np.nan, np.float32), "holds NaN or infinity"),
        (np.zeros((2, 4), np.float32), "content hash"),
    ],
)
def test_weights_that_do_not_fit(bundle: Bundle, tmp_path: Path, tensor: Any, message: str) -> None:
    folder = _with_weights(bundle, tmp_path / "model", bundle.weights | {"layer1.bias": tensor})
    with pytest.raises(ModelError, match=message):
        load_bundle(folder)


def test_missing_and_unexpected_tensors_are_both_named(bundle: Bundle, tmp_path: Path) -> None:
    weights = {**bundle.weights, "layer3.bias": bundle.weights["layer2.bias"]}
    del weights["layer1.bias"]
    with pytest.raises(ModelError, match=r"missing layer1\.bias; unexpected layer3\.bias"):
        load_bundle(_with_weights(bundle, tmp_path / "model", weights))


def test_weights_cut_short(bundle: Bundle, tmp_path: Path) -> None:
    path = save_bundle(bundle, tmp_path / "model") / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_bundle(path.parent)


def test_architecture_names_its_tensors() -> None:
    assert MLP(10, (12, 64, 1)).shapes == {
        "layer1.weight": (10, 64, 12),
        "layer1.bias": (10, 64),
        "layer2.weight": (10, 1, 64),
        "layer2.bias": (10, 1),
    }


@pytest.mark.parametrize(
    ("target", "inverse"),
    [
        (Target("linear", 50.0), lambda cot: cot / 50),
        (Target("log1p", 4.0), lambda cot: np.log1p(4 * cot)),
    ],
)
def test_targets_undo_the_training_transform(target: Target, inverse: Callable[[Any], Any]) -> None:
    cot = np.array([0, 1e-4, 0.3, 5, 250])
    found = target.cot(inverse(cot).astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cot, rtol=1e-5)


@pytest.mark.parametrize("target", [Target("linear", 50.0), Target("log1p", 4.0)])
def test_targets_know_their_inverse_and_slope(target: Target) -> None:
    cot = np.array([0, 1e-3, 0.3, 5, 250], np.float32)
    output = target.output(cot)
    assert output.dtype == target.slope(output).dtype == np.float32
    np.testing.assert_allclose(target.cot(output), cot, rtol=2e-5)
    step = 1e-4
    wide = output.astype(np.float64)
    rise = (target.cot(wide + step) - target.cot(wide - step)) / (2 * step)
    np.testing.assert_allclose(target.slope(output), rise, rtol=1e-4)


@pytest.mark.parametrize("kind", ["double_bundle", "posterior_bundle"])
def test_a_bundle_with_several_outputs_is_kept(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kept: Bundle = request.getfixturevalue(kind)
    found = load_bundle(save_bundle(kept, tmp_path / "model"))
    assert found == kept
    assert (found.target, found.architecture) == (kept.target, kept.architecture)


def test_knots_are_part_of_what_a_model_is(posterior_bundle: Bundle) -> None:
    other = Posterior(4, (0, 0.3, 1, 6, 60))
    assert replace(posterior_bundle, target=other).hash != posterior_bundle.hash


@pytest.mark.parametrize(
    ("thin", "thick"), [(0, 1), (2, 1), (-1, 1), (float("nan"), 1), (1, float("inf"))]
)
def test_thresholds_are_ordered(thin: float, thick: float) -> None:
    with pytest.raises(ModelError, match="0 < thin <= thick"):
        Thresholds(thin, thick)
