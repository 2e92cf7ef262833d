"""Pixels of known ground and thickness, and what is made of a model's answers."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from spark_cot.evaluate.two_dates import (
    BARS,
    CLOUDS,
    COTS,
    GROUNDS,
    SUNS,
    read_two_dates,
    thinnest_seen,
    two_date_checks,
    two_dates,
    two_dates_figure,
)
from spark_cot.infer.predictor import Predictor
from spark_cot.models.bundle import Bundle
from spark_cot.models.classes import Thresholds
from spark_cot.msi import BAND_IDS


@dataclass
class Oracle:
    """Says a share of the truth, whatever it is shown."""

    bundle: Bundle
    share: float
    thresholds: ClassVar[Thresholds] = Thresholds(0.6, 1.2)

    def from_columns(self, columns: dict[str, np.ndarray]) -> Any:
        cot = (self.share * two_dates()["cot"].to_numpy()).astype(np.float32)
        return type("Said", (), {"cot": cot, "cot_std": np.ones_like(cot)})


def read_by(bundle: Bundle, share: float) -> pa.Table:
    return read_two_dates(Oracle(bundle, share))


def test_every_pixel_is_there_once() -> None:
    pixels = two_dates()
    keys = zip(*(pixels[name].to_pylist() for name in ("cloud", "ground", "sun_zenith", "cot")),
               strict=True)  # fmt: skip
    assert len(set(keys)) == len(pixels) == len(CLOUDS) * len(GROUNDS) * len(SUNS) * len(COTS)


def test_the_clear_forest_looks_as_the_real_one() -> None:
    """Median reflectance of a real closed forest at the top of the atmosphere, sun 27 to 39."""
    seen = (
        0.1016, 0.0729, 0.0628, 0.0364, 0.0704, 0.2208, 0.2816, 0.2710, 0.3106, 0.0845, 0.0010,
        0.1318, 0.0560,
    )  # fmt: skip
    row = two_dates().filter(
        (pc.field("ground") == "forest") & (pc.field("cloud") == "water")
        & (pc.field("sun_zenith") == 30) & (pc.field("cot") == 0)
    )  # fmt: skip
    found = np.array([row[band][0].as_py() for band in BAND_IDS])
    gas = np.isin(BAND_IDS, ("B09", "B10"))  # vapour of that day
    np.testing.assert_allclose(found[~gas], np.array(seen)[~gas], rtol=0.1)


def test_cloud_brightens_dark_ground() -> None:
    pixels = two_dates().filter(pc.field("ground") == "sea")
    blue = pixels["B02"].to_numpy().reshape(-1, len(COTS))
    assert (np.diff(blue, axis=1) > 0).all()


def test_the_truth_passes_and_a_third_of_it_does_not(brightness_bundle: Bundle) -> None:
    assert all(check.passed for check in two_date_checks(Oracle(brightness_bundle, 1.0)))
    failed = [c for c in two_date_checks(Oracle(brightness_bundle, 0.33)) if not c.passed]
    assert len(failed) == sum(bar.least > 0 for bar in BARS)


def test_bars_of_a_band_hold_only_for_models_that_read_it(brightness_bundle: Bundle) -> None:
    def over_snow(inputs: tuple[str, ...]) -> int:
        @dataclass
        class Reader:
            inputs: tuple[str, ...]

        checks = two_date_checks(Oracle(Reader(inputs), 1.0))  # type: ignore[arg-type]
        return sum("ice" in check.name and "snow" in check.name for check in checks)

    assert (over_snow(("B02",)), over_snow(("B02", "B10"))) == (0, 6)


def test_the_thinnest_cloud_seen_lies_between_two_thicknesses(brightness_bundle: Bundle) -> None:
    seen = thinnest_seen(read_by(brightness_bundle, 0.5), 0.6)
    assert seen["water", "forest"] == pytest.approx(1.2)
    assert np.isnan(thinnest_seen(read_by(brightness_bundle, 0.01), 0.6)["ice", "sea"])


def test_a_real_model_is_read(brightness_bundle: Bundle) -> None:
    read = read_two_dates(Predictor(brightness_bundle))
    assert np.isfinite(read["estimate"].to_numpy()).all()


def test_the_figure_has_a_panel_for_each_ground_and_cloud(brightness_bundle: Bundle) -> None:
    figure = two_dates_figure(read_by(brightness_bundle, 0.7))
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == [f"{cloud} cloud over {ground}" for cloud in CLOUDS for ground in GROUNDS]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), 0.7, rtol=1e-6)
