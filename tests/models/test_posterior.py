"""A discretised distribution against sums over many COTs."""

import json

import numpy as np
import pytest

from spark_cot.errors import ModelError
from spark_cot.models.posterior import Posterior, even_posterior
from spark_cot.models.target import Target, target_of

POSTERIOR = Posterior(4.0, (0.0, 0.1, 0.75, 4.0, 60.0))


def within(bin_: int, count: int = 200_001) -> np.ndarray:
    """COTs of a bin, even in log1p(4 COT)."""
    low, high = np.log1p(4 * np.array(POSTERIOR.knots[bin_ - 1 : bin_ + 1]))
    return np.expm1(low + (high - low) * (np.arange(count) + 0.5) / count) / 4


@pytest.mark.parametrize("bin_", [1, 2, 3, 4])
def test_moments_and_shares_of_a_bin(bin_: int) -> None:
    cots = within(bin_)
    np.testing.assert_allclose(
        POSTERIOR.moments[:, bin_], [cots.mean(), np.square(cots).mean()], rtol=1e-6
    )
    for cot in (0.05, 0.1, 0.4, 1.25, 10.0, 70.0):
        found = POSTERIOR.share_from(cot)[bin_]
        assert found == pytest.approx((cots >= cot).mean(), abs=1e-5)


def test_the_first_bin_is_cot_0_and_nothing_else() -> None:
    assert not POSTERIOR.moments[:, 0].any()
    assert POSTERIOR.share_from(1e-6)[0] == 0


def test_bins_begin_at_their_lower_knots() -> None:
    cot = np.float32([0, 1e-6, 0.0999, 0.75, 3.999, 4.0, 59, 60, 1e4])
    assert POSTERIOR.bins(cot).tolist() == [0, 1, 1, 3, 3, 4, 4, 4, 4]


def test_even_bins() -> None:
    found = even_posterior(4.0, 32, 64.0)
    assert (len(found.knots), found.knots[0], found.knots[-1]) == (32, 0, 64)
    np.testing.assert_allclose(np.diff(found.edges), found.edges[-1] / 31, rtol=1e-2)


@pytest.mark.parametrize("target", [POSTERIOR, Target("linear", 50.0), Target("log1p", 4.0)])
def test_a_target_is_what_its_document_says(target: Target | Posterior) -> None:
    assert target_of(json.loads(json.dumps(target.document))) == target


@pytest.mark.parametrize(
    "knots", [(0, 1), (0.1, 1, 2), (0, 2, 1), (0, 1, 1), (0, 1, np.inf), (0, np.nan, 1)]
)
def test_knots_rise_from_0(knots: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="knots must rise from 0, three or more"):
        Posterior(4.0, knots)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_the_scale_is_above_zero(scale: float) -> None:
    with pytest.raises(ModelError, match="scale must be above zero"):
        Posterior(scale, (0, 1, 2))
