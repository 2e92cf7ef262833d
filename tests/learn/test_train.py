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

from spark_cot.errors import ModelError, TableError, TrainingError
from spark_cot.infer.predictor import Predictor
from spark_cot.learn import train as loop
from spark_cot.learn.launch import launch
from spark_cot.learn.plan import Plan
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.stream import Stream
from spark_cot.learn.stream import load_bundle as load_table
from spark_cot.learn.train import Trainer, endless, rate, rows_per_rank
from spark_cot.models.bundle import Bundle, load_bundle, save_bundle

MakePlan = Callable[..., Plan]
FilesUpTo = Callable[[int], AbstractContextManager[None]]
COURSE = ["epoch", "step", "train_loss", "validation_loss", "learning_rate"]


class Stopped(BaseException):
    """What ends a run from outside."""


def course(plan: Plan) -> pd.DataFrame:
    """What a run has noted of itself, but for times."""
    return pd.read_csv(plan.folder / "metrics.csv")[COURSE]


def assert_same(plan: Plan, undisturbed: tuple[Bundle, Plan]) -> None:
    """The same weights, thresholds, scores and losses, to the last bit."""
    found, (expected, other) = load_bundle(plan.out), undisturbed
    for name, tensor in expected.weights.items():
        assert found.weights[name].tobytes() == tensor.tobytes()
    assert found == expected
    assert found.metrics == expected.metrics
    assert found.training == expected.training
    pd.testing.assert_frame_equal(course(plan), course(other), check_exact=True)


