"""The loop on one rank: it learns, and what stops it does not change what it learns."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spark_cot.archive import train as command
from spark_cot.archive.train import train
from spark_cot.errors import ModelError, TableError, TrainingError
from spark_cot.infer.predictor import Predictor
from spark_cot.learn import train as loop
from spark_cot.learn.data import endless, rows_per_rank
from spark_cot.learn.rank import PUBLISHED_THRESHOLDS, Rank
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.learn.stream import Stream
from spark_cot.learn.train import rate
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle
from spark_cot.tables.rowgroups import read_rows

MakeRun = Callable[..., TrainingRun]
FilesUpTo = Callable[[int], AbstractContextManager[None]]
COURSE = ["epoch", "step", "train_loss", "validation_loss", "learning_rate"]


class Stopped(BaseException):
    """What ends a run from outside."""


def course(run: TrainingRun) -> pd.DataFrame:
    """What a run has noted of itself, but for times."""
    return pd.read_csv(run.folder / "metrics.csv")[COURSE]


def assert_same(run: TrainingRun, undisturbed: tuple[Bundle, TrainingRun]) -> None:
    """The same weights, thresholds, scores and losses, to the last bit."""
    found, (expected, other) = load_bundle(run.out), undisturbed
    for name, tensor in expected.weights.items():
        assert found.weights[name].tobytes() == tensor.tobytes()
    assert found == expected
    assert found.metrics == expected.metrics
    assert found.training == expected.training
    pd.testing.assert_frame_equal(course(run), course(other), check_exact=True)


def stopped(run: TrainingRun, step: int) -> int:
    """Run until ``step`` and stop there; the number of steps taken."""
    taken, take_step = [], loop.take_step

    def stopping(rank: Rank, *batch: Any) -> float:
        if rank.learner.state.step == step:
            raise Stopped
        taken.append(step)
        return take_step(rank, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "take_step", stopping)
        if step < run.recipe.steps:
            with pytest.raises(Stopped):
                train(run)
        else:
            train(run)
    return len(taken)


# ---------------------------------------------------------------- learning


def test_it_learns(undisturbed: tuple[Bundle, TrainingRun], synthetic: Path) -> None:
    bundle, run = undisturbed
    found = course(run)
    assert found["step"].tolist() == [15, 30, 45, 60]
    assert found["train_loss"].is_monotonic_decreasing
    assert found["validation_loss"].iloc[-1] < 0.8 * found["validation_loss"].iloc[0]
    cot = read_rows(run.split("test"), ["cot"])[:, 0]
    assert bundle.metrics["mae"]["0"] < 0.75 * np.abs(cot - np.median(cot)).mean()
    assert bundle.metrics["rows"] == 300


def test_the_bundle_tells_how_it_was_made(undisturbed: tuple[Bundle, TrainingRun]) -> None:
    bundle, run = undisturbed
    assert load_bundle(run.out) == bundle
    assert bundle.inputs == run.recipe.inputs
    table = read_rows(run.split("train"), bundle.inputs).astype(np.float64)
    np.testing.assert_allclose(bundle.means, table.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(bundle.stds, table.std(axis=0, ddof=1), rtol=1e-4)
    assert bundle.training["recipe"] == run.recipe.document()
    noted = {name: bundle.training[name] for name in ("steps", "train_rows", "ranks", "teacher")}
    assert noted == {"steps": 60, "train_rows": 1000, "ranks": 1, "teacher": None}
    names = {file.name for file in run.folder.iterdir()}
    assert names == {"checkpoint.safetensors", "metrics.csv", "curves.png", "weights"}


def test_bfloat16_learns_too(make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun]) -> None:
    run = make_run(precision="bf16")
    assert train(run) != undisturbed[0]
    losses = [course(p)["validation_loss"].iloc[-1] for p in (run, undisturbed[1])]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_a_student_learns_from_a_teacher_and_unlabelled_pixels(
    make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun], tmp_path: Path, recipe: Recipe
) -> None:
    teacher, taught = undisturbed
    table = pq.read_table(Path(taught.split("train")) / "rows.parquet")
    pixels = {
        name: (table[name].to_numpy() * 10_000).astype(np.int16) if name[0] == "B" else table[name]
        for name in recipe.inputs
    }
    pq.write_table(pa.table(pixels), tmp_path / "pixels.parquet", row_group_size=100)
    run = make_run(
        recipe=replace(recipe, members=1, seed=8, steps=150),
        teacher=taught.out,
        unlabelled=str(tmp_path / "pixels.parquet"),
    )
    student = train(run)
    assert student.training["teacher"] == teacher.id
    features = read_rows(run.split("test"), recipe.inputs)
    found, wanted = Predictor(student)(features), Predictor(teacher)(features)
    spread = np.abs(wanted.cot - np.median(wanted.cot)).mean()
    assert np.abs(found.cot - wanted.cot).mean() < 0.3 * spread


def test_early_stopping_keeps_the_best_weights(
    make_run: MakeRun, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, weights = [3.0, 1.0, 2.0, 1.0, 0.5], []

    def validate(rank: Rank) -> float:
        weights.append(rank.learner.ensemble.tensors()["layer1.weight"])
        return losses[len(weights) - 1]

    monkeypatch.setattr(loop, "validate", validate)
    run = make_run(recipe=replace(recipe, patience=2, steps=75))
    bundle = train(run)
    assert course(run)["validation_loss"].tolist() == losses[:4]  # equal is not better
    assert (bundle.training["best_epoch"], bundle.training["steps"]) == (2, 60)
    np.testing.assert_array_equal(bundle.weights["layer1.weight"], weights[1])


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(step, 1000) for step in range(1000)]
    assert rates.index(max(rates)) == 19  # the first 2 % of the steps
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[500] == pytest.approx(0.5)
    assert sorted(rates[20:], reverse=True) == rates[20:]
    assert 0 < rates[-1] < 1e-4
    assert 0 < rate(0, 1) <= 1


def test_batches_go_on_from_any_step(synthetic: Path) -> None:
    def stream() -> Stream:
        return Stream(synthetic / "split=train", ["cot"], 64, seed=1)

    whole = list(itertools.islice(endless(stream(), 0), 40))
    assert not torch.equal(whole[0], whole[15])  # another epoch
    for step in (7, 15, 16, 30):
        rest = list(itertools.islice(endless(stream(), step), 40 - step))
        assert torch.equal(torch.cat(rest), torch.cat(whole[step:]))


def test_petastorm_keeps_its_log_to_itself(
    synthetic: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        list(Stream(synthetic / "split=train", ["cot"], 64, seed=1).epoch(0))
    assert not [record for record in caplog.records if record.name.startswith("petastorm")]


# ---------------------------------------------------------------- interruptions


@pytest.mark.parametrize(("step", "saved"), [(7, 0), (23, 20), (30, 30), (59, 50)])
def test_a_stopped_run_goes_on_as_if_undisturbed(
    make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun], step: int, saved: int
) -> None:
    run = make_run()
    assert stopped(run, step) == step
    assert not run.out.exists()
    assert stopped(run, run.recipe.steps) == 60 - saved
    assert_same(run, undisturbed)


def test_a_run_stopped_twice(make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun]) -> None:
    run = make_run(checkpoint_every=4)
    assert [stopped(run, step) for step in (21, 46, 60)] == [21, 46 - 20, 60 - 44]
    assert_same(run, undisturbed)


def test_training_ends_with_weights_that_nobody_has_judged(
    undisturbed: tuple[Bundle, TrainingRun],
) -> None:
    bundle, run = undisturbed
    trained = load_bundle(run.weights)
    assert (trained.thresholds, trained.metrics) == (PUBLISHED_THRESHOLDS, {})
    assert trained.training == bundle.training
    for name in ("layer1.weight", "layer1.bias"):
        np.testing.assert_array_equal(trained.weights[name], bundle.weights[name])
    # Calibration divides the logits, which the last layer makes.
    for name in ("layer2.weight", "layer2.bias"):
        expected = trained.weights[name] / bundle.metrics["temperature"]
        np.testing.assert_allclose(bundle.weights[name], expected, rtol=1e-3)


def test_a_run_stopped_between_the_last_step_and_the_bundle(
    make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun]
) -> None:
    run = make_run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "judged", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            train(run)
    assert stopped(run, 60) == 0
    assert_same(run, undisturbed)


def test_a_disk_that_is_full_for_a_while(
    make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun], files_up_to: FilesUpTo
) -> None:
    run = make_run()
    stopped(run, 35)
    with files_up_to(1000), pytest.raises(TrainingError, match="checkpoint cannot be written"):
        train(run)
    assert stopped(run, 60) == 30
    assert_same(run, undisturbed)


def test_without_resume_a_run_begins_anew(
    make_run: MakeRun, undisturbed: tuple[Bundle, TrainingRun]
) -> None:
    run = make_run(resume=False)
    stopped(run, 23)
    assert stopped(run, 60) == 60
    assert_same(run, undisturbed)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 61}, "another configuration: steps: 60, now 61. Train with the same options"),
        ({"learning_rate": 0.01}, "learning_rate: 0.02, now 0.01"),
        ({"inputs": ("B02", "B11")}, r"data: \w+, now \w+; inputs: .*'B10'.*, now"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(
    make_run: MakeRun, recipe: Recipe, fields: dict[str, Any], message: str
) -> None:
    run = make_run()
    stopped(run, 10)
    stopped(run, 11)
    with pytest.raises(TrainingError, match=message):
        train(replace(run, recipe=replace(recipe, **fields)))


# ---------------------------------------------------------------- faults


@pytest.fixture
def table(synthetic: Path, tmp_path: Path) -> Path:
    """The small table again, to be damaged."""
    for split in ("train", "val", "test"):
        (tmp_path / f"table/split={split}").mkdir(parents=True)
        source = synthetic / f"split={split}/rows.parquet"
        (tmp_path / f"table/split={split}/rows.parquet").hardlink_to(source)
    return tmp_path / "table"


def _replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_data_that_are_no_numbers(make_run: MakeRun, table: Path) -> None:
    path = table / "split=train/rows.parquet"
    columns = pq.read_table(path).to_pydict()
    columns["B11"][450] = float("nan")
    path.unlink()
    pq.write_table(pa.table(columns), path, row_group_size=100)
    with pytest.raises(TableError, match="NaN or infinite values in row group 4: 1 in B11"):
        train(make_run(table=str(table)))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_table_cut_short(make_run: MakeRun, table: Path, split: str) -> None:
    path = table / f"split={split}/rows.parquet"
    _replaced(path, path.read_bytes()[:-100])
    with pytest.raises(TableError, match=f"split={split}/rows.parquet: cannot be read as Parquet"):
        train(make_run(table=str(table)))


def test_a_table_without_labels(make_run: MakeRun, table: Path) -> None:
    path = table / "split=train/rows.parquet"
    data = pq.read_table(path).drop_columns(["cot"])
    path.unlink()
    pq.write_table(data, path)
    with pytest.raises(TableError, match=r"columns \['cot'\] are missing"):
        train(make_run(table=str(table)))


def test_a_loss_that_is_no_number(make_run: MakeRun, recipe: Recipe) -> None:
    run = make_run(recipe=replace(recipe, learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"recipe small: loss is no number at step \d+\. Lower"):
        train(run)
    assert not run.out.exists()


def test_unlabelled_pixels_need_a_teacher(make_run: MakeRun, synthetic: Path) -> None:
    with pytest.raises(TrainingError, match=r"unlabelled pixels need a teacher. Give --teacher"):
        train(make_run(unlabelled=str(synthetic / "split=train")))


def test_a_folder_of_something_else_is_kept(make_run: MakeRun) -> None:
    run = make_run()
    run.out.mkdir()
    (run.out / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match="not a model bundle"):
        train(run)
    assert not run.folder.exists()  # refused before the first step, not after the last


def test_an_older_bundle_is_replaced(
    make_run: MakeRun, double_bundle: Bundle, undisturbed: tuple[Bundle, TrainingRun]
) -> None:
    run = make_run()
    save_bundle(double_bundle, run.out)
    assert train(run) == undisturbed[0]


def test_batches_are_shared_by_the_ranks(recipe: Recipe) -> None:
    assert [rows_per_rank(recipe, ranks) for ranks in (1, 2, 3, 64)] == [64, 32, 21, 1]
    with pytest.raises(TrainingError, match="64 rows cannot be shared by 65 ranks"):
        rows_per_rank(recipe, 65)


def test_runs_travel_to_other_folders(make_run: MakeRun, monkeypatch: Any) -> None:
    run = make_run(table="table", out=Path("model"), unlabelled="s3://b/p", teacher=Path("t"))
    monkeypatch.chdir("/")
    moved = run.absolute()
    assert (moved.table, moved.out) == ("/table", Path("/model"))
    assert (moved.teacher, moved.unlabelled) == (Path("/t"), "s3://b/p")
    assert make_run(table="s3://b/t").absolute().table == "s3://b/t"
