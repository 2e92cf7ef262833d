from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from spark_cot.errors import TrainingError
from spark_cot.learn.history import write_history

HISTORY = [
    {"step": 15.0, "train_loss": 0.7, "validation_loss": 0.8, "learning_rate": 0.02},
    {"step": 30.0, "train_loss": 0.4, "validation_loss": 0.5, "learning_rate": 0.01},
    {"step": 45.0, "train_loss": 0.3, "validation_loss": 0.6, "learning_rate": 0.0},
]


def test_the_table_has_a_row_per_epoch(tmp_path: Path) -> None:
    write_history(tmp_path / "run", HISTORY, draw=False)
    found = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert list(found.columns) == ["epoch", *HISTORY[0]]
    assert found["epoch"].tolist() == [1, 2, 3]
    assert found.drop(columns="epoch").to_dict("records") == HISTORY
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["metrics.csv"]


def test_the_picture_shows_both_curves_and_the_best_epoch(tmp_path: Path) -> None:
    write_history(tmp_path, HISTORY, draw=True)
    with Image.open(tmp_path / "curves.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x8F, 0xA3, 0xB0), (0x1F, 0x5F, 0x8B), (0xC8, 0x55, 0x3D)} <= colours


@pytest.mark.parametrize("draw", [True, False])
def test_a_single_epoch_is_enough(tmp_path: Path, draw: bool) -> None:
    write_history(tmp_path, HISTORY[:1], draw=draw)
    assert (tmp_path / "curves.png").exists() == draw


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file: metrics cannot be written: File exists"):
        write_history(tmp_path / "file", HISTORY, draw=False)
