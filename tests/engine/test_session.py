"""Spark on a laptop is quiet; Spark that someone has configured is left as it is."""

import os
import subprocess
import sys

import pytest

from spark_cot.engine.session import _quiet_logs

START = (
    "from spark_cot.engine.session import spark_session; spark_session('quiet').range(3).count()"
)


def test_a_local_session_says_nothing_of_itself() -> None:
    ours = {"SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    run = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True)
    lines = run.stderr.decode().splitlines()
    assert run.returncode == 0, lines
    assert [line for line in lines if "incubator" not in line] == []  # the JVM's own words


@pytest.mark.parametrize("name", ["SPARK_HOME", "SPARK_CONF_DIR"])
def test_a_configuration_of_ones_own_wins(monkeypatch, name: str) -> None:
    monkeypatch.setenv(name, "/opt/spark")
    assert _quiet_logs() == {}
