"""Fixtures shared by all tests."""

import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from moto.server import DomainDispatcherApplication, create_backend_app
from pyspark.sql import SparkSession
from werkzeug.serving import WSGIRequestHandler, make_server

from spark_cot.engine.session import spark_session
from spark_cot.msi import ANGLES, BAND_IDS, BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product
from spark_cot.storage import path_of

if TYPE_CHECKING:  # PyTorch takes seconds to import
    from spark_cot.learn.run import TrainingRun
    from spark_cot.models.bundle import Bundle

settings.register_profile("any machine", deadline=None)  # machines are noisy
settings.load_profile("any machine")


class QuietHandler(WSGIRequestHandler):
    """Prints nothing."""

    def log(self, *_: object) -> None:
        pass


class S3Server:
    """An S3 server in this process: moto's answers, counted.

    Attributes
    ----------
    url : str
    requests : Counter[str]
        By method; a listing counts as LIST.
    sent : int
        Bytes of the bodies of answers.
    received : int
        Bytes of the bodies of requests.
    refuse : Callable[[str, str], bool]
        Told method and path of a request; access is denied where it says True.
    busy : Callable[[str, str], bool]
        Told the same; the answer is "503 Slow Down" where it says True.
    callers : set[str]
        Access keys that requests were signed with; empty text for none.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.sent = self.received = 0
        self.callers: set[str] = set()
        self.refuse: Callable[[str, str], bool] = lambda method, path: False
        self.busy: Callable[[str, str], bool] = lambda method, path: False
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_by_one = threading.Lock()
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=QuietHandler
        )
        self.url = f"http://127.0.0.1:{self._server.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()

    def _answer(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = request["REQUEST_METHOD"], request["PATH_INFO"]
        lists = method == "GET" and "/" not in path.strip("/")
        self.requests["LIST" if lists else method] += 1
        signature = request.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2]
        self.callers.add(signature.partition("/")[0])
        self.received += int(request.get("CONTENT_LENGTH") or 0)
        if self.busy(method, path):
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Slow down</Message></Error>"]
        if self.refuse(method, path):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        with self._one_by_one:  # moto looks and puts in two steps, and lists what is being removed
            body = list(self._moto(request, start))
        self.sent += sum(map(len, body))
        return body


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """The server; the environment leads every S3 client to it."""
    server = S3Server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "tester")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield server
    server.stop()


@pytest.fixture
def bucket(s3: S3Server) -> Path:
    """An empty bucket of its own."""
    import s3fs

    name = f"test-{uuid.uuid4().hex}"
    s3fs.S3FileSystem().mkdir(name)
    return path_of(f"s3://{name}")


@pytest.fixture(params=["files", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder of a file system, then one of an object store."""
    return tmp_path if request.param == "files" else request.getfixturevalue("bucket") / "place"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scenes and reference weights beside the project; see its own README."""
    folder = Path(os.environ.get("SPARK_COT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        message = f"{folder} with the real test scenes is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One small real Spark for all tests of a run."""
    folder = tmp_path_factory.mktemp("spark")
    session = spark_session(
        "tests",
        "local[2,3]",
        {
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.local.dir": str(folder),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.log.level": "ERROR",
        },
    )
    yield session
    session.stop()


EXTENT = 1920
"""Side of a scene, metres: 96 px at 20 m."""


def cloudy(band_id: str, seed: int, extent: int = EXTENT) -> np.ndarray:
    """TOA reflectance with a bright blob on textured ground and a nodata corner."""
    ny, nx = native_shape(band_id, extent)
    y, x = np.mgrid[:ny, :nx] / ny
    rng = np.random.default_rng(seed)
    cloud = np.exp(-((y - 0.3) ** 2 + (x - 0.2 * (seed % 5)) ** 2) / 0.05)
    image = 0.1 + 0.05 * np.sin(9 * x + seed) + 0.6 * cloud + 0.01 * rng.standard_normal((ny, nx))
    image[: ny // 8, : nx // 8] = np.nan
    return image


def spec(number: int) -> ProductSpec:
    """Facts of the scene with this number: satellite, tile and date differ."""
    start = datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC) + timedelta(days=5 * number)
    return ProductSpec(
        satellite=f"S2{'ABC'[number % 3]}",
        tile=("31TCJ", "31TDJ")[number % 2],
        sensing_time=start,
        generation_time=start + timedelta(hours=2),
        baseline=("05.10", "02.08")[number % 2],
    )


def add_scene(archive: Path, number: int, *, zipped: bool = False, **changes: object) -> Path:
    """Write scene ``number`` into the archive; ``changes`` replace fields of its spec."""
    bands = {band.id: cloudy(band.id, number) for band in BANDS}
    return write_product(archive, bands, replace(spec(number), **changes), zipped=zipped)


@pytest.fixture(scope="session")
def add() -> Callable[..., Path]:
    """`add_scene`, for tests that change an archive."""
    return add_scene


