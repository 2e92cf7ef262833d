"""Several processes that train as one: equal, orderly, and resumed to the bit after a kill."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest

from spark_cot.archive.train import train
from spark_cot.errors import TableError, TrainingError
from spark_cot.learn import launch as launcher
from spark_cot.learn.launch import launch
from spark_cot.learn.run import TrainingRun
from spark_cot.models.bundle import Bundle, load_bundle

COURSE = ["epoch", "step", "train_loss", "validation_loss", "learning_rate"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def faulty_ranks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of that name, where new processes find it too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("faulty_ranks")


def course(run: TrainingRun) -> pd.DataFrame:
    return pd.read_csv(run.folder / "metrics.csv")[COURSE]


def test_two_ranks_make_one_bundle(two_ranks: Bundle, shared_run: TrainingRun) -> None:
    assert load_bundle(shared_run.out) == two_ranks
    assert two_ranks.training["ranks"] == 2
    found = course(shared_run)
    assert found["step"].iloc[-1] == 40
    assert found["validation_loss"].iloc[-1] < found["validation_loss"].iloc[0]


def test_a_killed_rank_ends_the_run_and_the_next_one_goes_on(
    two_ranks: Bundle,
    shared_run: TrainingRun,
    faulty_ranks: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = replace(shared_run, out=tmp_path / "model", resume=True)
    monkeypatch.setattr(launcher, "_rank", faulty_ranks.killed)
    with pytest.raises(TrainingError, match=r"rank 1 ended: .*SIGKILL\. Run again with --resume"):
        launch(run, ranks=2)
    assert not run.out.exists()

    monkeypatch.setattr(launcher, "_rank", faulty_ranks.recorded)
    assert train(run, ranks=2) == two_ranks
    pd.testing.assert_frame_equal(course(run), course(shared_run), check_exact=True)
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0]["steps"] == ranks[1]["steps"] == list(range(20, 40))
    assert ranks[0]["wrote"] == ["save_bundle", "write", "write_history"]
    assert ranks[1]["wrote"] == []


def test_what_is_wrong_with_the_table_is_said_as_by_one_rank(
    synthetic: Path, shared_run: TrainingRun, tmp_path: Path
) -> None:
    (tmp_path / "split=train").mkdir()
    rows = pq.read_table(synthetic / "split=train/rows.parquet")
    pq.write_table(rows, tmp_path / "split=train/rows.parquet", row_group_size=len(rows))
    run = replace(shared_run, table=str(tmp_path), out=tmp_path / "model")
    with pytest.raises(TableError) as caught:
        launch(run, ranks=2)
    assert str(caught.value) == (
        f"{tmp_path}/split=train: 1 row groups with rows for 2 ranks. Use fewer ranks, or write "
        "the table with smaller row groups"
    )


def test_torchrun_makes_the_same_bundle(
    two_ranks: Bundle, shared_run: TrainingRun, tmp_path: Path
) -> None:
    options = (
        "--recipe cot6 --bands B02,B10,B11 --members 2 --steps 40 --batch-rows 64 --seed 1 "
        f"--checkpoint-every 10 --threads 1 --out {tmp_path / 'model'}"
    ).split()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, str(ROOT / "jobs" / "train.py"), shared_run.table, *options]
    result = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert result.returncode == 0, result.stderr
    assert load_bundle(tmp_path / "model") == two_ranks


def test_under_a_launcher_no_ranks_are_started(
    shared_run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(launcher, "_spawn", lambda *_: pytest.fail("ranks within ranks"))
    monkeypatch.setattr(launcher, "train", lambda run, world: trained.append(world.size))
    trained: list[int] = []
    launch(shared_run, ranks=2)
    assert trained == [1]
