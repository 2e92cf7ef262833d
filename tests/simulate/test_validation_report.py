import math

import numpy as np
import pyarrow as pa
import pytest

from spark_cot.errors import SimulationError
from spark_cot.simulate.dataset import simulate_block
from spark_cot.simulate.validate import Check, Report
from spark_cot.simulate.validate.learning import learning_checks
from spark_cot.simulate.validate.lookups import mie_checks
from spark_cot.simulate.validate.rows import (
    benchmark_stratum,
    ensemble_checks,
    ensemble_prediction,
    has_surface,
)


def test_bounds_decide():
    assert Check("a", 1.0, most=1.0).passed
    assert not Check("a", 1.1, most=1.0).passed
    assert not Check("a", 0.9, least=1.0).passed
    assert not Check("a", math.nan, most=1.0).passed
    assert Check("a", 1.0, least=0.85, most=1.15).bar == "0.85 to 1.15"


def test_report_lists_every_check():
    report = Report((Check("good <one>", 0.5, most=1), Check("bad", 2, most=1)))
    assert not report.passed
    assert [check.name for check in report.failed] == ["bad"]
    assert "| bad | 2 | <= 1 | FAIL |" in report.markdown()
    assert "<td>good &lt;one&gt;</td>" in report.html()


def test_droplets_agree_with_miepython():
    for check in mie_checks(("B12",)):
        assert check.passed, check


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables([simulate_block(7, block) for block in range(12)])


def test_benchmark_stratum_leaves_out_what_is_hard(table):
    chosen = table.filter(pa.array(benchmark_stratum(table)))
    assert 0.4 < chosen.num_rows / table.num_rows < 0.9
    assert chosen["surface_height"].to_numpy().max() <= 2.5
    assert not has_surface(chosen, ("sand_rock_bright", "liquid_wet")).any()


def test_published_ensemble_ranks_simulated_rows(shared, table):
    weights = shared / "reference" / "cot_mlp5_12band_ensemble.npz"
    for check in ensemble_checks(table, weights):
        assert check.passed, check


def test_missing_weights_are_named(table, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(SimulationError, match="m0_lin1_weight"):
        ensemble_prediction(table, tmp_path / "other.npz")
    with pytest.raises(SimulationError, match=r"absent\.npz"):
        ensemble_prediction(table, tmp_path / "absent.npz")


def test_a_network_learns_from_rows(table):
    error, noisy, alarms = learning_checks(table, steps=600)
    cot = table["cot"].to_numpy()
    ignorant = np.abs(cot - np.median(cot)).mean()
    assert error.measured < 0.7 * ignorant
    assert error.measured <= noisy.measured + 0.2
    assert alarms.measured < 0.9
