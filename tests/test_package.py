"""The wheel holds everything the package needs, and every import leads down the house."""

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import spark_cot

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spark_cot"

spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "house.py")
assert spec and spec.loader
house = importlib.util.module_from_spec(spec)
spec.loader.exec_module(house)

FILES = house.files()
every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


@every_file
def test_imports_lead_down(path: Path) -> None:
    rooms = list(house.ROOMS)
    below = set(rooms[: rooms.index(house.room(path))])
    assert house.rooms_used(path) <= below


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert spark_cot.__version__ == project["version"]


def test_every_room_is_on_the_map() -> None:
    assert {house.room(path) for path in FILES} == set(house.ROOMS)


def test_the_map_shows_every_arrow() -> None:
    assert not house.upward()
    shown = house.main_arrows()
    for start, end in house.arrows():
        assert end in house.reach(start, shown), (start, end)


@every_file
def test_only_stages_and_sql_functions_know_spark(path: Path) -> None:
    knows = {name for name in house.imports(path) if name.split(".")[0] == "pyspark"}
    allowed = house.room(path) in ("archive", "engine") or path.name in ("udf.py", "schema.py")
    assert not knows or allowed


def test_nothing_pickled_is_loaded() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not house.imports(path) & {"cloudpickle", "dill", "joblib"}, path
        assert "pickle.load" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "weights_only=False" not in text, path


def test_the_wheel_holds_the_data_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(tmp_path), str(ROOT)], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= held, expected - held
