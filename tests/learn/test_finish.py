from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_cot.errors import TableError
from spark_cot.evaluate.scores import Sample, best_thresholds
from spark_cot.infer.predictor import Predictor
from spark_cot.learn.finish import THRESHOLD_RULE, calibrated, finished_bundle, member
from spark_cot.learn.noise import Noise
from spark_cot.learn.plan import Plan
from spark_cot.models.bundle import Bundle

BOTH = ("surface_class", "second_surface_class")


@pytest.fixture(scope="module")
def sample(double_bundle: Bundle) -> Sample:
    """Rows whose truth strays from the reading by 0.3 to 0.9 of what the model expects."""
    rng = np.random.default_rng(1)
    bundle = double_bundle
    features = rng.normal(bundle.means, bundle.stds, (20_000, 4)).astype(np.float32)
    said = Predictor(bundle)(features)
    stray = said.cot_std * rng.uniform(0.3, 0.9, len(said.cot)) * rng.standard_normal(len(said.cot))
    return Sample(features, (said.cot + stray).astype(np.float32), len(bundle.bands))


def coverage(bundle: Bundle, sample: Sample) -> float:
    said = Predictor(bundle)(sample.features)
    return float((np.abs(said.cot - sample.cot) <= said.cot_std).mean())


@pytest.mark.parametrize("off", [-2.0, 0.0, 2.0])
def test_calibration_covers_one_sigma(double_bundle: Bundle, sample: Sample, off: float) -> None:
    weights = {name: tensor.copy() for name, tensor in double_bundle.weights.items()}
    weights["layer2.bias"][:, 1] += off
    # One member, whose own error is all of the uncertainty.
    raw = member(replace(double_bundle, weights=weights), 0)
    found = calibrated(raw, sample)
    assert abs(coverage(raw, sample) - 0.6827) > 0.02
    assert coverage(found, sample) == pytest.approx(0.6827, abs=0.003)
    before, after = (Predictor(model)(sample.features).cot for model in (raw, found))
    np.testing.assert_array_equal(after, before)


def test_calibration_of_an_ensemble(double_bundle: Bundle, sample: Sample) -> None:
    weights = {name: tensor.copy() for name, tensor in double_bundle.weights.items()}
    for name, tensor in weights.items():  # members that agree on the reading, not on the error
        tensor[1:] = tensor[:1]
        if name == "layer2.bias":
            tensor[:, 1] += np.array([0.0, 0.7, -0.7], np.float32)
    raw = replace(double_bundle, weights=weights)
    rng = np.random.default_rng(2)
    cot = Predictor(raw)(sample.features).cot
    known = replace(sample, cot=np.abs(cot + rng.normal(0, 0.3, len(cot))).astype(np.float32))
    assert coverage(calibrated(raw, known), known) == pytest.approx(0.6827, abs=0.003)


def test_a_member_is_one_of_the_networks(double_bundle: Bundle, sample: Sample) -> None:
    alone = [Predictor(member(double_bundle, i))(sample.features) for i in range(3)]
    together = Predictor(double_bundle)(sample.features)
    cots, stds = (np.stack([p[i] for p in alone]) for i in (0, 1))
    np.testing.assert_allclose(together.cot, cots.mean(axis=0), rtol=1e-5)
    variance = cots.var(axis=0) + np.square(stds).mean(axis=0)
    np.testing.assert_allclose(together.cot_std, np.sqrt(variance), rtol=1e-4)


# ---------------------------------------------------------------- whole bundles


def test_a_trained_bundle_is_finished(undisturbed: tuple[Bundle, Plan]) -> None:
    bundle, plan = undisturbed
    scores = bundle.metrics
    assert scores["threshold_rule"] == THRESHOLD_RULE
    assert scores["rows"] == 300
    assert scores["mae_of_one_member"].keys() == scores["mae"].keys()
    assert 0.4 < scores["errors_within_1_std"] <= 1
    assert replace(bundle, metrics={}) == bundle  # scores change no prediction
    again = finished_bundle(bundle, plan.recipe.noise, plan.split("val"), plan.split("test"))
    assert again.thresholds == bundle.thresholds
    assert again.metrics["mae"] == scores["mae"]


def test_thresholds_are_chosen_on_validation_rows_under_noise(
    undisturbed: tuple[Bundle, Plan],
) -> None:
    bundle, plan = undisturbed
    still = finished_bundle(bundle, Noise(), plan.split("val"), plan.split("test"))
    table = pq.read_table(Path(plan.split("val")) / "rows.parquet")
    features = np.stack([table[name].to_numpy() for name in bundle.inputs], axis=1)
    expected = best_thresholds(Predictor(still)(features).cot, table["cot"].to_numpy())
    assert still.thresholds == expected
    loud = finished_bundle(bundle, Noise(gain=0.5), plan.split("val"), plan.split("test"))
    assert loud.thresholds != expected
    assert loud.weights["layer2.bias"][0, 1] > still.weights["layer2.bias"][0, 1]


@pytest.mark.parametrize("known", [BOTH, BOTH[:1], ()])
def test_snow_free_rows_are_those_of_the_surface_columns(
    undisturbed: tuple[Bundle, Plan], tmp_path: Path, known: tuple[str, ...]
) -> None:
    bundle, plan = undisturbed
    table = pq.read_table(Path(plan.split("test")) / "rows.parquet")
    rows = table.num_rows
    surfaces = {"surface_class": ["soil"] * rows, "second_surface_class": ["water"] * rows}
    surfaces["surface_class"][::4] = ["snow_ice"] * len(surfaces["surface_class"][::4])
    surfaces["second_surface_class"][1::4] = ["snow_mixed"] * len(surfaces["surface_class"][1::4])
    table = table.drop_columns(list(BOTH))
    for name in known:
        table = table.append_column(name, pa.array(surfaces[name]))
    for part in range(2):  # rows of several files, in the order of their names
        path = tmp_path / f"rows-{part}.parquet"
        pq.write_table(table.slice(part * 150, 150), path, row_group_size=40)
    found = finished_bundle(bundle, Noise(), plan.split("val"), str(tmp_path))
    features = np.stack([table[name].to_numpy() for name in bundle.inputs], axis=1)
    clear = table["cot"].to_numpy() == 0
    snow = np.zeros(rows, bool)
    for name in known:
        snow |= np.char.startswith(surfaces[name], "snow")
    cloudy = Predictor(found)(features).cot >= np.float32(found.thresholds.thin)
    share = float(cloudy[clear & ~snow].mean())
    assert found.metrics["clear_snow_free_classed_cloudy"] == pytest.approx(share, abs=1e-5)


def test_a_model_without_errors_keeps_its_weights(
    undisturbed: tuple[Bundle, Plan], single_bundle: Bundle
) -> None:
    plan, bias = undisturbed[1], single_bundle.weights["layer2.bias"]
    found = finished_bundle(single_bundle, Noise(), plan.split("val"), plan.split("test"))
    np.testing.assert_array_equal(found.weights["layer2.bias"], bias)


def test_a_table_of_other_columns(undisturbed: tuple[Bundle, Plan], tmp_path: Path) -> None:
    bundle, plan = undisturbed
    pq.write_table(pa.table({"B02": [0.1], "cot": [1.0]}), tmp_path / "rows.parquet")
    with pytest.raises(TableError, match=r"\['B10', 'B11', 'sun_zenith'\] are missing"):
        finished_bundle(bundle, Noise(), plan.split("val"), str(tmp_path))
