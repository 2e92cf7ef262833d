import pyarrow as pa
import pytest
from PIL import Image

from spark_cot.simulate.dataset import simulate_block
from spark_cot.simulate.plots import save_figures, typical_surface
from spark_cot.simulate.world.surfaces import surface_library


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return simulate_block(7, 0)


def test_pictures_are_written(table, tmp_path):
    paths = save_figures(table, tmp_path / "pictures")
    assert [path.name for path in paths] == [
        "thickness.png",
        "spectra.png",
        "bands.png",
        "heights.png",
    ]
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) > 400
            assert len(image.convert("RGB").getcolors(1 << 24)) > 100


def test_typical_surface_is_of_its_class():
    library = surface_library()
    assert library.classes[typical_surface("canopy")] == "canopy"
