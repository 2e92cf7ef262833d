import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spark_cot.learn.bundle import Bundle
from spark_cot.learn.launch import launch
from spark_cot.learn.model import MLP, Target, Thresholds
from spark_cot.learn.noise import Noise
from spark_cot.learn.plan import Plan
from spark_cot.learn.recipe import Recipe

MakePlan = Callable[..., Plan]


@pytest.fixture
def bundle() -> Bundle:
    """Two members, two bands and an angle; the weights are plain numbers."""
    architecture = MLP(2, (3, 4, 1))
    weights = {
        name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8 - 1
        for name, shape in architecture.shapes.items()
    }
    return Bundle(
        name="small",
        architecture=architecture,
        inputs=("B02", "B11", "sun_zenith"),
        means=(0.3, 0.2, 45.0),
        stds=(0.25, 0.125, 15.0),
        target=Target("linear", 50),
        thresholds=Thresholds(0.75, 1.25),
        weights=weights,
        training={"seed": 7},
        metrics={"mae": 0.5},
        source="tests",
    )


@pytest.fixture(scope="session")
def double_bundle() -> Bundle:
    """Three members that predict their error, in log1p(4 COT), of the small recipe's inputs."""
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
def single_bundle(double_bundle: Bundle) -> Bundle:
    """The same without its second output."""
    weights = dict(double_bundle.weights)
    for name in ("layer2.weight", "layer2.bias"):
        weights[name] = weights[name][:, :1].copy()
    return replace(double_bundle, architecture=MLP(3, (4, 6, 1)), weights=weights)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Trained in less than a second: sixty steps, fifteen an epoch."""
    return Recipe(
        name="small",
        inputs=("B02", "B10", "B11", "sun_zenith"),
        members=2,
        hidden=(8,),
        noise=Noise(level=0.04, gain=0.02, detector=1.0, floor=0.0005, mixing=0.05),
        batch_rows=64,
        steps=60,
        learning_rate=0.02,
        seed=3,
    )


@pytest.fixture
def make_plan(recipe: Recipe, synthetic: Path, tmp_path: Path) -> MakePlan:
    """A plan of the small recipe on the small table; keywords change it."""

    def make(**changes: object) -> Plan:
        options = {"recipe": recipe, "table": str(synthetic), "out": tmp_path / "model"}
        return Plan(**(options | {"checkpoint_every": 10, "threads": 1, "resume": True} | changes))

    return make


@pytest.fixture(scope="session")
def undisturbed(
    recipe: Recipe, synthetic: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, Plan]:
    """What one rank makes of the small recipe, and its plan; not to be changed."""
    plan = Plan(recipe, str(synthetic), tmp_path_factory.mktemp("undisturbed") / "model", threads=1)
    return launch(plan), plan


@pytest.fixture
def files_up_to() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which a file that grows beyond some bytes fails half-way, as on a full disk."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
