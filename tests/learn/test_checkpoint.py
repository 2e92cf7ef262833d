import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from spark_cot.errors import TrainingError
from spark_cot.learn.checkpoint import TrainingState, read, write

FilesUpTo = Callable[[int], AbstractContextManager[None]]
CONFIGURATION: dict[str, Any] = {"steps": 60, "inputs": ["B02", "B10"], "data": "ab12", "ranks": 2}
STATE = TrainingState(
    step=17,
    best_loss=0.1 + 0.2,
    best_epoch=1,
    loss_sum=1 / 3,
    history=[{"step": 8, "train_loss": 2 / 3}, {"step": 16, "train_loss": 1e-17}],
)


def tensors(seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight.a": torch.randn(3, 4, 5, generator=generator),
        "step.a": torch.tensor(17.0),
        "best.a": torch.tensor([float("inf"), -0.0, 1e-45]),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint."""
    write(tmp_path / "deep/run/checkpoint", CONFIGURATION, STATE, tensors())
    return tmp_path / "deep/run/checkpoint"


def test_what_is_written_is_read_to_the_bit(path: Path) -> None:
    state, found = read(path, CONFIGURATION)
    assert state == STATE
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].shape == tensor.shape
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_a_run_that_has_not_begun_survives(path: Path) -> None:
    write(path, CONFIGURATION, TrainingState(), tensors())
    assert read(path, CONFIGURATION)[0] == TrainingState()


def test_the_newer_replaces_the_older_and_nothing_else_is_left(path: Path) -> None:
    write(path, CONFIGURATION, TrainingState(step=18), tensors(2))
    state, found = read(path, CONFIGURATION)
    assert state.step == 18
    assert torch.equal(found["weight.a"], tensors(2)["weight.a"])
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 61}, r"another configuration: steps: 60, now 61\."),
        ({"data": "cd34"}, "data: ab12, now cd34"),
        ({"ranks": 1, "steps": 9}, "ranks: 2, now 1; steps: 60, now 9"),
        ({"teacher": "ef"}, "teacher: None, now ef"),
    ],
)
def test_what_differs_in_another_configuration_is_named(
    path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        read(path, CONFIGURATION | change)


def test_lists_and_tuples_are_one_configuration(path: Path) -> None:
    assert read(path, CONFIGURATION | {"inputs": ("B02", "B10")})[0] == STATE


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other", "folder"])
def test_a_damaged_file_is_named(path: Path, damage: str) -> None:
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "other":  # a safetensors file of something else
        path.write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    else:
        path.write_bytes({"cut": content[:-4], "empty": b"", "text": b"hello " * 99}[damage])
    with pytest.raises(TrainingError, match=r"run/checkpoint: is no checkpoint: .*Remove it"):
        read(path, CONFIGURATION)


def test_a_checkpoint_of_an_older_version_is_refused(path: Path) -> None:
    older = {"making": json.dumps(CONFIGURATION), "progress": "{}"}
    safetensors.torch.save_file(tensors(), path, older)
    with pytest.raises(TrainingError, match=r"no checkpoint of this version.*without --resume"):
        read(path, CONFIGURATION)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file/run: checkpoint cannot be written: "):
        write(tmp_path / "file/run", CONFIGURATION, STATE, tensors())


def test_a_full_disk_leaves_the_previous_one(path: Path, files_up_to: FilesUpTo) -> None:
    before = path.read_bytes()
    with files_up_to(1000), pytest.raises(TrainingError) as caught:
        write(path, CONFIGURATION, TrainingState(step=99), {"weight.a": torch.zeros(50_000)})
    assert "checkpoint cannot be written: File too large" in str(caught.value)
    assert "The previous one is intact: free space" in str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint"]
