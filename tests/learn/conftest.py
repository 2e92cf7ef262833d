import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from spark_cot.archive.train import train
from spark_cot.learn.noise import Noise
from spark_cot.learn.recipe import Recipe
from spark_cot.learn.run import TrainingRun
from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle
from spark_cot.models.posterior import Posterior

MakeRun = Callable[..., TrainingRun]


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
        target=Posterior(4, (0, 0.3, 1, 5, 60)),
        noise=Noise(level=0.04, gain=0.02, detector=1.0, floor=0.0005),
        batch_rows=64,
        steps=60,
        learning_rate=0.02,
        seed=3,
    )


@pytest.fixture
def make_run(recipe: Recipe, synthetic: Path, tmp_path: Path) -> MakeRun:
    """A run of the small recipe on the small table; keywords change it."""

    def make(**changes: object) -> TrainingRun:
        options = {"recipe": recipe, "table": str(synthetic), "out": tmp_path / "model"}
        options |= {"checkpoint_every": 10, "threads": 1, "resume": True}
        return TrainingRun(**(options | changes))

    return make


@pytest.fixture(scope="session")
def undisturbed(
    recipe: Recipe, synthetic: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, TrainingRun]:
    """What one rank makes of the small recipe, and how; not to be changed."""
    out = tmp_path_factory.mktemp("undisturbed") / "model"
    run = TrainingRun(recipe, str(synthetic), out, threads=1)
    bundle = train(run)
    assert bundle
    return bundle, run


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
