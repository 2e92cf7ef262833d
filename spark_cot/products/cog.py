"""Cloud-optimized GeoTIFFs, written band by band in bounded memory, byte for byte repeatable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from zlib import crc32

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from spark_cot.errors import TableError, WorkspaceError
from spark_cot.grid import Grid, Window
from spark_cot.models.classes import ClassStyle
from spark_cot.products.files import staging

BLOCK_SIZE: Final = 512

#: GDAL's block cache would otherwise take 5 % of the machine's memory in every worker.
_GDAL_ENV: Final = {"GDAL_CACHEMAX": 128 << 20, "GDAL_NUM_THREADS": "1", "GDAL_PAM_ENABLED": "NO"}


@dataclass(frozen=True, slots=True)
class Raster:
    """What a COG holds; its metadata and its STAC asset follow from here.

    Attributes
    ----------
    name : str
        File stem and asset key.
    title, description : str
        For people: asset title, band description.
    dtype : str
        NumPy name of the pixel type.
    nodata : float
    overviews : {"AVERAGE", "MODE"}
        Resampling of the overviews; nodata takes no part in averages.
    bands : tuple[str, ...]
        One description per band.
    unit : str
        UCUM-like; ``1`` for pure numbers.
    scale : float
        Physical value = pixel x scale.
    classes : Mapping[int, ClassStyle], optional
        What the pixel values mean, if they are codes.
    predictor : bool
        Difference neighbours before compression: helps measured values, not class codes.
    """

    name: str
    title: str
    description: str
    dtype: str
    nodata: float
    overviews: Literal["AVERAGE", "MODE"]
    bands: tuple[str, ...]
    unit: str = "1"
    scale: float = 1.0
    classes: Mapping[int, ClassStyle] = field(default_factory=dict)
    predictor: bool = True

    @property
    def filename(self) -> str:
        """File name of the COG."""
        return f"{self.name}.tif"

    @property
    def colours(self) -> dict[int, tuple[int, int, int, int]]:
        """Colour table of the classes, RGBA 0 to 255 by pixel value; nodata is transparent."""
        return {
            code: (*_rgb(style.color_hint), 0 if code == self.nodata else 255)
            for code, style in self.classes.items()
        }


def write_cog(
    path: Path,
    raster: Raster,
    bands: Iterable[NDArray[Any]],
    grid: Grid,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a COG: 512-pixel blocks, DEFLATE (which every GDAL and QGIS reads), overviews.

    Parameters
    ----------
    path : Path
        Appears when the file is complete; an older one stays until then.
    raster : Raster
        Type, nodata, names, units and classes.
    bands : Iterable[NDArray]
        One array ``(ny, nx)`` of ``raster.dtype`` per band, in order; taken one at a time, so
        that a generator keeps one band in memory. Beside it the writer holds up to 0.3 GB for
        one band and 0.5 GB for 13.
    grid : Grid
    tags : Mapping[str, str], optional
        Further dataset metadata.

    Raises
    ------
    TableError
        If a band's shape or type, or the number of bands, is not what was declared.
    WorkspaceError
        If the file cannot be written.
    """
    with staging(path.parent) as scratch, rasterio.Env(**_GDAL_ENV):
        written = _write_tiled(scratch / "tiled.tif", raster, bands, grid, tags or {})
        rasterio.shutil.copy(
            scratch / "tiled.tif",
            scratch / "cog.tif",
            driver="COG",
            blocksize=BLOCK_SIZE,
            compress="DEFLATE",
            predictor="YES" if raster.predictor else "NO",
            overview_resampling=raster.overviews,
            bigtiff="IF_SAFER",
        )
        if _read_back(scratch / "cog.tif", grid) != written:
            raise WorkspaceError(
                "pixels read back differ from those written",
                str(path),
                "Check that its disk works and is not full, then run again",
            )
        (scratch / "cog.tif").replace(path)


def _write_tiled(
    path: Path,
    raster: Raster,
    bands: Iterable[NDArray[Any]],
    grid: Grid,
    tags: Mapping[str, str],
) -> list[int]:
    """Tiled GeoTIFF for the COG driver to copy, which wants all bands at once; their checksums."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.shape[1],
        height=grid.shape[0],
        count=len(raster.bands),
        dtype=raster.dtype,
        crs=grid.crs,
        transform=grid.transform,
        nodata=raster.nodata,
        tiled=True,
        blockxsize=BLOCK_SIZE,
        blockysize=BLOCK_SIZE,
        interleave="band",
        compress="ZSTD",
        zstd_level=1,
        bigtiff="IF_SAFER",
    ) as dataset:
        _describe(dataset, raster, tags)
        checksums: list[int] = []
        for band in bands:
            number = len(checksums) + 1
            _check_band(band, raster, grid, number)
            dataset.write(band, number)
            checksums.append(_checksum(band[window.slices] for window in _blocks(grid.shape)))
            del band  # before the next one is made
    if len(checksums) != len(raster.bands):
        raise TableError(
            f"{len(checksums)} bands given, expected {len(raster.bands)}", raster.filename
        )
    return checksums


def _read_back(path: Path, grid: Grid) -> list[int]:
    """Checksums of the bands as stored; overviews are decoded too.

    GDAL reports no error of the last writes to a full disk, and GeoTIFF reads holes as nodata:
    only reading tells.
    """
    with rasterio.open(path) as dataset:
        levels = len(dataset.overviews(1))
        checksums = [0] * dataset.count
        for window in _blocks(grid.shape):
            block = dataset.read(window=window.slices)
            checksums = [crc32(b.tobytes(), c) for b, c in zip(block, checksums, strict=True)]
    for level in range(levels):
        with rasterio.open(path, overview_level=level) as overview:
            for window in _blocks(overview.shape):
                overview.read(window=window.slices)
    return checksums


def _checksum(blocks: Iterable[NDArray[Any]]) -> int:
    checksum = 0
    for block in blocks:
        checksum = crc32(block.tobytes(), checksum)
    return checksum


def _blocks(shape: tuple[int, int]) -> list[Window]:
    return Window(0, 0, *shape).tiles(BLOCK_SIZE, BLOCK_SIZE)


def _describe(dataset: DatasetWriter, raster: Raster, tags: Mapping[str, str]) -> None:
    dataset.update_tags(TITLE=raster.title, DESCRIPTION=raster.description, **tags)
    dataset.descriptions = raster.bands
    dataset.units = [raster.unit] * len(raster.bands)
    dataset.scales = [raster.scale] * len(raster.bands)
    if raster.classes:
        dataset.write_colormap(1, raster.colours)


def _rgb(hexadecimal: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(hexadecimal)
    return red, green, blue


def _check_band(band: NDArray[Any], raster: Raster, grid: Grid, number: int) -> None:
    if number > len(raster.bands):
        raise TableError(f"more than {len(raster.bands)} bands given", raster.filename)
    if band.shape != grid.shape or band.dtype != np.dtype(raster.dtype):
        raise TableError(
            f"band {number} is {band.dtype} of shape {band.shape}, "
            f"expected {raster.dtype} of shape {grid.shape}",
            raster.filename,
        )
