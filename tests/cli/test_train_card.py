"""The card that training leaves says where the model is biased, if the table knows its clouds."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spark_cot.archive.options import TrainOptions
from spark_cot.cli.train import train
from spark_cot.models.bundle import Bundle
from spark_cot.simulate.dataset import simulate_block

BIAS = "Where it reads too thin or too thick"


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    folder = tmp_path / "simulated" / "split=test"
    folder.mkdir(parents=True)
    rows = simulate_block(3, 0).drop_columns(["split"])
    pq.write_table(rows, folder / "rows.parquet")
    return folder.parent


def card(table: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert train(TrainOptions(table=str(table), out=out)) == 0
    path = out.with_name(f"{out.name}.training") / "card.html"
    assert f"card {path}" in capsys.readouterr().err.splitlines()
    return path.read_text()


def test_the_card_of_a_trained_model(
    synthetic: Path,
    simulated: Path,
    brightness_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("spark_cot.archive.train.train", lambda *_: brightness_bundle)
    assert BIAS not in card(synthetic, tmp_path / "plain", capsys)
    assert BIAS in card(simulated, tmp_path / "known", capsys)
