"""Statistics of each kind of noise against the formula of its docstring."""

import math

import numpy as np
import pytest
import torch

from spark_cot.learn.noise import Noise, noisy_features

BANDS_IN = ("B01", "B02", "B09", "B10", "B11")
COARSE = [0, 2, 3]
FINE = [1, 4]
ROWS = 40_000
MEANS = torch.tensor([0.3, 0.4, 0.1, 0.01, 0.2])


def seen(noise: Noise, rho: torch.Tensor, seed: int = 1) -> torch.Tensor:
    return noise.apply(rho, BANDS_IN, MEANS, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def flat() -> torch.Tensor:
    """Every row the same spectrum, ``(rows, bands)``."""
    return torch.tensor([0.1, 0.2, 0.3, 0.4, 0.8]).expand(ROWS, -1)


@pytest.fixture(scope="module")
def varied() -> torch.Tensor:
    """Rows that differ, for two members, ``(members, rows, bands)``."""
    generator = torch.Generator().manual_seed(9)
    return torch.rand((ROWS, 5), generator=generator).expand(2, -1, -1)


def test_no_noise_changes_nothing(varied: torch.Tensor) -> None:
    assert torch.equal(seen(Noise(), varied), varied)


def test_additive_noise_is_a_share_of_the_means(flat: torch.Tensor) -> None:
    found = seen(Noise(additive=0.03), flat) - flat
    torch.testing.assert_close(found.std(dim=0), 0.03 * MEANS, rtol=0.02, atol=0)
    assert (found.mean(dim=0).abs() < 5 * 0.03 * MEANS / math.sqrt(ROWS)).all()
    assert torch.corrcoef(found.T).fill_diagonal_(0).abs().max() < 0.03  # per band


def test_level_noise_has_a_level_per_pixel(flat: torch.Tensor) -> None:
    deviates = (seen(Noise(level=0.06), flat) - flat) / MEANS
    # A uniform level u has E(u^2) = level^2 / 3 and E(u^4) = level^4 / 5.
    torch.testing.assert_close(
        deviates.square().mean(dim=0), torch.full((5,), 0.06**2 / 3), rtol=0.05, atol=0
    )
    product = (deviates[:, 1] * deviates[:, 4]).square().mean()
    assert float(product) == pytest.approx(0.06**4 / 5, rel=0.1)  # one level for all bands


def test_gain_noise_is_a_share_of_the_reflectance(flat: torch.Tensor) -> None:
    found = seen(Noise(gain=0.02), flat) - flat
    torch.testing.assert_close(found.std(dim=0), 0.02 * flat[0], rtol=0.02, atol=0)


def test_detector_noise_is_the_specified_one_at_the_reference_radiance() -> None:
    # User Handbook: B02 has SNR 154 at 128 W m-2 sr-1 um-1, B10 50 at 6.
    reference = {"B02": (154, math.pi * 128 / 1959.66), "B10": (50, math.pi * 6 / 367.15)}
    for band, (snr, rho) in reference.items():
        pixels = torch.full((ROWS, 1), rho)
        generator = torch.Generator().manual_seed(1)
        found = Noise(detector=1.0).apply(pixels, [band], MEANS[:1], generator)
        assert float((found - pixels).std()) == pytest.approx(rho / snr, rel=0.02)
        brighter = Noise(detector=2.0).apply(4 * pixels, [band], MEANS[:1], generator)
        assert float((brighter - 4 * pixels).std()) == pytest.approx(4 * rho / snr, rel=0.02)


def test_negative_reflectance_has_no_photon_noise() -> None:
    dark = torch.full((10, 5), -0.001)
    assert torch.equal(seen(Noise(detector=1.0), dark), dark)


def test_the_floor_is_of_b10_alone(flat: torch.Tensor) -> None:
    found = seen(Noise(floor=0.0005), flat) - flat
    assert float(found[:, 3].std()) == pytest.approx(0.0005, rel=0.02)
    assert not found[:, [0, 1, 2, 4]].any()


def test_a_floor_without_b10_changes_nothing() -> None:
    rho = torch.full((10, 1), 0.2)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(Noise(floor=0.1).apply(rho, ["B02"], MEANS[:1], generator), rho)


def test_variances_add(flat: torch.Tensor) -> None:
    found = seen(Noise(additive=0.03, gain=0.04), flat) - flat
    expected = torch.sqrt((0.03 * MEANS) ** 2 + (0.04 * flat[0]) ** 2)
    torch.testing.assert_close(found.std(dim=0), expected, rtol=0.02, atol=0)


def test_members_have_noise_of_their_own_and_the_seed_decides_it(varied: torch.Tensor) -> None:
    noise = Noise(level=0.04, gain=0.02, detector=1.0, floor=0.0005)
    found = seen(noise, varied)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found, seen(noise, varied))
    assert not torch.equal(found, seen(noise, varied, seed=2))


def test_features_are_noisy_in_their_bands_alone_and_the_same_at_every_call() -> None:
    rho = np.tile(np.float32([0.2, 0.4, 45.0]), (ROWS, 1))
    found = noisy_features(Noise(gain=0.05), rho, ("B02", "B03"), (0.3, 0.3))
    np.testing.assert_allclose(found[:, :2].std(axis=0), [0.01, 0.02], rtol=0.03)
    np.testing.assert_array_equal(found[:, 2], rho[:, 2])
    again = noisy_features(Noise(gain=0.05), rho, ("B02", "B03"), (0.3, 0.3))
    np.testing.assert_array_equal(again, found)
