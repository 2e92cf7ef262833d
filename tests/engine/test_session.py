"""Spark on a laptop is quiet; Spark that someone has configured is left as it is."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spark_cot.engine import session
from spark_cot.engine.session import _quiet_logs, _with_tries, spark_session
from spark_cot.engine.tasks import _cure, java_message, most_tries
from spark_cot.errors import SetupError

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


def test_a_local_master_tries_tasks_again() -> None:
    masters = ("local", "local[2]", "local[*]", "local[2,1]", "spark://host:7077")
    expected = ["local[1,4]", "local[2,4]", "local[*,4]", "local[2,1]", "spark://host:7077"]
    assert [_with_tries(master) for master in masters] == expected
    conf = SimpleNamespace(get=lambda name, default: default)
    tries = [
        most_tries(SimpleNamespace(master=master, getConf=lambda: conf))
        for master in ("local", "local[2,3]", "spark://host:7077")
    ]
    assert tries == [1, 3, 4]


def no_name(_: int) -> None:
    raise KeyError("uid not found")


def no_host(*_: object) -> None:
    raise socket.gaierror(-2, "Name or service not known")


@pytest.mark.parametrize(
    ("variables", "conf", "said"),
    [
        ({"JAVA_HOME": "{here}/gone"}, {}, r"JAVA_HOME=.*gone: no Java there.*Install a JDK"),
        ({"JAVA_HOME": "{here}/file"}, {}, r"JAVA_HOME=.*file: no Java there: Not a directory"),
        ({"SPARK_HOME": "{here}/gone"}, {}, r"SPARK_HOME=.*gone: no Spark there\. Unset it"),
        ({"SPARK_REMOTE": "sc://host"}, {}, r"SPARK_REMOTE: Spark Connect is asked for"),
        ({}, {"spark.remote": "local"}, r"spark.remote: Spark Connect is asked for"),
        ({}, {"spark.driver.memory": "lots"}, r"spark.driver.memory: 'lots' is no size.* 4g"),
        ({}, {"spark.executor.pyspark.memory": "2 GB"}, r"'2 GB' is no size of memory"),
        ({"SPARK_DRIVER_MEMORY": "4gigs"}, {}, r"SPARK_DRIVER_MEMORY: '4gigs' is no size"),
    ],
)
def test_a_spark_that_cannot_start_is_one_error_with_its_cure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    conf: dict[str, str],
    said: str,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(here=tmp_path))
    with pytest.raises(SetupError, match=said):
        spark_session("none", "local[1]", conf)


def test_users_and_machines_without_a_name_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    for name in ("SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session.socket, "getaddrinfo", no_host)
    with pytest.raises(SetupError, match=r"does not resolve: Name or .*SPARK_LOCAL_IP"):
        spark_session("none")
    monkeypatch.setattr(session.pwd, "getpwuid", no_name)
    with pytest.raises(SetupError, match=r"has no name on this machine.*entry point"):
        spark_session("none")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--master", "nonsense"), "Master must either be"),
        (("--conf", "spark.executor.cores=many"), "Executor cores must be"),
    ],
)
def test_what_java_refuses_is_one_error_too(
    tmp_path: Path, three_scenes: Path, arguments: tuple[str, ...], said: str
) -> None:
    command = [sys.executable, "-m", "spark_cot", "ingest", str(three_scenes), *arguments]
    command += ["--out", str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "Spark does not start: Java ended before Spark was up" in run.stderr
    assert said in run.stderr
    assert "please report" not in run.stderr


PYTHON_FAILED = """Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times, most
recent failure: org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/opt/worker.py", line 1, in main
    process()
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/serializers.py", line 2, in loads
    return cloudpickle.loads(obj)
{raised}
 SQLSTATE: 38000

\tat org.apache.spark.api.python.BasePythonRunner
Driver stacktrace:"""  # fmt: skip


@pytest.mark.parametrize(
    ("raised", "cure"),
    [
        ("ModuleNotFoundError: No module named 'spark_cot'", "--py-files spark_cot.zip"),
        ("MemoryError", "fewer cores per executor"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 4 GiB", "fewer cores"),
        ("pyspark.errors.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] x", "the same Python"),
        ("ValueError: odd", "What is finished is kept; run again"),
    ],
)
def test_of_python_in_executors_the_last_line_and_its_cure_are_said(raised: str, cure: str) -> None:
    why = java_message(RuntimeError(PYTHON_FAILED.format(raised=raised)))
    assert why == raised
    assert cure in _cure(why)
