"""Jobs on a real standalone cluster, whose nodes have all libraries but not this package."""

import json
import os
import re
import socket
import subprocess
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pyarrow as pa
import pyspark
import pytest

from spark_cot import __version__
from spark_cot.cli import main
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle, save_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.target import Target
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product

ROOT = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
SPARK_CLASS = SPARK_HOME / "bin" / "spark-class"
SECONDS_TO_START = 90
#: A tenth of what conf/ asks for, on executors of one core.
SMALL = (
    "spark.executor.cores=1",
    "spark.executor.memory=512m",
    "spark.executor.pyspark.memory=4g",
    "spark.driver.memory=512m",
)


@dataclass(frozen=True)
class Cluster:
    """Where the cluster listens, and what its nodes are."""

    master: str
    environment: dict[str, str]
    package: Path
    events: Path

    def submit(self, job: str, *options: object, conf: tuple[str, ...] = ()) -> list[str]:
        """Command line of a job that is sent to this cluster."""
        properties = [f"spark.eventLog.dir={self.events.as_uri()}", *SMALL, *conf]
        return [
            str(SPARK_HOME / "bin" / "spark-submit"),
            *("--master", self.master),
            *("--properties-file", str(ROOT / "conf" / "spark-defaults.standalone.conf")),
            *("--py-files", str(self.package)),
            *(part for pair in properties for part in ("--conf", pair)),
            str(ROOT / "jobs" / f"{job}.py"),
            *map(str, options),
        ]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for socket_ in sockets:
            socket_.bind(("127.0.0.1", 0))
        return [socket_.getsockname()[1] for socket_ in sockets]


def read(url: str) -> str:
    """What an address answers; nothing while nobody listens."""
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (URLError, ConnectionError, TimeoutError):
        return ""


