import numpy as np
import pytest

from spark_cot.models.architecture import MLP
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.models.target import Target


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
