"""A small archive, what a run makes of it, and faults: see ``tests/benchmarks/faults.py``."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spark_cot.tables.workspace import Workspace


@pytest.fixture(scope="session")
def faults() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "faults.py"
    spec = importlib.util.spec_from_file_location("faults", path)
    assert spec and spec.loader
    module = sys.modules["faults"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bench(faults: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return faults.Bench(tmp_path_factory.mktemp("faults"), scenes=1, every=3)


@pytest.fixture
def finished(bench: Any, tmp_path: Path) -> Workspace:
    """A finished workspace of one scene, which a test may change."""
    return Workspace.open(Path(shutil.copytree(bench.calm, tmp_path / "finished")))
