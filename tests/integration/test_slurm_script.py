"""The batch script of conf/slurm on one node, with stand-ins for the Slurm commands it calls."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOB_ID = 9_000 + os.getpid() % 1_000
STAND_INS = {
    "srun": 'echo $$ > "$SLURM_TMPDIR/step"; exec setsid "$@"',
    "scancel": 'kill -TERM -- "-$(cat "$SLURM_TMPDIR/step")"',
    "hostname": "echo 127.0.0.1",
}
JOB = """
import sys
from pyspark.sql import SparkSession

context = SparkSession.builder.getOrCreate().sparkContext
conf = context.getConf()
print(sum(context.parallelize(range(10), 2).collect()), context.master)
print(conf.get("spark.authenticate"), len(conf.get("spark.authenticate.secret")), sys.argv[1:])
context.stop()
sys.exit(1)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("slurm")
    tools = folder / "bin"
    tools.mkdir()
    for name, script in STAND_INS.items():
        (tools / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (tools / name).chmod(0o755)
    (folder / "job.py").write_text(JOB)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "SLURM_JOB_ID": str(JOB_ID),
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_TMPDIR": str(folder),
        "SPARK_COT_EVENTS": str(folder / "events"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    command = ["bash", "conf/slurm/spark.sbatch", str(folder / "job.py"), "--option", "a b"]
    return folder, subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180
    )


def test_the_job_runs_on_the_cluster_and_gives_its_exit_code(ran) -> None:
    _, result = ran
    assert result.returncode == 1, result.stderr[-3000:]
    assert result.stdout.splitlines()[-2:] == [
        f"45 spark://127.0.0.1:{20_000 + JOB_ID}",
        "true 64 ['--option', 'a b']",
    ]


def test_nothing_is_left_but_the_event_log(ran) -> None:
    folder, _ = ran
    assert [path.name for path in (folder / "events").iterdir()] != []
    assert not list(folder.glob("spark-cot-*"))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 20_000 + JOB_ID)) != 0
