"""Band images: opening JPEG 2000 files so that damage is an error, and what their headers say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.session import Session
from rasterio.windows import Window as PixelWindow

from spark_cot.errors import ProductError, StoreError
from spark_cot.grid import Window
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.safe.files import content_of
from spark_cot.safe.reflectance import Uint16s
from spark_cot.safe.scene import Scene
from spark_cot.storage import gdal_keys, gdal_options

#: One thread is a matter of correctness: with more, GDAL 3.10 decodes tiles in a pool and drops
#: their errors, so that a truncated file reads as plausible garbage. Spark runs one task a core
#: anyway. The cache needs to hold one row of tiles (11 of 1024 x 1024 px in a full scene).
GDAL_OPTIONS: Final = {
    "GDAL_NUM_THREADS": 1,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
    "GDAL_CACHEMAX": 64 * 2**20,
}

#: Some producers write signed samples.
_SAMPLE_TYPES: Final = ("uint16", "int16")


@dataclass(frozen=True, slots=True)
class BandImage:
    """Header of one band's image.

    Attributes
    ----------
    band, path : str
        Band id, and the path under which GDAL opens the image.
    crs : str
    left, top : float
        Outer corner of pixel (0, 0), metres.
    pixel : int
        Pixel size, metres, of this very file: crops do not always keep the band's native one.
    shape, tile : tuple[int, int]
        ``(ny, nx)`` of the image and of its JPEG 2000 tiles.
    levels : int
        Resolution levels below the full one.
    """

    band: str
    path: str
    crs: str
    left: float
    top: float
    pixel: int
    shape: tuple[int, int]
    tile: tuple[int, int]
    levels: int

    def read(self, window: Window, level: int = 0) -> Uint16s:
        """Digital numbers of a window, counted in pixels of ``level``; uint16 (ny, nx).

        GDAL maps negative samples to 0, which is nodata.
        """
        options = {"OVERVIEW_LEVEL": level - 1} if level else {}
        with opened(self.path, self.band, **options) as image:
            part = PixelWindow(window.col, window.row, window.width, window.height)
            dn: Uint16s = image.read(1, window=part, out_dtype=np.uint16)
            return dn


class _Keys(Session):  # type: ignore[misc]
    """Credentials as they are; rasterio's own sessions ask boto3."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.credentials = dict(keys)

    def get_credential_options(self) -> dict[str, str]:
        """For GDAL."""
        return self.credentials


@contextmanager
def opened(path: str, band: str, **options: Any) -> Iterator[Any]:
    """Open one band's image; failures inside become errors that name file and band.

    Raises
    ------
    ProductError
        The image is damaged, or its file cannot be read; why stands in the chain of causes.
    StoreError
        The image is whole, and the way to it was not.
    """
    try:
        with _environment(path), rasterio.open(path, driver="JP2OpenJPEG", **options) as image:
            yield image
    except RasterioError as error:
        why = error.__cause__ or error
        if _is_whole(path, band):
            what = f"{band} could not be read ({why}), though it is whole"
            raise StoreError(what, path, "Check disk or network, then run again") from error
        raise ProductError(
            f"{band} is no whole JPEG 2000 image ({why})", path, "Download the product again"
        ) from error


def _environment(path: str) -> rasterio.Env:
    keys = gdal_keys(path)
    session = _Keys(keys) if keys else None
    return rasterio.Env(session=session, **GDAL_OPTIONS, **gdal_options(path))


def _is_whole(path: str, band: str) -> bool:
    """Whether an image decodes once all its bytes are here, read by another way than GDAL's.

    Tells a disk or network that fails from an image that is damaged: GDAL does not.
    """
    try:
        content = content_of(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise ProductError(f"{band} cannot be read: {why}", path) from error
    if not content:
        return False
    try:
        with (
            rasterio.Env(**GDAL_OPTIONS),
            MemoryFile(content) as memory,
            memory.open(driver="JP2OpenJPEG") as image,
        ):
            for _, window in image.block_windows(1):
                image.read(1, window=window)
    except RasterioError:
        return False
    return True


def band_images(scene: Scene) -> tuple[BandImage, ...]:
    """Headers of the 13 images of a scene, B01 .. B12.

    Raises
    ------
    ProductError
        If an image cannot be opened, is not one band of 16-bit samples on north-up square pixels,
        or the images do not share their corner and reference system, or have the pixel sizes of
        other bands.
    """
    images = tuple(_header(path, band) for band, path in zip(BAND_IDS, scene.images, strict=True))
    first = images[0]
    for image in images:
        found, expected = _place(image), _place(first)
        if found != expected:
            raise ProductError(
                f"{image.band} begins at {found}, {first.band} at {expected}",
                scene.source,
                "All bands must share their upper left corner: crop them along 60 m pixels",
            )
    _check_pixel_sizes(images, scene.source)
    return images


def _check_pixel_sizes(images: tuple[BandImage, ...], where: str) -> None:
    """All native or all the same: anything else is the image of another band."""
    native = [band.resolution_m for band in BANDS]
    found = [image.pixel for image in images]
    if len(set(found)) > 1 and found != native:
        image, expected = next(
            pair for pair in zip(images, native, strict=True) if pair[0].pixel != pair[1]
        )
        raise ProductError(
            f"{image.band} has pixels of {image.pixel} m, expected {expected} m",
            where,
            "Give all bands their native pixels or all the same",
        )


def _header(path: str, band: str) -> BandImage:
    with opened(path, band) as image:
        transform, epsg = image.transform, image.crs and image.crs.to_epsg()
        square = transform.a == -transform.e and transform.b == transform.d == 0
        sound = image.count == 1 and image.dtypes[0] in _SAMPLE_TYPES
        if not sound or not epsg or not square or transform.a != int(transform.a) > 0:
            raise ProductError(
                f"{band} has {image.count} bands of {image.dtypes[0]}, reference system "
                f"{image.crs} and pixels of {transform.a:g} x {transform.e:g}; expected one band "
                "of uint16, a UTM zone and north-up square pixels of whole metres",
                path,
            )
        return BandImage(
            band=band,
            path=path,
            crs=f"EPSG:{epsg}",
            left=transform.c,
            top=transform.f,
            pixel=int(transform.a),
            shape=image.shape,
            tile=image.block_shapes[0],
            levels=len(image.overviews(1)),
        )


def _place(image: BandImage) -> str:
    return f"({image.left:.0f}, {image.top:.0f}) in {image.crs}"
