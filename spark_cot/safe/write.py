"""Write SAFE products from arrays: demo archives, tests, and simulated scenes at full size."""

import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from spark_cot.errors import ProductError
from spark_cot.msi import BANDS, Band
from spark_cot.safe.reflectance import Uint16s
from spark_cot.safe.spec import ProductSpec, granule_xml, product_xml

Bands = Mapping[str, NDArray[Any]] | Callable[[str], NDArray[Any]]

#: Sides of the JPEG 2000 tiles of real products, pixels, by native resolution.
TILE_SIDES: Final = {10: 1024, 20: 640, 60: 192}


def write_product(
    folder: str | Path,
    bands: Bands,
    spec: ProductSpec | None = None,
    *,
    zipped: bool = False,
    threads: int = 1,
) -> Path:
    """Write an L1C product in the compact convention: 13 lossless JP2 files and both metadata.

    ``write_product(folder, flat_bands(0.2))`` makes a small one. The product appears under its
    name only when it is complete. One band is in memory at a time if ``bands`` is a function.

    Parameters
    ----------
    folder : str or Path
        Made if needed; the product becomes ``{folder}/{spec.name}.SAFE`` or ``.zip``.
    bands : mapping or function
        From band id to its image at native resolution, (ny, nx): integers are digital numbers
        (0 is nodata); floats are TOA reflectance (NaN is nodata), clipped to what digital numbers
        1 .. 65535 can hold. All bands cover the same extent.
    spec : ProductSpec, optional
    zipped : bool
        Write a zip file, images stored as they are, instead of a folder.
    threads : int
        Encoding threads.

    Raises
    ------
    ProductError
        If the product exists, a band is missing, or bands differ in extent.
    """
    spec = spec or ProductSpec()
    target = Path(folder, spec.name + (".zip" if zipped else ".SAFE"))
    if target.exists():
        raise ProductError("product exists already", str(target), "Remove it, or change its spec")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as scratch:
        safe = Path(scratch, f"{spec.name}.SAFE")
        _write_folder(safe, bands, spec, threads)
        if zipped:
            safe = _zip(safe)
        safe.rename(target)
    return target


def flat_bands(reflectance: float | Mapping[str, float], extent: int = 960) -> dict[str, Any]:
    """Bands of constant TOA reflectance, one for all or by band id.

    Parameters
    ----------
    reflectance : float or mapping
    extent : int
        Side of the square scene, metres, a multiple of 60.
    """
    return {
        band.id: np.full(
            native_shape(band.id, extent),
            reflectance[band.id] if isinstance(reflectance, Mapping) else reflectance,
            dtype=np.float32,
        )
        for band in BANDS
    }


def native_shape(band_id: str, extent: int) -> tuple[int, int]:
    """Shape of a band's image for a square scene with sides of ``extent`` metres."""
    resolution = next(band.resolution_m for band in BANDS if band.id == band_id)
    return extent // resolution, extent // resolution


def digital_numbers(image: NDArray[Any], offset: float, quantification: float) -> Uint16s:
    """Digital numbers uint16 of an image: integers as they are, floats as TOA reflectance."""
    if np.issubdtype(image.dtype, np.integer):
        low, high = int(image.min()), int(image.max())
        if low < 0 or high > 65535:
            raise ProductError(f"digital numbers from {low} to {high}, expected 0 to 65535")
        return image.astype(np.uint16)
    dn = np.rint(image * np.float32(quantification) - np.float32(offset)).clip(1, 65535)
    stored: Uint16s = np.where(np.isnan(dn), 0, dn).astype(np.uint16)
    return stored


def _write_folder(safe: Path, bands: Bands, spec: ProductSpec, threads: int) -> None:
    Path(safe, spec.granule, "IMG_DATA").mkdir(parents=True)
    extents = {}
    for band in BANDS:
        image = _image_of(bands, band.id)
        extents[band.id] = tuple(side * band.resolution_m for side in image.shape)
        dn = digital_numbers(image, spec.stated_offset or 0.0, spec.quantification)
        _write_image(Path(safe, f"{spec.image(band.id)}.jp2"), dn, band, spec, threads)
    if len(set(extents.values())) > 1:
        raise ProductError(
            f"bands cover different extents in metres: {extents}",
            cure="Give each band at its native resolution over the same ground",
        )
    height, width = extents[BANDS[0].id]
    Path(safe, spec.granule, "MTD_TL.xml").write_bytes(granule_xml(spec, (height, width)))
    Path(safe, "MTD_MSIL1C.xml").write_bytes(product_xml(spec))


def _image_of(bands: Bands, band_id: str) -> NDArray[Any]:
    if callable(bands):
        return bands(band_id)
    if band_id not in bands:
        raise ProductError(f"no image of {band_id}, only of {', '.join(bands)}")
    return bands[band_id]


def _write_image(path: Path, dn: Uint16s, band: Band, spec: ProductSpec, threads: int) -> None:
    pixel, side = band.resolution_m, TILE_SIDES[band.resolution_m]
    profile = {
        "driver": "JP2OpenJPEG",
        "width": dn.shape[1],
        "height": dn.shape[0],
        "count": 1,
        "dtype": "uint16",
        "crs": spec.crs,
        "transform": Affine(pixel, 0, spec.left, 0, -pixel, spec.top),
        "quality": 100,
        "reversible": "YES",
        "ycbcr420": "NO",
        "blockxsize": side,
        "blockysize": side,
    }
    with rasterio.Env(GDAL_NUM_THREADS=threads), rasterio.open(path, "w", **profile) as image:
        image.write(dn, 1)


def _zip(safe: Path) -> Path:
    path = safe.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(safe.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(safe.parent))
    return path