def wait_until(happened: Callable[[], bool], processes: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not happened():
        assert time.monotonic() < deadline, "the cluster did not start"
        assert all(process.poll() is None for process in processes), "a process of it ended"
        time.sleep(0.2)


def node_python(folder: Path) -> Path:
    """A Python that finds the installed libraries, but neither this package nor its metadata."""
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    for library in SPARK_HOME.parent.iterdir():
        if not re.match(r"(__editable__.*)?spark_cot", library.name.replace("-", "_")):
            (site / library.name).symlink_to(library)
    python = folder / "bin" / "python"
    metadata = "import importlib.metadata as m; m.version('spark-cot')"
    for code in ("import pyspark, spark_cot", metadata):
        found = subprocess.run([python, "-Pc", code], capture_output=True, cwd=folder, env={})
        assert b"No module named 'spark_cot'" in found.stderr or b"spark-cot" in found.stderr
    return python


def zip_package(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for source in sorted((ROOT / "spark_cot").rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                file.write(source, source.relative_to(ROOT))
    return path


@contextmanager
def daemons(
    commands: list[list[str]], environment: dict[str, str], folder: Path
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes with a log file each, ended when the block is left."""
    started = []
    try:
        for command in commands:
            with (folder / f"{len(started)}.log").open("w") as log:
                started.append(
                    subprocess.Popen(command, env=environment, stderr=log, stdout=log, text=True)
                )
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers of one core each, on ports of their own."""
    folder = tmp_path_factory.mktemp("cluster")
    events = folder / "events"
    events.mkdir()
    environment = os.environ | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_CONF_DIR": str(ROOT / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_DAEMON_MEMORY": "256m",
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # quick to start
        "PYSPARK_PYTHON": str(node_python(folder / "node")),
        "SPARK_COT_CACHE": str(folder / "cache"),
    }
    port, master_ui, *worker_ui = free_ports(4)
    master = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    bind = ["--host", "127.0.0.1", "--webui-port"]
    size = ["--cores", "1", "--memory", "600m"]
    commands = [
        [SPARK_CLASS, f"{deploy}.master.Master", *bind, master_ui, "--port", port],
        *([SPARK_CLASS, f"{deploy}.worker.Worker", *bind, ui, *size, master] for ui in worker_ui),
    ]
    with daemons([list(map(str, c)) for c in commands], environment, folder) as processes:
        state = f"http://127.0.0.1:{master_ui}/json/"
        wait_until(lambda: '"aliveworkers" : 2' in read(state), processes)
        yield Cluster(master, environment, zip_package(folder / "spark_cot.zip"), events)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An archive of two small scenes and a model."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(11)
    for tile in ("31TCJ", "31TDJ"):
        bands = {b.id: rng.uniform(0.05, 0.6, native_shape(b.id, 960)) for b in BANDS}
        write_product(folder / "archive", bands, ProductSpec(tile=tile))
    network = MLP(2, (12, 1))
    bundle = Bundle(
        name="brightness",
        architecture=network,
        inputs=tuple(band for band in BAND_IDS if band != "B01"),
        means=(0.1,) * 12,
        stds=(1.0,) * 12,
        target=Target("linear", 50.0),
        thresholds=Thresholds(0.75, 1.25),
        weights={
            name: rng.uniform(0, 0.02, shape).astype(np.float32)
            for name, shape in network.shapes.items()
        },
    )
    return folder / "archive", save_bundle(bundle, folder / "model")


def tables(workspace: Path) -> dict[str, bytes]:
    """Every row and image of a workspace, as bytes by relative path."""
    files = [*workspace.rglob("*.parquet"), *workspace.rglob("*.tif")]
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for path in files
        if path.relative_to(workspace).parts[0] not in ("scenes", "_ledger")  # they hold times
    }


def executors_at_work(events: Path) -> set[str]:
    """Executors that ended a task, by the event logs."""
    found = set()
    for file in events.rglob("events_*"):
        with pa.input_stream(file, compression="zstd" if "zstd" in file.name else None) as stream:
            told = map(json.loads, stream.read().decode().splitlines())
            ends = [event for event in told if event["Event"] == "SparkListenerTaskEnd"]
            found |= {end["Task Info"]["Executor ID"] for end in ends}
    return found


def test_a_scheduled_job_gives_what_a_local_run_gives(
    cluster: Cluster, inputs: tuple[Path, Path], spark: object, tmp_path: Path
) -> None:
    archive, model = inputs
    options = [archive, "--model", model, "--mask-above", "1.0", "--out"]
    (ui,) = free_ports(1)
    command = cluster.submit(
        "reprocess", *options, tmp_path / "cluster", conf=(f"spark.ui.port={ui}",)
    )
    metrics: dict[str, str] = {"prometheus": "", "executors/prometheus": ""}
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(command, env=cluster.environment, stderr=log)
        while job.poll() is None:
            for name in metrics:
                metrics[name] = read(f"http://127.0.0.1:{ui}/metrics/{name}") or metrics[name]
            time.sleep(0.5)
    log = (tmp_path / "log").read_text()
    assert job.returncode == 0, log[-3000:]
    with pytest.raises(SystemExit, match="0"):
        main(["run", *map(str, options), str(tmp_path / "local")])
    here, there = tables(tmp_path / "local"), tables(tmp_path / "cluster")
    assert {name.split("/")[0] for name in here} == {"pixels", "cot", "masked", "products"}
    assert here == there
    assert "metrics_spark_cot_driver_" in metrics["prometheus"]
    assert 'metrics_executor_totalCores{application_id="app-' in metrics["executors/prometheus"]
    assert executors_at_work(cluster.events) == {"0", "1"}
    assert "INFO Master" not in log, "log4j2.properties of conf/ is not in use"


def test_the_documented_archive_is_all_that_the_nodes_need(
    cluster: Cluster, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    """A model that ships, from the zip file; nothing of this package is installed."""
    command = cluster.submit("run", inputs[0], "--resolution", 60, "--out", tmp_path / "out")
    job = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
    assert job.returncode == 0, job.stderr[-3000:]
    report = json.loads(next((tmp_path / "out" / "reports").glob("*.json")).read_text())
    assert report["model"]["name"] == "student"
    assert report["software"]["spark-cot"] == __version__


def test_nodes_without_the_package_are_told_how_to_get_it(
    cluster: Cluster, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    """The driver has the code, the executors have not."""
    command = cluster.submit("ingest", inputs[0], "--out", tmp_path / "out")
    place = command.index("--py-files")
    del command[place : place + 2]
    driver = node_python(tmp_path / "driver")
    (site,) = (tmp_path / "driver").glob("lib/python*/site-packages")
    (site / "code.pth").write_text(str(ROOT))
    environment = cluster.environment | {"PYSPARK_DRIVER_PYTHON": str(driver)}
    job = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert job.returncode == 2, job.stderr[-3000:]
    assert "Spark gave up: ModuleNotFoundError: No module named 'spark_cot'" in job.stdout
    assert "--py-files spark_cot.zip" in job.stdout
