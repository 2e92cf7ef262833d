"""Fractal fields: clouds and ground with the spatial spectrum of real ones."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from spark_cot.errors import SimulationError

Floats = NDArray[np.float64]

#: Exponent of the power spectrum along a line through a cloud: 5/3 for the liquid water path of
#: stratocumulus (Cahalan et al. 1994, J. Atmos. Sci. 51, 2434-2455) and for the ice water content
#: of cirrus up to some 50 km (Hogan and Kew 2005, Q. J. R. Meteorol. Soc. 131, 2585-2608).
CLOUD_SLOPE: Final = 5 / 3


def fractal_field(
    shape: tuple[int, int],
    rng: np.random.Generator,
    slope: float = CLOUD_SLOPE,
    largest: float = np.inf,
) -> Floats:
    """Isotropic Gaussian field whose power spectrum along any line falls as ``k**-slope``.

    In the plane of wavenumbers the power density then falls as ``k**-(slope + 1)``. The field is
    cut from a periodic one of twice the size, so opposite edges do not fit each other.

    Parameters
    ----------
    shape : tuple[int, int]
        ``(ny, nx)``.
    rng : numpy.random.Generator
        Equal states give equal fields.
    slope : float
        Larger is smoother.
    largest : float
        Wavelength, pixels, beyond which the spectrum is flat: about the distance of separate
        clouds from each other.

    Returns
    -------
    ndarray
        float64 ``(ny, nx)``, mean 0, standard deviation 1.
    """
    ny, nx = shape
    period = 2 * ny, 2 * nx
    wavenumber = np.hypot(np.fft.fftfreq(period[0])[:, None], np.fft.rfftfreq(period[1]))
    density = np.maximum(wavenumber, 1 / min(largest, *period)) ** -(slope + 1)
    white = np.fft.rfft2(rng.standard_normal(period))
    field = np.fft.irfft2(white * np.sqrt(density), s=period)[:ny, :nx]
    return np.asarray((field - field.mean()) / field.std())


def cloud_thickness(field: Floats, cover: float, mean: float, spread: float) -> Floats:
    """Optical thickness of a cloud: lognormal inside, 0 outside, in the pattern of ``field``.

    The highest values of ``field`` are under cloud and keep their order, so a cloud is thinnest at
    its edges. Optical thickness within a cloud is close to lognormal (Cahalan et al. 1994).

    Parameters
    ----------
    field : ndarray
        ``(ny, nx)``, such as `fractal_field`.
    cover : float
        Share of the pixels under cloud, 0 to 1; met to the nearest pixel.
    mean : float
        Mean optical thickness of the pixels under cloud; met exactly.
    spread : float
        Standard deviation of the logarithm of their optical thickness.

    Returns
    -------
    ndarray
        float64 ``(ny, nx)``, >= 0.

    Raises
    ------
    SimulationError
        ``cover`` is no share, or ``mean`` or ``spread`` is negative.
    """
    if not (0 <= cover <= 1 and mean >= 0 and spread >= 0):
        raise SimulationError(
            f"cover is {cover:g}, mean {mean:g} and spread {spread:g}, expected 0 <= cover <= 1, "
            "mean >= 0 and spread >= 0",
            "cloud field",
        )
    thickness = np.zeros(field.size)
    if cloudy := round(cover * field.size):
        highest = np.argsort(field, axis=None, kind="stable")[-cloudy:]
        values = np.exp(spread * ndtri((np.arange(cloudy) + 0.5) / cloudy))
        thickness[highest] = mean * values / values.mean()
    return thickness.reshape(field.shape)
