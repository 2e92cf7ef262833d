from collections.abc import Callable

import numpy as np
import pytest

from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.posterior import Posterior
from spark_cot.models.target import Target
from spark_cot.msi import ANGLES

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
MakeBundle = Callable[..., Bundle]


@pytest.fixture(scope="session")
def make_bundle() -> MakeBundle:
    """Bundles of random weights in the size of the published ensemble, or of other sizes."""

    def make(
        members: int = 10,
        inputs: tuple[str, ...] = BANDS,
        hidden: tuple[int, ...] = (64, 64, 64, 64),
        target: Target | Posterior | None = None,
        seed: int = 0,
        outputs: int = 1,
    ) -> Bundle:
        rng = np.random.default_rng(seed)
        target = target or Target("linear", 50.0)
        if isinstance(target, Posterior):
            outputs = len(target.knots)
        architecture = MLP(
            members, (len(inputs), *hidden, outputs), output_activation=target.activation
        )
        weights = {
            name: rng.normal(0.02, np.sqrt(2 / shape[-1]), shape).astype(np.float32)
            if name.endswith("weight")
            else rng.normal(0, 0.1, shape).astype(np.float32)
            for name, shape in architecture.shapes.items()
        }
        return Bundle(
            name="random",
            architecture=architecture,
            inputs=inputs,
            means=tuple(45.0 if name in ANGLES else 0.4 for name in inputs),
            stds=tuple(20.0 if name in ANGLES else 0.3 for name in inputs),
            target=target,
            thresholds=Thresholds(0.75, 1.25),
            weights=weights,
        )

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle: MakeBundle) -> Bundle:
    return make_bundle()
