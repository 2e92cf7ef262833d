"""A few of the odd products that ``tests/benchmarks/fuzz_safe.py`` makes by the thousand."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz_safe.py"


@pytest.mark.parametrize(
    "kinds", [("xml", "jp2", "zip", "name", "place"), ("encoding", "method", "variant")]
)
def test_odd_products_are_refused_or_read_right(kinds: tuple[str, ...]) -> None:
    options = ["--mutations", "30", "--seed", "3", "--kinds", *kinds]
    run = subprocess.run(
        [sys.executable, str(FUZZ), *options], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "30 cases" in run.stdout
