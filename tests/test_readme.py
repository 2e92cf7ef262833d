"""Every command and snippet of the README runs, in its order, as a reader would run it."""

import os
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path

import duckdb
import numpy as np
import pytest

from spark_cot.msi import BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product

ROOT = Path(__file__).parents[1]
#: The one is run by whoever runs the tests, the other in small by tests/archive/test_demo.py.
NOT_RUN_HERE = {"make test", "make demo"}
#: The same commands with less to do.
SMALLER = {
    "--rows 200000": "--rows 8192",
    "train synthetic": "train synthetic --steps 20 --batch-rows 256",
    "train.py synthetic": "train.py synthetic --steps 20 --batch-rows 256",
    "simulate validate": "simulate validate --rows 2000 --columns 4",
}


def blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    return [_smaller(command) for command in found if command and command not in NOT_RUN_HERE]


def _smaller(command: str) -> str:
    return reduce(lambda text, pair: text.replace(*pair), SMALLER.items(), command)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: an archive, the published weights' file, and what README names."""
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(5)
    bands = {b.id: rng.uniform(0.05, 0.6, native_shape(b.id, 960)) for b in BANDS}
    write_product(folder / "archive", bands, ProductSpec(tile="31TCJ"))
    shapes = [(64, 12), (64, 64), (64, 64), (64, 64), (1, 64)]
    weights = {}
    for member in range(10):
        for layer, (fan_out, fan_in) in enumerate(shapes, start=1):
            weight = rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)
            weights[f"m{member}_lin{layer}_weight"] = weight.astype(np.float32)
            weights[f"m{member}_lin{layer}_bias"] = np.full(fan_out, 0.1, np.float32)
    np.savez(folder / "cot_mlp5_12band_ensemble.npz", **weights)
    for name in ("jobs", "conf"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def ran(reader: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every command's result, run in order."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    return {
        command: subprocess.run(
            command, shell=True, cwd=reader, env=environment, capture_output=True, text=True
        )
        for command in commands()
    }


@pytest.mark.parametrize("command", commands())
def test_commands_run(command: str, ran: dict[str, subprocess.CompletedProcess[str]]) -> None:
    result = ran[command]
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", range(len(blocks("sql"))))
def test_sql_runs(number: int, ran: object, reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reader)
    with duckdb.connect() as connection:
        rows = connection.sql(blocks("sql")[number]).fetchall()
    assert rows[0][:3] == ("31TCJ", rows[0][1], 48 * 48)


def test_python_runs(ran: object, reader: Path) -> None:
    script = "\n".join(blocks("python"))
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=reader, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("S2B_T31TCJ_20240305T104819") == 3


def test_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("http"):
            assert (ROOT / target).exists(), target
