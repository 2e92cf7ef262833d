import numpy as np
import pytest

from spark_cot.msi import BANDS
from spark_cot.simulate.bands import PLATFORMS, ozone_table, rayleigh_table, responses


def test_every_band_of_every_platform_has_a_response():
    assert len(responses()) == len(PLATFORMS) * len(BANDS)
    for response in responses().values():
        assert response.weight.sum() == pytest.approx(1)
        assert np.all(response.weight >= 0)


def test_centres_are_those_of_the_product_metadata():
    for band in BANDS:
        assert responses()["S2A", band.id].centre == pytest.approx(band.wavelength_nm, abs=0.06)


def test_rayleigh_optical_depth_of_s2a():
    published = {"B01": 0.2363, "B02": 0.1557, "B04": 0.0452, "B11": 0.0013}
    for band in BANDS:
        if band.id in published:
            depth = rayleigh_table()[0, band.index]
            assert depth == pytest.approx(published[band.id], abs=5e-5)


def test_rayleigh_agrees_with_bodhaine():
    """Bodhaine et al. 1999, eq. 30, an independent formula, below 1 um."""
    for band in BANDS[:10]:
        um = responses()["S2A", band.id].wavelength / 1000
        top = 1.0455996 - 341.29061 * um**-2 - 0.90230850 * um**2
        bottom = 1 + 0.0027059889 * um**-2 - 85.968563 * um**2
        bodhaine = responses()["S2A", band.id].mean(0.0021520 * top / bottom)
        assert rayleigh_table()[0, band.index] == pytest.approx(bodhaine, rel=4e-3)


def test_ozone_absorbs_in_the_chappuis_band_only():
    ozone = ozone_table()
    assert ozone[0, 2] == pytest.approx(0.0986, abs=2e-4)
    np.testing.assert_allclose(ozone[:, 7:], 0, atol=1e-6)


def test_interval_weights_cover_the_band_once():
    response = responses()["S2B", "B12"]
    edges = np.arange(4000.0, 5200.0, 10.0)
    assert response.interval_weights(edges, edges + 10).sum() == pytest.approx(1)


def test_node_weights_reproduce_linear_functions():
    response = responses()["S2C", "B08"]
    nodes = np.linspace(response.wavelength[0], response.wavelength[-1], 3)
    weights = response.node_weights(nodes)
    assert weights.sum() == pytest.approx(1)
    assert weights @ nodes == pytest.approx(response.mean(response.wavelength))
