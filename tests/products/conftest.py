"""A synthetic scene of fractal clouds over fractal land, with a swath edge."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spark_cot.models.classes import Thresholds, classify
from spark_cot.models.provenance import Provenance
from spark_cot.msi import BANDS
from spark_cot.products.scene import SceneArrays
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace

SHAPE = (130, 96)
THRESHOLDS = Thresholds(0.75, 1.25)


def fractal(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Noise with a power spectrum of wavenumber^-3, zero mean, unit variance."""
    noise = np.random.default_rng(seed).normal(size=shape)
    wavenumber = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    wavenumber[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(noise) * wavenumber**-1.5, s=shape)
    return (field / field.std()).astype(np.float32)


@pytest.fixture(scope="session")
def arrays() -> SceneArrays:
    cot = np.exp(2.2 * fractal(SHAPE, 1) - 1).astype(np.float32)
    rows, cols = np.indices(SHAPE)
    cot[cols + rows / 3 < 30] = np.nan
    holes = np.isnan(cot)
    percent = [np.clip(60 * cot / limit, 0, 100) for limit in (THRESHOLDS.thin, THRESHOLDS.thick)]
    return SceneArrays(
        cot=cot,
        cot_std=cot / 8,
        p_thin=np.where(holes, 255, percent[0]).astype(np.uint8),
        p_thick=np.where(holes, 255, percent[1]).astype(np.uint8),
        cloud_class=classify(cot, THRESHOLDS).astype(np.uint8),
        outside=np.where(holes, 255, cot > np.nanquantile(cot, 0.9)).astype(np.uint8),
    )


@pytest.fixture(scope="session")
def bands(arrays: SceneArrays) -> dict[str, NDArray[np.int16]]:
    haze = 1 - np.exp(-0.1 * np.nan_to_num(arrays.cot))
    land = 0.12 + 0.03 * fractal(SHAPE, 2)
    return {
        band.id: np.rint(1e4 * (land * (1 + band.index / 10) * (1 - haze) + 0.9 * haze)).astype(
            np.int16
        )
        for band in BANDS
    }


@pytest.fixture(scope="session")
def record() -> SceneRecord:
    return SceneRecord(
        scene_id="S2B_T31TCJ_20240305T104819",
        product="S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125046",
        source="/archive/S2B.SAFE",
        sources=["/archive/S2B.SAFE"],
        datastrips=["20240305T105411/20240305T105408"],
        fingerprint="f00d",
        satellite="S2B",
        tile="31TCJ",
        sensing_time=datetime(2024, 3, 5, 10, 54, 11, tzinfo=UTC),
        datatake="GS2B_20240305T104819_036543_N05.10",
        datatake_start=datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC),
        generation_time=datetime(2024, 3, 5, 12, 53, 47, tzinfo=UTC),
        baseline="05.10",
        orbit=51,
        crs="EPSG:32631",
        left=300_000.0,
        top=4_900_020.0,
        resolution=20,
        rows=SHAPE[0],
        cols=SHAPE[1],
        offsets=[-1000.0] * 13,
        quantification=10_000.0,
        metadata_cloud_cover=40.0,
        valid_pixels=0,
        footprint="POLYGON ((0.5 44.2, 0.5 44.21, 0.49 44.21, 0.5 44.2))",
        ingested_at=datetime(2024, 3, 6, tzinfo=UTC),
        ingested_by="0.1.0",
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", 20)


@pytest.fixture(scope="session")
def provenance() -> Provenance:
    return Provenance("reference-ensemble", "3f9a1c0be77d0011", THRESHOLDS, mask_above=1.25)
