import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spark_cot.archive.options import ImportOptions
from spark_cot.cli.models import import_bundle
from spark_cot.errors import ModelError
from spark_cot.models.bundle import load_bundle, save_bundle
from spark_cot.models.importers import import_model
from spark_cot.msi import BAND_IDS

State = dict[str, torch.Tensor]
PUBLISHED_BANDS = [band for band in BAND_IDS if band != "B01"]


class MLP5(torch.nn.Module):
    """The published layers, under their published names."""

    def __init__(self, inputs: int, outputs: int = 1, width: int = 64) -> None:
        super().__init__()
        widths = (inputs, width, width, width, width, outputs)
        for i in range(5):
            self.add_module(f"lin{i + 1}", torch.nn.Linear(widths[i], widths[i + 1]))


def states(count: int, inputs: int, **options: int) -> list[State]:
    torch.manual_seed(count + inputs)
    return [dict(MLP5(inputs, **options).state_dict()) for _ in range(count)]


def checkpoints(folder: Path, members: list[Any]) -> list[Path]:
    """One folder per training run, as the authors publish them."""
    paths = [folder / f"2023-08-10_10-{i:02}" / "model_it_2000000" for i in range(len(members))]
    for path, member in zip(paths, members, strict=True):
        path.parent.mkdir(parents=True)
        torch.save(member, path)
    return paths


def ensemble_npz(path: Path, members: list[State]) -> Path:
    arrays = {
        f"m{m}_{name.replace('.', '_')}": tensor.numpy()
        for m, member in enumerate(members)
        for name, tensor in member.items()
    }
    np.savez(path, **arrays)
    return path


def test_the_reference_ensemble(shared: Path, tmp_path: Path) -> None:
    source = shared / "reference" / "cot_mlp5_12band_ensemble.npz"
    bundle = import_model(source)
    assert bundle.name == "mlp5-12band-10members"
    assert bundle.architecture.members == 10
    assert bundle.architecture.widths == (12, 64, 64, 64, 64, 1)
    assert list(bundle.inputs) == PUBLISHED_BANDS
    assert (bundle.thresholds.thin, bundle.thresholds.thick) == (0.75, 1.25)
    with np.load(source, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(bundle.weights["layer5.weight"][9], arrays["m9_lin5_weight"])
    assert load_bundle(save_bundle(bundle, tmp_path / "reference")) == bundle


def test_a_dry_run_of_import_tells_the_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = ensemble_npz(tmp_path / "ensemble.npz", states(3, 12)), tmp_path / "out"
    assert import_bundle(ImportOptions(source=(source,), out=out, dry_run=True)) == 0
    text = capsys.readouterr().out
    weights = 3 * sum(tensor.numel() for tensor in states(1, 12)[0].values())
    assert f"{weights:,} weights, members 3" in text
    assert f"{4 * weights:,}" in text
    assert str(out) in text
    assert not out.exists()


@pytest.mark.parametrize("inputs", [12, 11])
def test_checkpoints_and_npz_of_the_same_weights_are_the_same_model(
    tmp_path: Path, inputs: int
) -> None:
    members = states(3, inputs)
    paths = checkpoints(tmp_path / "log", members)
    of_files = import_model(paths)
    of_folder = import_model(tmp_path / "log", name="mine")
    of_npz = import_model(ensemble_npz(tmp_path / "ensemble.npz", members))
    assert of_files == of_folder == of_npz
    assert of_folder.name == "mine"
    assert [entry["file"] for entry in of_files.training["imported"]] == [
        f"2023-08-10_10-0{i}/model_it_2000000" for i in range(3)
    ]
    assert list(of_files.inputs) == [
        band for band in PUBLISHED_BANDS if inputs == 12 or band != "B10"
    ]


def test_statistics_follow_their_band_without_b10(tmp_path: Path) -> None:
    twelve, eleven = (
        import_model(checkpoints(tmp_path / str(inputs), states(1, inputs))) for inputs in (12, 11)
    )
    of_twelve = dict(zip(twelve.inputs, zip(twelve.means, twelve.stds, strict=True), strict=True))
    of_eleven = dict(zip(eleven.inputs, zip(eleven.means, eleven.stds, strict=True), strict=True))
    assert of_twelve["B10"] == (0.07375108, 0.1140917)
    assert of_eleven == {band: of_twelve[band] for band in eleven.inputs}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model_state_dict": state, "epoch": 3},
        lambda state: {"state_dict": state},
        lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
        lambda state: {key: tensor.double() for key, tensor in state.items()},
        lambda state: {key: torch.nn.Parameter(tensor) for key, tensor in state.items()},
    ],
    ids=["wrapped", "lightning", "data parallel", "double", "parameters"],
)
def test_other_ways_to_save_the_same_state(tmp_path: Path, wrap: Callable[[State], Any]) -> None:
    (state,) = states(1, 12)
    plain = import_model(checkpoints(tmp_path / "plain", [state]))
    assert import_model(checkpoints(tmp_path / "other", [wrap(state)])) == plain


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "owned",))

    (tmp_path / "model").write_bytes(pickle.dumps(Payload(), protocol=2))
    torch.save(Payload(), tmp_path / "model.pt")
    for path in (tmp_path / "model", tmp_path / "model.pt"):
        with pytest.raises(ModelError, match="not a PyTorch checkpoint of weights"):
            import_model(path)
    assert not (tmp_path / "owned").exists()


def test_an_npz_never_runs_code(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", m0_lin1_weight=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModelError, match="not a readable"):
        import_model(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (states(2, 10), "10 inputs, expected 12 .* or 11"),
        (states(1, 12, outputs=2), "one output"),
        (states(1, 12) + states(1, 11), "member 1 has tensors"),
        ([{"conv1.weight": torch.zeros(1)}], "unexpected entry conv1.weight"),
        ([{"lin1.weight": [1.0]}], "unexpected entry lin1.weight"),
        ([{"lin1.weight": torch.zeros(64), "lin1.bias": torch.zeros(64)}], "no matrices"),
        ([{"lin2.weight": torch.zeros(1, 12), "lin2.bias": torch.zeros(1)}], "layers are missing"),
        ([torch.zeros(3)], "holds a Tensor, no state dictionary"),
        ([{}], "no state dictionary"),
    ],
)
def test_checkpoints_of_something_else(tmp_path: Path, members: list[Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        import_model(checkpoints(tmp_path, members))
    assert str(tmp_path) in str(caught.value.where)
    assert caught.value.cure


@pytest.mark.parametrize("name", ["model.npz", "model.pt"])
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 cut short", b"\x93NUMPY"])
def test_files_that_are_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="not a") as caught:
        import_model(tmp_path / name)
    assert caught.value.where == str(tmp_path / name)


def test_an_array_file_is_no_ensemble(tmp_path: Path) -> None:
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ModelError, match="not a readable"):
        import_model(tmp_path / "x.npz")


def test_an_npz_with_another_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", labels=np.zeros(3))
    with pytest.raises(ModelError, match="unexpected array labels"):
        import_model(tmp_path / "x.npz")


def test_an_npz_with_a_member_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", m1_lin1_weight=np.zeros(3))
    with pytest.raises(ModelError, match=r"members \[1\], expected 0, 1"):
        import_model(tmp_path / "x.npz")


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file found"):
        import_model(tmp_path)
    with pytest.raises(ModelError, match="no such file or folder"):
        import_model(tmp_path / "absent")
