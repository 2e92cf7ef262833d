"""The product of one scene: COGs, quicklook, and the STAC item that commits them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spark_cot.commit.inventory import FileRecord, record_of, record_of_bytes
from spark_cot.errors import TableError
from spark_cot.models.classes import CloudClass
from spark_cot.models.provenance import Provenance
from spark_cot.msi import BAND_IDS
from spark_cot.products import rasters
from spark_cot.products.cog import Raster, write_cog
from spark_cot.products.files import staging, write_errors
from spark_cot.products.masked import mask_reflectance, seen_through
from spark_cot.products.quicklook import Caption, make_overview, write_quicklook
from spark_cot.products.stac import item_content, scene_item
from spark_cot.products.summary import (
    RasterStatistics,
    class_counts,
    class_cover,
    raster_statistics,
)
from spark_cot.storage import find, publish, read_bytes, write_text
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import ITEM_NAME, QUICKLOOK_NAME, Workspace

#: TOA reflectance x 10000 of a band by its id, shape ``(ny, nx)``, int16; any value at nodata.
Reflectance = Callable[[str], NDArray[np.int16]]

_RASTERS: Final = (rasters.COT, rasters.COT_STD, rasters.CLOUD_CLASS, rasters.MASKED)


@dataclass(frozen=True, slots=True)
class SceneArrays:
    """A scene's part of the COT table on its grid, arrays of shape ``(ny, nx)``.

    Attributes
    ----------
    cot, cot_std : NDArray[np.float32]
        Optical thickness at 550 nm and its spread over the ensemble, NaN nodata.
    cloud_class : NDArray[np.uint8]
        Codes of ``CloudClass``, 0 nodata.
    """

    cot: NDArray[np.float32]
    cot_std: NDArray[np.float32]
    cloud_class: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SceneProduct:
    """A scene product as written.

    Attributes
    ----------
    folder : Path
    counts, cover : dict
        Pixels and percent of the valid pixels by class.
    size : int
        Bytes of the assets.
    files : dict
        Size and SHA-256 of every file by its name, the item's too.
    """

    folder: Path
    counts: dict[CloudClass, int]
    cover: dict[CloudClass, float]
    size: int
    files: dict[str, FileRecord]


def write_scene_product(
    workspace: Workspace,
    record: SceneRecord,
    arrays: SceneArrays,
    reflectance: Reflectance,
    provenance: Provenance,
) -> SceneProduct:
    """Write the product of a scene into its folder of the workspace.

    Files are made aside. Then the old item goes, the files are published and the new item follows
    last: whatever is killed, a folder with an item is whole. Equal input gives equal bytes, so
    where a twin of this task has finished nothing is taken back.

    Memory of the whole process, measured on a full scene: 0.7 GB at 20 m (0.3 GB are the
    caller's arrays) and 1.7 GB at 10 m (1.1 GB); with masked reflectance 0.9 and 2.3 GB.

    Parameters
    ----------
    workspace : Workspace
    record : SceneRecord
    arrays : SceneArrays
    reflectance : Callable[[str], NDArray[np.int16]]
        Called for B04, B03, B02 and, with ``provenance.mask_above``, for all bands in order.
    provenance : Provenance

    Raises
    ------
    TableError
        If the arrays do not fit the grid or each other, or no pixel is valid.
    WorkspaceError
        If a file cannot be written.
    """
    _check(arrays, record)
    folder = workspace.product(record.tile, record.date, record.scene_id)
    counts = class_counts(arrays.cloud_class)
    cover = class_cover(counts)
    with staging(workspace.parts / "products") as made:
        values = _write_rasters(made, record, arrays, reflectance, provenance)
        overview = make_overview(reflectance, arrays.cot, arrays.cloud_class, record.resolution)
        caption = _caption(record, provenance, cover)
        write_quicklook(made / QUICKLOOK_NAME, overview, caption)
        files = {path.name: record_of(path) for path in made.iterdir()}
        size = sum(file["bytes"] for file in files.values())
        item = scene_item(record, files, counts, values, provenance)
        content = item_content(item, folder, workspace.root / "products")
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        _commit(made, folder, text)
    files[ITEM_NAME] = record_of_bytes(text.encode())
    return SceneProduct(folder, counts, cover, size, files)


def _check(arrays: SceneArrays, record: SceneRecord) -> None:
    expected = {"cot": np.float32, "cot_std": np.float32, "cloud_class": np.uint8}
    for name, dtype in expected.items():
        found: NDArray[np.generic] = getattr(arrays, name)
        if found.shape != record.grid.shape or found.dtype != dtype:
            raise TableError(
                f"{name} is {found.dtype} of shape {found.shape}, expected "
                f"{np.dtype(dtype)} of shape {record.grid.shape}",
                record.scene_id,
            )
    nodata = arrays.cloud_class == CloudClass.NODATA
    if not np.array_equal(nodata, np.isnan(arrays.cot)):
        raise TableError(
            f"{np.count_nonzero(nodata)} pixels have class nodata, "
            f"{np.count_nonzero(np.isnan(arrays.cot))} no optical thickness, expected the same",
            record.scene_id,
            "Run `spark-cot apply` on the scene again",
        )


def _write_rasters(
    folder: Path,
    record: SceneRecord,
    arrays: SceneArrays,
    reflectance: Reflectance,
    provenance: Provenance,
) -> dict[str, RasterStatistics]:
    """Write the COGs; statistics of the continuous ones by name."""
    thresholds = provenance.thresholds
    facts = {
        "SCENE": record.scene_id,
        "SENSING_TIME": record.sensing_time.isoformat(),
        "MODEL": provenance.model,
        "MODEL_HASH": provenance.model_hash,
    }
    classes = {f"CLASS_{code.value}": code.style.name for code in CloudClass}
    classes |= {"THIN_FROM": f"{thresholds.thin:g}", "THICK_FROM": f"{thresholds.thick:g}"}

    def write(raster: Raster, bands: Iterator[NDArray[np.generic]], tags: dict[str, str]) -> None:
        write_cog(folder / raster.filename, raster, bands, record.grid, facts | tags)

    write(rasters.COT, iter([arrays.cot]), {})
    write(rasters.COT_STD, iter([arrays.cot_std]), {})
    write(rasters.CLOUD_CLASS, iter([arrays.cloud_class]), classes)
    if provenance.mask_above is not None:
        masked = _masked(arrays, reflectance, provenance.mask_above)
        write(rasters.MASKED, masked, {"MASK_ABOVE_COT": f"{provenance.mask_above:g}"})
    return {"cot": raster_statistics(arrays.cot), "cot_std": raster_statistics(arrays.cot_std)}


def _masked(
    arrays: SceneArrays, reflectance: Reflectance, mask_above: float
) -> Iterator[NDArray[np.int16]]:
    seen = seen_through(arrays.cloud_class != CloudClass.NODATA, arrays.cot, mask_above)
    for band in BAND_IDS:
        yield mask_reflectance(reflectance(band), seen)


def _caption(
    record: SceneRecord, provenance: Provenance, cover: dict[CloudClass, float]
) -> Caption:
    return Caption(
        title=record.scene_id,
        lines=(
            f"Sentinel-2{record.satellite[-1]}, tile {record.tile}, "
            f"{record.sensing_time:%Y-%m-%d %H:%M:%S} UTC, orbit {record.orbit}, "
            f"baseline {record.baseline}, grid {record.resolution} m",
            f"Model {provenance.model} {provenance.model_hash[:12]}",
        ),
        thresholds=provenance.thresholds,
        cover=cover,
    )


def _commit(made: Path, folder: Path, item: str) -> None:
    """Take the old product back, publish the new files, the item last."""
    with write_errors(folder):
        new, old = ({path.name for path in find(place)} for place in (made, folder))
        if new <= old and _reads(folder / ITEM_NAME, item):
            return
        for name in (ITEM_NAME, *(raster.filename for raster in _RASTERS)):
            if name in old - new:
                (folder / name).unlink(missing_ok=True)
        for name in sorted(new):
            publish(made / name, folder / name)
        write_text(folder / ITEM_NAME, item)


def _reads(path: Path, text: str) -> bool:
    try:
        return read_bytes(path) == text.encode()
    except FileNotFoundError:
        return False
