from pathlib import Path

import numpy as np
import pytest
import rasterio

from spark_cot.models.classes import CloudClass
from spark_cot.products.quicklook import PANEL, Caption, Overview, make_overview, write_quicklook
from spark_cot.products.summary import class_cover, code_counts

GREY = (0xB8, 0xBE, 0xC5)


@pytest.fixture
def overview(arrays, bands) -> Overview:
    return make_overview(bands.__getitem__, arrays.cot, arrays.cloud_class, 20)


@pytest.fixture
def caption(arrays, provenance) -> Caption:
    cover = class_cover(code_counts(arrays.cloud_class, CloudClass))
    return Caption("S2B_$x_1$ {}", ("a line",), provenance.thresholds, cover)


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as image:
        return np.moveaxis(image.read((1, 2, 3)), 0, -1)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_nodata_is_the_same_grey_in_all_panels(tmp_path, overview, caption):
    write_quicklook(tmp_path / "q.png", overview, caption)
    image = pixels(tmp_path / "q.png")
    zoom = PANEL // 130
    expected = np.count_nonzero(overview.cloud_class == 0) * zoom**2
    found = np.count_nonzero((image == GREY).all(-1))
    assert 0.98 * 3 * expected < found < 1.03 * 3 * expected


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("shape", [(30, 30), (96, 96), (1, 1), (700, 60), (60, 700)])
def test_any_shape_gives_a_picture_of_sensible_size(tmp_path, caption, shape):
    cot = np.full(shape, 0.5, np.float32)
    codes = np.ones(shape, np.uint8)
    small = make_overview(lambda band: np.full(shape, 900, np.int16), cot, codes, 10)
    write_quicklook(tmp_path / "q.png", small, caption)
    height, width, _ = pixels(tmp_path / "q.png").shape
    assert 1200 < width < 1850
    assert height < 850


def test_an_overview_keeps_the_values(arrays, bands, overview):
    valid = arrays.cloud_class != CloudClass.NODATA
    np.testing.assert_array_equal(overview.cot, arrays.cot)
    np.testing.assert_array_equal(overview.cloud_class, arrays.cloud_class)
    np.testing.assert_allclose(overview.rgb[valid, 2], bands["B02"][valid] * 1e-4, rtol=1e-6)
    assert np.isnan(overview.rgb[~valid]).all()
    assert overview.pixel_m == 20


def test_a_large_scene_is_decimated():
    shape = (2 * PANEL + 1, 100)
    cot = np.ones(shape, np.float32)
    small = make_overview(
        lambda band: np.full(shape, 900, np.int16), cot, np.ones(shape, np.uint8), 10
    )
    assert small.rgb.shape == (374, 34, 3)
    assert small.pixel_m == 30


def test_equal_input_gives_equal_bytes_whatever_the_users_style(tmp_path, overview, caption):
    import matplotlib

    write_quicklook(tmp_path / "a.png", overview, caption)
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 30, "savefig.bbox": "tight"}):
        write_quicklook(tmp_path / "b.png", overview, caption)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"Software" not in content and b"tEXt" not in content
