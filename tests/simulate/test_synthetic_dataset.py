import numpy as np
import pyarrow as pa
import pytest

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.dataset import (
    REVISION,
    block_count,
    provenance,
    simulate_block,
    simulate_rows,
)
from spark_cot.simulate.schema import SYNTHETIC
from spark_cot.simulate.validate.rows import determinism_check, statistics_checks
from spark_cot.simulate.world.sampler import BLOCK_ROWS
from spark_cot.simulate.world.surfaces import SNOW

BLOCKS = 4


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables([simulate_block(7, block) for block in range(BLOCKS)])


def test_a_block_follows_the_schema(table):
    SYNTHETIC.check(table.schema, "a block")
    assert table.num_rows == BLOCKS * BLOCK_ROWS
    assert all(column.null_count == 0 for column in table.columns)
    assert table["row"].to_pylist() == list(range(table.num_rows))
    assert set(table["split"].to_pylist()) == {"train", "val", "test"}
    assert set(table["platform"].to_pylist()) == {"S2A", "S2B", "S2C"}


def test_figures_are_finite_and_reflectances_in_range(table):
    for column in SYNTHETIC.columns:
        if pa.types.is_floating(column.type):
            assert np.isfinite(table[column.name].to_numpy()).all(), column.name
    for band in BAND_IDS:
        values = table[band].to_numpy()
        assert values.min() >= 0
        assert values.max() < 2.2


def test_label_is_the_mean_over_the_pixel(table):
    cot, inside, cover = (
        table[name].to_numpy() for name in ("cot", "cot_in_cloud", "cloud_fraction")
    )
    np.testing.assert_allclose(cot, inside * cover, rtol=1e-6)
    clear = table["cloud_type"].to_numpy() == "clear"
    assert np.all(cot[clear] == 0)
    assert np.all(cot[~clear] > 0)


def test_snow_share_counts_the_surfaces_that_are_snow(table):
    first, second = (
        np.isin(table[name].to_numpy().astype(str), SNOW)
        for name in ("surface_class", "second_surface_class")
    )
    snow, share = table["snow_share"].to_numpy(), table["surface_share"].to_numpy()
    np.testing.assert_array_equal(snow == 0, ~(first | second))
    expected = np.where(first, share, 0) + np.where(second, 1 - share, 0)
    np.testing.assert_allclose(snow, expected, atol=1e-6)
    assert np.count_nonzero((snow > 0) & (snow < 1)) > 0


def test_statistics_look_like_real_skies(table):
    for check in statistics_checks(table):
        assert check.passed, check


def test_rows_are_the_same_in_any_partitioning():
    check = determinism_check(7, 700)
    assert check.passed, check


def test_the_last_block_is_cut():
    tables = list(simulate_rows(7, BLOCK_ROWS + 10, [0, 1]))
    assert [t.num_rows for t in tables] == [BLOCK_ROWS, 10]
    assert tables[1].equals(simulate_block(7, 1).slice(0, 10))


def test_another_seed_gives_other_rows():
    assert not simulate_block(8, 0)["B02"].equals(simulate_block(7, 0)["B02"])


def test_block_count_rounds_up():
    assert [block_count(n) for n in (1, 256, 257, 200_000)] == [1, 1, 2, 782]


@pytest.mark.parametrize("rows", [0, -5])
def test_no_rows_are_refused(rows):
    with pytest.raises(SimulationError, match=f"{rows} rows were asked for, expected at least 1"):
        block_count(rows)


def test_seeds_and_blocks_out_of_range_are_refused():
    with pytest.raises(SimulationError, match="seed is -1"):
        simulate_block(-1, 0)
    with pytest.raises(SimulationError, match="block is -1"):
        simulate_block(0, -1)
    with pytest.raises(SimulationError, match="block is 2, expected less than 2"):
        list(simulate_rows(7, BLOCK_ROWS + 1, [2]))


def test_provenance_tells_seeds_apart():
    assert provenance(1) != provenance(2)
    assert provenance(1) == provenance(1)


def test_code_decides_no_table_but_by_its_revision(monkeypatch):
    before = provenance(1)
    assert not {"spark_cot.world", "spark_cot.optics"} & set(before)
    monkeypatch.setattr("spark_cot.simulate.dataset.REVISION", REVISION + 1)
    assert provenance(1) != before