@pytest.fixture(scope="session")
def three_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archive of three scenes, one of them zipped; not to be changed."""
    archive = tmp_path_factory.mktemp("three-scenes") / "archive"
    for number in range(3):
        add_scene(archive, number, zipped=number == 1)
    return archive


@pytest.fixture
def archive(tmp_path: Path, three_scenes: Path) -> Path:
    """The three scenes, which a test may change."""
    return Path(shutil.copytree(three_scenes, tmp_path / "archive", copy_function=shutil.copy2))


@pytest.fixture(scope="session")
def brightness_bundle() -> "Bundle":
    """Three small members that read brightness as thickness, each a little differently."""
    from spark_cot.models import MLP, Bundle, Target, Thresholds

    architecture = MLP(3, (12, 4, 1))
    weights = {name: np.zeros(s, np.float32) for name, s in architecture.shapes.items()}
    for member in range(3):
        weights["layer1.weight"][member] = 0.02 * (1 + 0.1 * member)
        weights["layer2.weight"][member] = 0.25
    return Bundle(
        name="brightness",
        architecture=architecture,
        inputs=tuple(band for band in BAND_IDS if band != "B01"),
        means=(0.1,) * 12,
        stds=(1.0,) * 12,
        target=Target("linear", 50.0),
        thresholds=Thresholds(0.75, 1.25),
        weights=weights,
    )


@pytest.fixture(scope="session")
def model(brightness_bundle: "Bundle", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder."""
    from spark_cot.models import save_bundle

    return save_bundle(brightness_bundle, tmp_path_factory.mktemp("model") / "brightness")


@pytest.fixture
def cot_command(spark, capfd) -> Callable[..., tuple[int, str]]:
    """Run ``spark-cot`` in this process; its exit code and what it printed."""

    from spark_cot.cli import main

    def command(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return int(exit_.value.code), captured.out + captured.err

    return command


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small table of three splits, several row groups each; not to be changed.

    Brightness grows with COT over dark ground or snow; a third of the rows is clear.
    """
    folder = tmp_path_factory.mktemp("synthetic")
    for seed, (split, rows) in enumerate({"train": 1000, "val": 400, "test": 300}.items()):
        rng = np.random.default_rng(seed)
        cot = np.where(rng.random(rows) < 0.33, 0, rng.lognormal(0.8, 1.2, rows))
        snow = rng.random(rows) < 0.2
        ground = np.where(snow, 0.8, rng.uniform(0.03, 0.2, rows))
        veil = cot / (cot + 7)
        values = {
            "B02": veil + (1 - veil) * ground,
            "B10": 0.001 + 0.3 * veil**2,
            "B11": 0.6 * veil + (1 - veil) * np.where(snow, 0.05, ground),
            **{angle: rng.uniform(20, 70, rows) for angle in ANGLES},
            "cot": cot,
            "snow_share": snow,
        }
        columns = {name: column.astype(np.float32) for name, column in values.items()}
        (folder / f"split={split}").mkdir()
        path = folder / f"split={split}" / "rows.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=100)
    return folder


@pytest.fixture(scope="session")
def double_bundle() -> "Bundle":
    """Three members that predict their error, in log1p(4 COT), of the small recipe's inputs."""
    from spark_cot.models import MLP, Bundle, Target, Thresholds

    rng = np.random.default_rng(5)
    architecture = MLP(3, (4, 6, 2))
    weights = {
        name: rng.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in architecture.shapes.items()
    }
    weights["layer2.bias"][:] = (1.5, -1.0)
    return Bundle(
        name="double",
        architecture=architecture,
        inputs=("B02", "B10", "B11", "sun_zenith"),
        means=(0.3, 0.01, 0.2, 45.0),
        stds=(0.25, 0.02, 0.125, 15.0),
        target=Target("log1p", 4),
        thresholds=Thresholds(0.75, 1.25),
        weights=weights,
    )


@pytest.fixture(scope="session")
def posterior_bundle(double_bundle: "Bundle") -> "Bundle":
    """The same with five bins of COT for outputs; all kinds of distributions occur."""
    from spark_cot.models import MLP, Posterior

    rng = np.random.default_rng(6)
    architecture = MLP(3, (4, 6, 5), output_activation="softmax")
    weights = {
        name: rng.normal(0, 1, shape).astype(np.float32)
        for name, shape in architecture.shapes.items()
    }
    target = Posterior(4, (0, 0.3, 1, 5, 60))
    return replace(double_bundle, architecture=architecture, target=target, weights=weights)


@pytest.fixture(scope="session")
def shared_run(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> "TrainingRun":
    """A run of two ranks that options of the command line can say."""
    from spark_cot.learn.recipe import RECIPES
    from spark_cot.learn.run import TrainingRun

    recipe = RECIPES["cot6"].with_bands(["B02", "B10", "B11"])
    recipe = replace(recipe, members=2, steps=40, batch_rows=64)
    out = tmp_path_factory.mktemp("two-ranks") / "model"
    return TrainingRun(recipe, str(synthetic), out, checkpoint_every=10, threads=1)


@pytest.fixture(scope="session")
def two_ranks(shared_run: "TrainingRun") -> "Bundle":
    """What two undisturbed ranks make of `shared_run`."""
    from spark_cot.archive.train import train

    bundle = train(shared_run, ranks=2)
    assert bundle
    return bundle
