import pytest

from spark_cot.simulate.optics import Optics, load_optics


@pytest.fixture(scope="session")
def optics() -> Optics:
    """The lookup tables, computed where the cache folder does not hold them."""
    return load_optics()
