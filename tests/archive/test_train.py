"""The train command: who judges, by which rows, and what it saves."""

from dataclasses import replace
from pathlib import Path

import pytest

from spark_cot.archive import train as command
from spark_cot.archive.train import judged_weights, train
from spark_cot.evaluate.judge import best_thresholds
from spark_cot.evaluate.sample import read_sample
from spark_cot.infer.predictor import Predictor
from spark_cot.learn.noise import Noise
from spark_cot.learn.run import TrainingRun
from spark_cot.models.bundle import Bundle, load_bundle


def test_the_weights_of_a_run_are_judged_the_same_again(
    two_ranks: Bundle, shared_run: TrainingRun
) -> None:
    again = judged_weights(shared_run)
    assert again == two_ranks
    assert again.document == load_bundle(shared_run.out).document


def test_thresholds_are_chosen_on_validation_rows_under_noise(
    two_ranks: Bundle, shared_run: TrainingRun
) -> None:
    def under(noise: Noise) -> Bundle:
        return judged_weights(replace(shared_run, recipe=replace(shared_run.recipe, noise=noise)))

    still, loud = under(Noise()), under(Noise(gain=0.5))
    rows = read_sample(shared_run.split("val"), two_ranks.inputs)
    assert still.thresholds == best_thresholds(Predictor(still)(rows.features).cot, rows.cot)
    assert loud.thresholds != still.thresholds
    assert loud.metrics["temperature"] > still.metrics["temperature"]  # less sure


@pytest.mark.parametrize(("rank", "judges"), [("0", True), ("1", False)])
def test_of_the_ranks_of_a_launcher_the_first_one_judges(
    two_ranks: Bundle,
    shared_run: TrainingRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rank: str,
    judges: bool,
) -> None:
    run = replace(shared_run, out=tmp_path / "model")
    run.folder.mkdir()
    run.weights.symlink_to(shared_run.weights)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(command, "launch", lambda run, ranks: None)
    assert train(run) == (two_ranks if judges else None)
    assert run.out.exists() == judges
