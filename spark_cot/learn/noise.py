"""Noise for training: the simulator is free of it, the sensor and the world are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from spark_cot.models.architecture import Float32
from spark_cot.msi import BANDS

#: Signal-to-noise ratio of each band at its reference radiance (W m-2 sr-1 um-1), and that
#: radiance: requirements of the Sentinel-2 User Handbook (ESA 2015), table of spectral bands.
_SNR: Final = (129, 154, 168, 142, 117, 89, 105, 174, 72, 114, 50, 100, 100)
_REFERENCE_RADIANCE: Final = (129, 128, 128, 108, 74.5, 68, 67, 103, 52.5, 9, 6, 4, 1.5)
#: Equivalent extraterrestrial solar irradiance of S2A (W m-2 um-1), from its product metadata.
_SOLAR_IRRADIANCE: Final = (
    1884.69, 1959.66, 1823.24, 1512.06, 1424.64, 1287.61, 1162.08, 1041.63, 955.32, 812.92,
    367.15, 245.59, 85.25,
)  # fmt: skip
#: Reflectance that the reference radiance means with the sun in the zenith: pi L / E.
_REFERENCE_REFLECTANCE: Final = tuple(
    torch.pi * radiance / irradiance
    for radiance, irradiance in zip(_REFERENCE_RADIANCE, _SOLAR_IRRADIANCE, strict=True)
)


_BANDS: Final = {band.id: band for band in BANDS}


@dataclass(frozen=True, slots=True)
class Noise:
    """What is done to a reflectance rho of a band with training mean m; N is a normal deviate.

    Attributes
    ----------
    additive : float
        rho + additive m N per band: the published recipe (Pirinen et al. 2024, section 3) with
        0.03.
    level : float
        The same with a level per pixel, uniform from 0 to ``level``.
    gain : float
        rho (1 + gain N) per band: calibration, spectral response, what the simulator does not
        know of surfaces.
    detector : float
        Times the noise of the instrument: photon noise sqrt(rho r) / SNR, where r is the
        reflectance at which SNR is specified.
    floor : float
        Standard deviation of what stray light and the dark signal add to B10, whose signal over
        clear sky is all but nothing; reflectance.
    """

    additive: float = 0.0
    level: float = 0.0
    gain: float = 0.0
    detector: float = 0.0
    floor: float = 0.0

    def apply(
        self,
        reflectance: torch.Tensor,
        bands: Sequence[str],
        means: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Reflectance as an imperfect instrument would see it.

        Parameters
        ----------
        reflectance : torch.Tensor
            ``(..., rows, bands)`` TOA reflectance.
        bands : Sequence[str]
            Their ids.
        means : torch.Tensor
            ``(bands,)`` mean reflectance of the training table.
        generator : torch.Generator
            On the device of ``reflectance``.

        Returns
        -------
        torch.Tensor
            Of the same shape.
        """
        rho = reflectance
        variance = (self.gain * rho) ** 2 + (self.additive * means) ** 2
        if self.level:
            level = self.level * _uniform(rho[..., :1], generator)
            variance = variance + (level * means) ** 2
        if self.detector:
            shot = torch.tensor([_shot(band) for band in bands], device=rho.device)
            variance = variance + self.detector**2 * shot * rho.clamp(min=0)
        if self.floor and "B10" in bands:
            floor = torch.tensor([self.floor * (band == "B10") for band in bands])
            variance = variance + floor.to(rho.device) ** 2
        return rho + variance.sqrt() * _normal(rho, generator)


def noisy_features(
    noise: Noise, features: Float32, bands: Sequence[str], means: Sequence[float]
) -> Float32:
    """Features with noise on their reflectances, the same at every call.

    Parameters
    ----------
    noise : Noise
    features : numpy.ndarray
        ``(rows, inputs)`` float32, TOA reflectances and then angles (degrees).
    bands : Sequence[str]
        Ids of the leading features.
    means : Sequence[float]
        Mean reflectance of each band in the training table.
    """
    rows = torch.from_numpy(features)
    rho, others = rows[:, : len(bands)], rows[:, len(bands) :]
    generator = torch.Generator().manual_seed(0)
    noisy = noise.apply(rho, bands, torch.tensor(means), generator)
    result: Float32 = torch.cat([noisy, others], dim=1).numpy()
    return result


def _shot(band: str) -> float:
    """Variance of photon noise per reflectance: r / SNR^2."""
    index = _BANDS[band].index
    return float(_REFERENCE_REFLECTANCE[index]) / _SNR[index] ** 2


def _normal(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)


def _uniform(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device)
