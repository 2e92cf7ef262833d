import numpy as np
import pytest

from spark_cot.simulate.gas.kdistribution import TERMS, inverse_gaussian_cdf, k_table, term_weights
from spark_cot.simulate.gas.transmittance import LEVELS


@pytest.mark.parametrize("count", TERMS.values())
def test_term_weights_are_a_quadrature(count):
    at, weight = term_weights(count)
    assert weight.sum() == pytest.approx(1)
    assert weight @ at == pytest.approx(0.5)


def test_cumulative_distribution_reproduces_the_laplace_transform():
    """Malkmus: the mean of exp(-k u) is exp((L/m)(1 - sqrt(1 + 2 m^2 u / L)))."""
    mean, shape, u = 0.8, 0.3, 2.0
    k = np.geomspace(1e-8, 1e5, 200_001)
    cdf = inverse_gaussian_cdf(k, np.array(mean), np.array(shape))
    middle = np.exp(-u * np.sqrt(k[1:] * k[:-1]))
    expected = np.exp(shape / mean * (1 - np.sqrt(1 + 2 * mean**2 * u / shape)))
    assert np.diff(cdf) @ middle == pytest.approx(expected, rel=1e-4)


def test_narrow_distributions_do_not_overflow():
    k = np.geomspace(1e-6, 1e7, 50)
    cdf = inverse_gaussian_cdf(k, np.array(1.0), np.array(1e6))
    assert np.isfinite(cdf).all()
    assert cdf[0] == 0
    assert cdf[-1] == pytest.approx(1)


@pytest.mark.parametrize("band", TERMS)
def test_terms_are_ordered_and_grow_downward(band):
    table = k_table(band)
    assert table.shape[2:] == (LEVELS.size, TERMS[band])
    assert np.all(np.diff(table, axis=-1) >= 0)
    assert np.all(np.diff(table, axis=2) <= 0)
