"""The wheel holds everything the package needs, and rooms import only what lies below them."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spark_cot"

#: What each room may import of the others; design rule "imports run one way".
BASE = {"grid", "msi", "storage", "errors", "progress"}
LOW = BASE | {"safe", "tables"}
MIDDLE = LOW | {"products", "evaluate", "infer", "learn", "simulate"}
ALLOWED = {
    "errors": set(),
    "msi": set(),
    "progress": set(),
    "grid": {"errors"},
    "storage": {"errors"},
    "session": {"errors", "storage"},
    "safe": BASE | {"safe"},
    "tables": LOW,
    **dict.fromkeys(("products", "evaluate", "infer", "learn", "simulate"), MIDDLE),
    "archive": MIDDLE | {"archive", "session"},
    "cli": MIDDLE | {"archive", "session"},
}


def imports(path: Path) -> set[str]:
    """Names of the modules a file imports at run time, TYPE_CHECKING blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or "__" not in p.name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    used = {name.split(".")[1] for name in imports(path) if name.startswith("spark_cot.")}
    assert used <= ALLOWED[room(path)] | {room(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_stages_and_sql_functions_know_spark(path: Path) -> None:
    knows = {name for name in imports(path) if name.split(".")[0] == "pyspark"}
    allowed = room(path) in ("archive", "session") or path.name in ("udf.py", "schema.py")
    assert not knows or allowed


def test_nothing_pickled_is_loaded() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not imports(path) & {"cloudpickle", "dill", "joblib"}, path
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
