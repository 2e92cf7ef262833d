"""Real clear ground of ten European land covers is read as clear by the models that ship."""

from pathlib import Path

import numpy as np
import pytest

from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import load_bundle
from spark_cot.models.shipped import SHIPPED, shipped_model
from spark_cot.msi import BAND_IDS

#: Share of the pixels that may be classed thin or thick: what is asked for (six bands cannot tell
#: some roofs from cloud), and what is reached. What is left are roofs, yards and pale fields.
ASKED = dict.fromkeys(SHIPPED, 0.006) | {"cot6": 0.01}
REACHED = {"student": 0.008, "cot12": 0.0095, "cot11": 0.0085, "cot6": 0.013}

#: Every how many pixels are read; all of them give the same share within 0.0005.
EVERY = 4

#: The chips do not say how they were seen.
ANGLES = {"sun_zenith": 40.0, "view_zenith": 5.0, "relative_azimuth": 90.0}


@pytest.fixture(scope="module")
def pixels(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "data" / "clear_chips.npz") as file:
        assert tuple(file["bands"]) == BAND_IDS
        rho = file["dn"].reshape(-1, len(BAND_IDS))[::EVERY].astype(np.float32) / 10_000
    angles = {name: np.full(len(rho), angle, np.float32) for name, angle in ANGLES.items()}
    return dict(zip(BAND_IDS, rho.T, strict=True)) | angles


@pytest.mark.parametrize("name", SHIPPED)
def test_clear_ground_is_clear(
    request: pytest.FixtureRequest, name: str, pixels: dict[str, np.ndarray]
) -> None:
    predictor = Predictor(load_bundle(shipped_model(name)))
    cloudy = (predictor.from_columns(pixels).cloud_class >= 2).mean()
    assert cloudy <= REACHED[name]
    request.applymarker(pytest.mark.xfail(strict=True, reason="not reached yet"))
    assert cloudy <= ASKED[name]
