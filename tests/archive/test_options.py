"""Options are declared once, and checked wherever their values come from."""

from dataclasses import MISSING, replace
from pathlib import Path
from typing import Any

import pytest

from spark_cot.archive import options as module
from spark_cot.archive.declare import Options, declared
from spark_cot.archive.options import (
    ApplyOptions,
    ImportOptions,
    IngestOptions,
    ReprocessOptions,
    RunOptions,
    SimulateOptions,
    TrainOptions,
)
from spark_cot.errors import ModelError, SetupError
from spark_cot.models.classes import Thresholds
from spark_cot.models.shipped import shipped_model
from spark_cot.plan.select import Selection
from spark_cot.safe import Downsampling

ALL = [
    kind
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Options) and kind is not Options
]


def run_options(**changes: Any) -> RunOptions:
    return RunOptions(**{"archive": "archive", "out": Path("workspace"), **changes})


def test_values_have_their_types_whatever_says_them() -> None:
    said = run_options(
        out="workspace", resolution="60", downsampling="level", thin="1", conf=["a=b"]
    )
    meant = run_options(resolution=60, downsampling=Downsampling.LEVEL, thin=1.0, conf=("a=b",))
    assert said == meant
    assert (said.resolution, said.downsampling, said.thin) == (60, Downsampling.LEVEL, 1.0)
    assert (said.out, said.conf, said.model) == (Path("workspace"), ("a=b",), None)
    reprocess = ReprocessOptions(archive="a", out="w", dry_run="yes", max_scenes="5")
    assert (reprocess.dry_run, reprocess.max_scenes) == (True, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 30}, "--resolution: found 30, expected one of 10, 20, 60"),
        ({"downsampling": "best"}, "--downsampling: found 'best', expected one of exact, level"),
        ({"thin": -0.1}, "--thin: found -0.1, expected a number from 0"),
        ({"thick": float("nan")}, "--thick: found nan, expected a number from 0"),
        ({"mask_above": "much"}, "--mask-above: found 'much', expected a number from 0, or none"),
        ({"mask_above": -1}, "--mask-above: found -1, expected a number from 0, or none"),
        ({"max_failure_ratio": 1.5}, "--max-failure-ratio: found 1.5, expected a number from 0 to"),
        ({"conf": "a=b"}, "--conf: found 'a=b', expected a list, each KEY=VALUE"),
        ({"conf": 1}, "--conf: found 1, expected a list, each KEY=VALUE"),
        ({"conf": ["a=b", 1]}, "--conf: found 1, expected KEY=VALUE"),
        ({"conf": ["spark.x"]}, "--conf: 'spark.x' is no Spark property. Write KEY=VALUE"),
        ({"archive": 7}, "ARCHIVE: found 7, expected text"),
        ({"master": 7}, "--master: found 7, expected text"),
        ({"out": 7}, "--out: found 7, expected path or url"),
        ({"model": 7}, "--model: found 7, expected name, path or url"),
        ({"out": "ftp://host/x"}, "ftp://host/x: is no path and no s3:// URL"),
    ],
)
def test_what_an_option_does_not_take_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SetupError) as error:
        run_options(**changes)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReprocessOptions(archive="a", out="w", order="last"), "one of newest, oldest"),
        (lambda: ReprocessOptions(archive="a", out="w", max_scenes=1.5), "a whole number from 0"),
        (lambda: ReprocessOptions(archive="a", out="w", dry_run="perhaps"), "true or false"),
        (lambda: ApplyOptions(workspace="w", date="2024-13-01"), "Write 2024-03-05 or FROM:TO"),
        (lambda: ApplyOptions(workspace="w", date=20240305), "expected date or range"),
        (lambda: SimulateOptions(rows=9, out="s3://bucket/x"), "takes a path of the file system"),
        (lambda: SimulateOptions(rows=9, out="x", seed=-1), "expected a whole number from 0"),
        (lambda: ImportOptions(source=["s3://b/x"], out="x"), "takes a path of the file system"),
        (lambda: TrainOptions(table="t", out="m", recipe="cot13"), "expected one of "),
        (lambda: TrainOptions(table="t", out="m", ranks=0), "expected a whole number from 1"),
    ],
)
def test_other_wrong_values_are_refused_too(make: Any, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        make()


def test_a_wrong_value_is_refused_by_replace_too() -> None:
    with pytest.raises(SetupError, match="--resolution"):
        replace(run_options(), resolution=5)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_a_default_is_a_value_that_its_option_takes(kind: type[Options]) -> None:
    for option in declared(kind):
        if option.default is not MISSING:
            assert option.problem(option.default) is None, option


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_option_has_a_line_of_help_or_a_place(kind: type[Options]) -> None:
    for option in declared(kind):
        assert option.help or option.positional, option
    assert kind.__doc__


def test_an_option_stands_where_its_group_stands() -> None:
    assert [option.name for option in declared(IngestOptions)] == [
        "archive",
        "out",
        "resolution",
        "downsampling",
        "max_failure_ratio",
        "change_options",
        "dry_run",
        "master",
        "conf",
    ]


def test_a_folder_goes_before_a_model_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_options(model="cot6").model == shipped_model("cot6")
    (tmp_path / "cot6").mkdir()
    assert run_options(model="cot6").model == Path("cot6")


def test_thresholds_are_the_models_own_where_none_are_asked_for() -> None:
    own = run_options().bundle.thresholds
    assert run_options().thresholds == own
    assert run_options(thick=9).thresholds == Thresholds(own.thin, 9)
    assert run_options(thin=0.1, thick=9).thresholds == Thresholds(0.1, 9)
    with pytest.raises(ModelError, match="0 < thin <= thick"):
        _ = run_options(thin=9, thick=1).thresholds


def test_scenes_are_selected_by_tile_date_and_name() -> None:
    chosen = {"tile": ["T31TCJ"], "date": "2024-03-05"}
    by_date = Selection.parse(["31TCJ"], "2024-03-05")
    assert ReprocessOptions(archive="a", out="w", **chosen).selection == by_date
    named = ApplyOptions(workspace="w", **chosen, scene=["S"])
    assert named.selection == replace(by_date, scene_ids=("S",))


def test_spark_properties_are_pairs() -> None:
    assert run_options(conf=["a=b=c", "d="]).properties == {"a": "b=c", "d": ""}


def test_the_report_shows_what_was_given() -> None:
    shown = run_options(downsampling="level", conf=["a=b"], out="w", thin=1).given()
    assert shown == {
        "archive": "archive",
        "out": "w",
        "downsampling": "level",
        "thin": "1.0",
        "max_failure_ratio": "0.5",
        "conf": "a=b",
    }
