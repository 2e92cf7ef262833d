"""A full-size L1C product (10980 x 10980 pixels at 10 m) with the texture of a real one.

Decoding speed depends on how much there is to decode: fractal ground and clouds plus sensor noise
give about 0.8 GB, the size of real products.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spark_cot.msi import BANDS
from spark_cot.safe import ProductSpec, write_product

TEXTURE_SIDE = 2048
SIDE_M = 109_800

#: TOA reflectance of vegetated ground and of opaque cloud, B01 .. B12, and noise in DN.
GROUND = (0.13, 0.11, 0.10, 0.09, 0.13, 0.22, 0.26, 0.27, 0.29, 0.12, 0.002, 0.2, 0.11)
CLOUD = (0.72, 0.70, 0.68, 0.68, 0.69, 0.70, 0.70, 0.68, 0.69, 0.45, 0.05, 0.45, 0.32)
NOISE_DN = 12.0


def fractal(seed: int, slope: float) -> NDArray[np.float32]:
    """Periodic Gaussian texture of power spectrum k^-slope: (side, side), mean 0, deviation 1."""
    rng = np.random.default_rng(seed)
    k = np.hypot(
        *np.meshgrid(np.fft.fftfreq(TEXTURE_SIDE), np.fft.rfftfreq(TEXTURE_SIDE), indexing="ij")
    )
    k[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))) * k ** (-slope / 2)
    field = np.fft.irfft2(spectrum)
    return (field / field.std()).astype(np.float32)


def band_image(side_m: int, band_id: str) -> NDArray[np.uint16]:
    """Digital numbers of a band at native resolution, 0 outside a slanted swath edge."""
    index = [band.id for band in BANDS].index(band_id)
    side = side_m // BANDS[index].resolution_m
    ground = np.clip(fractal(1, 2.2), -2.5, 2.5)  # keeps reflectance above 0, as ground is
    cloud = np.clip(fractal(2, 3.0) - 0.3, 0, 1.2) / 1.2
    rho = GROUND[index] * (1 + 0.35 * ground) * (1 - cloud) + CLOUD[index] * cloud
    rng = np.random.default_rng(index)
    tile = 10_000 * rho + NOISE_DN * rng.standard_normal(rho.shape, np.float32)
    repeat = -(-side // TEXTURE_SIDE)
    image = np.tile(np.clip(tile + 1000, 1, 65535).astype(np.uint16), (repeat, repeat))
    image = np.ascontiguousarray(image[:side, :side])
    edge = (side * (0.93 + 0.05 * np.arange(side) / side)).astype(int)
    for row, last in enumerate(edge):
        image[row, last:] = 0
    return image


def write_full_scene(folder: Path, side_m: int = SIDE_M, threads: int = 2) -> Path:
    """The product's path; written if it is not there yet."""
    spec = ProductSpec()
    target = folder / f"{spec.name}.SAFE"
    if not target.exists():
        write_product(folder, partial(band_image, side_m), spec, threads=threads)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side-m", type=int, default=SIDE_M)
    arguments = parser.parse_args()
    print(write_full_scene(arguments.folder, arguments.side_m))