def stopped(plan: Plan, step: int) -> int:
    """Run until ``step`` and stop there; the number of steps taken."""
    taken, original = [], Trainer._step

    def stopping(self: Trainer, *batch: Any) -> float:
        if self.progress.step == step:
            raise Stopped
        taken.append(step)
        return original(self, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        if step < plan.recipe.steps:
            with pytest.raises(Stopped):
                launch(plan)
        else:
            launch(plan)
    return len(taken)


# ---------------------------------------------------------------- learning


def test_it_learns(undisturbed: tuple[Bundle, Plan], synthetic: Path) -> None:
    bundle, plan = undisturbed
    found = course(plan)
    assert found["step"].tolist() == [15, 30, 45, 60]
    assert found["train_loss"].is_monotonic_decreasing
    assert found["validation_loss"].iloc[-1] < 0.6 * found["validation_loss"].iloc[0]
    cot = load_table(plan.split("test"), ["cot"]).numpy()[:, 0]
    assert bundle.metrics["mae"]["0"] < 0.75 * np.abs(cot - np.median(cot)).mean()
    assert bundle.metrics["rows"] == 300


def test_the_bundle_tells_how_it_was_made(undisturbed: tuple[Bundle, Plan]) -> None:
    bundle, plan = undisturbed
    assert load_bundle(plan.out) == bundle
    assert bundle.inputs == plan.recipe.inputs
    table = load_table(plan.split("train"), bundle.inputs).numpy().astype(np.float64)
    np.testing.assert_allclose(bundle.means, table.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(bundle.stds, table.std(axis=0, ddof=1), rtol=1e-4)
    assert bundle.training["recipe"] == plan.recipe.document()
    told = {name: bundle.training[name] for name in ("steps", "train_rows", "ranks", "teacher")}
    assert told == {"steps": 60, "train_rows": 1000, "ranks": 1, "teacher": None}
    names = {file.name for file in plan.folder.iterdir()}
    assert names == {"checkpoint.safetensors", "metrics.csv", "curves.png"}


def test_bfloat16_learns_too(make_plan: MakePlan, undisturbed: tuple[Bundle, Plan]) -> None:
    plan = make_plan(precision="bf16")
    assert launch(plan) != undisturbed[0]
    losses = [course(p)["validation_loss"].iloc[-1] for p in (plan, undisturbed[1])]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_a_student_learns_from_a_teacher_and_unlabelled_pixels(
    make_plan: MakePlan, undisturbed: tuple[Bundle, Plan], tmp_path: Path, recipe: Recipe
) -> None:
    teacher, taught = undisturbed
    table = pq.read_table(Path(taught.split("train")) / "rows.parquet")
    pixels = {
        name: (table[name].to_numpy() * 10_000).astype(np.int16) if name[0] == "B" else table[name]
        for name in recipe.inputs
    }
    pq.write_table(pa.table(pixels), tmp_path / "pixels.parquet", row_group_size=100)
    plan = make_plan(
        recipe=replace(recipe, members=1, seed=8, steps=150),
        teacher=taught.out,
        unlabelled=str(tmp_path / "pixels.parquet"),
    )
    student = launch(plan)
    assert student.training["teacher"] == teacher.id
    features = load_table(plan.split("test"), recipe.inputs).numpy()
    said, wanted = Predictor(student)(features), Predictor(teacher)(features)
    spread = np.abs(wanted.cot - np.median(wanted.cot)).mean()
    assert np.abs(said.cot - wanted.cot).mean() < 0.3 * spread


def test_early_stopping_keeps_the_best_weights(
    make_plan: MakePlan, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, weights = [3.0, 1.0, 2.0, 1.0, 0.5], []

    def validate(self: Trainer) -> float:
        weights.append(self.ensemble.tensors()["layer1.weight"])
        return losses[len(weights) - 1]

    monkeypatch.setattr(Trainer, "_validate", validate)
    plan = make_plan(recipe=replace(recipe, patience=2, steps=75))
    bundle = launch(plan)
    assert course(plan)["validation_loss"].tolist() == losses[:4]  # equal is not better
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
    make_plan: MakePlan, undisturbed: tuple[Bundle, Plan], step: int, saved: int
) -> None:
    plan = make_plan()
    assert stopped(plan, step) == step
    assert not plan.out.exists()
    assert stopped(plan, plan.recipe.steps) == 60 - saved
    assert_same(plan, undisturbed)


def test_a_run_stopped_twice(make_plan: MakePlan, undisturbed: tuple[Bundle, Plan]) -> None:
    plan = make_plan(checkpoint_every=4)
    assert [stopped(plan, step) for step in (21, 46, 60)] == [21, 46 - 20, 60 - 44]
    assert_same(plan, undisturbed)


def test_a_run_stopped_between_the_last_step_and_the_bundle(
    make_plan: MakePlan, undisturbed: tuple[Bundle, Plan]
) -> None:
    plan = make_plan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "finished_bundle", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            launch(plan)
    assert stopped(plan, 60) == 0
    assert_same(plan, undisturbed)


def test_a_disk_that_is_full_for_a_while(
    make_plan: MakePlan, undisturbed: tuple[Bundle, Plan], files_up_to: FilesUpTo
) -> None:
    plan = make_plan()
    stopped(plan, 35)
    with files_up_to(1000), pytest.raises(TrainingError, match="checkpoint cannot be written"):
        launch(plan)
    assert stopped(plan, 60) == 30
    assert_same(plan, undisturbed)


def test_without_resume_a_run_begins_anew(
    make_plan: MakePlan, undisturbed: tuple[Bundle, Plan]
) -> None:
    plan = make_plan(resume=False)
    stopped(plan, 23)
    assert stopped(plan, 60) == 60
    assert_same(plan, undisturbed)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 61}, "another configuration: steps: 60, now 61. Train with the same options"),
        ({"learning_rate": 0.01}, "learning_rate: 0.02, now 0.01"),
        ({"inputs": ("B02", "B11")}, r"data: \w+, now \w+; inputs: .*'B10'.*, now"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(
    make_plan: MakePlan, recipe: Recipe, fields: dict[str, Any], message: str
) -> None:
    plan = make_plan()
    stopped(plan, 10)
    stopped(plan, 11)
    with pytest.raises(TrainingError, match=message):
        launch(replace(plan, recipe=replace(recipe, **fields)))


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


def test_data_that_are_no_numbers(make_plan: MakePlan, table: Path) -> None:
    path = table / "split=train/rows.parquet"
    columns = pq.read_table(path).to_pydict()
    columns["B11"][450] = float("nan")
    path.unlink()
    pq.write_table(pa.table(columns), path, row_group_size=100)
    with pytest.raises(TableError, match="NaN or infinite values in row group 4: 1 in B11"):
        launch(make_plan(table=str(table)))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_table_cut_short(make_plan: MakePlan, table: Path, split: str) -> None:
    path = table / f"split={split}/rows.parquet"
    _replaced(path, path.read_bytes()[:-100])
    with pytest.raises(TableError, match=f"split={split}/rows.parquet: cannot be read as Parquet"):
        launch(make_plan(table=str(table)))


def test_a_table_without_labels(make_plan: MakePlan, table: Path) -> None:
    path = table / "split=train/rows.parquet"
    data = pq.read_table(path).drop_columns(["cot"])
    path.unlink()
    pq.write_table(data, path)
    with pytest.raises(TableError, match=r"columns \['cot'\] are missing"):
        launch(make_plan(table=str(table)))


def test_a_loss_that_is_no_number(make_plan: MakePlan, recipe: Recipe) -> None:
    plan = make_plan(recipe=replace(recipe, learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"recipe small: loss is no number at step \d+\. Lower"):
        launch(plan)
    assert not plan.out.exists()


def test_unlabelled_pixels_need_a_teacher(make_plan: MakePlan, synthetic: Path) -> None:
    with pytest.raises(TrainingError, match=r"unlabelled pixels need a teacher. Give --teacher"):
        launch(make_plan(unlabelled=str(synthetic / "split=train")))


def test_a_folder_of_something_else_is_kept(make_plan: MakePlan, bundle: Bundle) -> None:
    plan = make_plan()
    plan.out.mkdir()
    (plan.out / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match="not a model bundle"):
        launch(plan)
    assert not plan.folder.exists()  # said before the first step, not after the last


def test_an_older_bundle_is_replaced(
    make_plan: MakePlan, bundle: Bundle, undisturbed: tuple[Bundle, Plan]
) -> None:
    plan = make_plan()
    save_bundle(bundle, plan.out)
    assert launch(plan) == undisturbed[0]


def test_batches_are_shared_by_the_ranks(recipe: Recipe) -> None:
    assert [rows_per_rank(recipe, ranks) for ranks in (1, 2, 3, 64)] == [64, 32, 21, 1]
    with pytest.raises(TrainingError, match="64 rows cannot be shared by 65 ranks"):
        rows_per_rank(recipe, 65)


def test_plans_travel_to_other_folders(make_plan: MakePlan, monkeypatch: Any) -> None:
    plan = make_plan(table="table", out=Path("model"), unlabelled="s3://b/p", teacher=Path("t"))
    monkeypatch.chdir("/")
    moved = plan.absolute()
    assert (moved.table, moved.out) == ("/table", Path("/model"))
    assert (moved.teacher, moved.unlabelled) == (Path("/t"), "s3://b/p")
    assert make_plan(table="s3://b/t").absolute().table == "s3://b/t"
