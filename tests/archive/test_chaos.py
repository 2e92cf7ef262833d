"""A few of the killed runs that ``tests/benchmarks/chaos.py`` makes by the dozen."""

import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).parents[1] / "benchmarks" / "chaos.py"


def test_a_killed_job_started_again_gives_the_undisturbed_tables() -> None:
    options = ["--runs", "2", "--scenes", "3", "--kinds", "driver,executor"]
    run = subprocess.run([sys.executable, str(CHAOS), *options], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count(": equal") == 2
