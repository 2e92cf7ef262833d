"""A few of the odd products that ``tests/benchmarks/fuzz_safe.py`` makes by the thousand."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz_safe.py"


def test_odd_products_are_refused_or_read_right() -> None:
    command = [sys.executable, str(FUZZ), "--mutations", "30", "--seed", "3"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "30 cases" in run.stdout
