"""Rows are parted by what they hold, and each part says what the estimates are of the truth."""

import math

import numpy as np
import pyarrow as pa
import pytest

from spark_cot.evaluate.bias import (
    STRATA,
    bias_checks,
    bias_figure,
    bias_table,
    held_out,
    low_water_bias,
    strata,
)
from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import Bundle
from spark_cot.simulate.dataset import simulate_block
from spark_cot.simulate.world.surfaces import GROUPS

ROWS = 4000
KINDS = ("clear", "water", "ice", "ice_over_water", "mixed_phase")


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    rng = np.random.default_rng(4)
    kind = rng.choice(KINDS, ROWS)
    classes = [name for members in GROUPS.values() for name in members]
    height = rng.uniform(0, 2, ROWS)
    return pa.table(
        {
            "cot": np.where(kind == "clear", 0, np.exp(rng.uniform(-3, 3.9, ROWS))),
            "cloud_type": kind,
            "surface_height": height,
            "water_top": height + rng.uniform(0.2, 4.4, ROWS),
            "ice_top": height + rng.uniform(4.6, 14, ROWS),
            "surface_class": rng.choice(classes, ROWS),
            "second_surface_class": rng.choice(classes, ROWS),
            "surface_share": rng.random(ROWS),
            "split": rng.choice(["train", "test"], ROWS),
        }
    )


@pytest.fixture(scope="module")
def read(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    estimate = rows["cot"].to_numpy() * rng.lognormal(-0.3, 0.5, ROWS)
    estimate[::17] = np.nan
    return estimate, rng.uniform(0, 2, ROWS)


def group_of(row: dict) -> str:
    name = row["surface_class" if row["surface_share"] >= 0.5 else "second_surface_class"]
    return next(group for group, members in GROUPS.items() if name in members)


def test_a_part_by_brute_force(rows: pa.Table, read: tuple[np.ndarray, np.ndarray]) -> None:
    ratios, inside = [], []
    for row, estimate, std in zip(rows.to_pylist(), *read, strict=True):
        if (
            row["cloud_type"] == "ice_over_water"
            and row["ice_top"] - row["surface_height"] >= 9
            and group_of(row) == "snow"
            and 2 <= row["cot"] < 5
            and not math.isnan(estimate)
        ):
            ratios.append(estimate / row["cot"])
            inside.append(abs(estimate - row["cot"]) <= std)
    (found,) = [
        part
        for part in bias_table(rows, *read).to_pylist()
        if [part[axis] for axis in STRATA] == ["ice over water", "> 9 km", "snow", "2-5"]
    ]
    assert found["rows"] == len(ratios) > 3
    assert found["median"] == pytest.approx(np.median(ratios))
    assert found["p16"] == pytest.approx(np.percentile(ratios, 16))
    assert found["p84"] == pytest.approx(np.percentile(ratios, 84))
    assert found["within"] == pytest.approx(np.mean(inside))


def test_every_row_with_cloud_and_estimate_is_in_one_part(
    rows: pa.Table, read: tuple[np.ndarray, np.ndarray]
) -> None:
    counted = ((rows["cot"].to_numpy() >= 0.1) & ~np.isnan(read[0])).sum()
    for by in (tuple(STRATA), ("phase",), ("top", "ground")):
        table = bias_table(rows, *read, by)
        assert table.column_names[: len(by)] == list(by)
        assert table["rows"].to_numpy().sum() == counted


def test_parts_stand_in_order(rows: pa.Table, read: tuple[np.ndarray, np.ndarray]) -> None:
    assert (
        tuple(bias_table(rows, *read, ("thickness",))["thickness"].to_pylist())
        == (STRATA["thickness"])
    )


def test_ground_of_no_group_has_no_part(rows: pa.Table) -> None:
    place = rows.schema.get_field_index("surface_class")
    moon = rows.set_column(place, "surface_class", pa.repeat(pa.scalar("moon"), ROWS))
    group, share = strata(moon)["ground"], rows["surface_share"].to_numpy()
    assert (group[share >= 0.5] == -1).all()
    assert (group[share < 0.5] >= 0).all()


def test_low_water_cloud_by_brute_force(
    rows: pa.Table, read: tuple[np.ndarray, np.ndarray]
) -> None:
    ratios = [
        estimate / row["cot"]
        for row, estimate in zip(rows.to_pylist(), read[0], strict=True)
        if row["cloud_type"] == "water"
        and row["water_top"] - row["surface_height"] < 3
        and 1 <= row["cot"] < 2
        and not math.isnan(estimate)
    ]
    found = low_water_bias(rows, *read)
    assert (found["rows"], found["median"]) == (len(ratios), pytest.approx(np.median(ratios)))


def test_without_such_rows_the_check_fails(brightness_bundle: Bundle) -> None:
    rows = simulate_block(3, 0)
    clear = rows.filter(pa.array(rows["cot"].to_numpy() == 0))
    checks = bias_checks(Predictor(brightness_bundle), clear)
    assert not any(check.passed for check in checks)


def test_only_rows_of_the_test_split_are_judged(rows: pa.Table) -> None:
    assert set(held_out(rows)["split"].to_pylist()) == {"test"}


def test_the_figure_writes_the_median_of_each_part(
    rows: pa.Table, read: tuple[np.ndarray, np.ndarray]
) -> None:
    figure = bias_figure(rows, 0.25 * rows["cot"].to_numpy(), read[1])
    written = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert written == {"0.25"}
    titles = [axis.get_title(loc="left") for axis in figure.axes[:4]]
    assert titles == [f"{phase} cloud" for phase in STRATA["phase"]]
