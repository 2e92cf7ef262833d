"""The rasters of a scene product, each declared once."""

from collections.abc import Mapping
from typing import Final

from spark_cot.models.classes import CLASS_STYLES, ClassStyle, CloudClass
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.products.cog import Raster
from spark_cot.products.masked import MASKED_NODATA

#: Nodata where 0 is a value: what -1 of the COT table is as an unsigned byte.
BYTE_NODATA: Final = 255


_CLASS_STYLES: Final = {code.value: style for code, style in CLASS_STYLES.items()}


def _legend(classes: Mapping[int, ClassStyle]) -> str:
    return ", ".join(f"{code} {style.name}" for code, style in classes.items())


COT: Final = Raster(
    name="cot",
    title="Cloud optical thickness",
    description="Cloud optical thickness at 550 nm",
    dtype="float32",
    nodata=float("nan"),
    overviews="AVERAGE",
    bands=("Cloud optical thickness at 550 nm",),
)

COT_STD: Final = Raster(
    name="cot_std",
    title="Standard uncertainty of the cloud optical thickness",
    description="Root mean square deviation of the true optical thickness from the estimate, over "
    "the whole predictive distribution",
    dtype="float32",
    nodata=float("nan"),
    overviews="AVERAGE",
    bands=("Standard uncertainty of the optical thickness",),
)

PROBABILITY: Final = Raster(
    name="cloud_probability",
    title="Probability of thin and of thick cloud",
    description="Probability in percent that the optical thickness is at or above the thin and the "
    "thick threshold",
    dtype="uint8",
    nodata=BYTE_NODATA,
    overviews="AVERAGE",
    bands=(
        "Probability of at least the thin threshold",
        "Probability of at least the thick threshold",
    ),
    unit="%",
)

CLOUD_CLASS: Final = Raster(
    name="cloud_class",
    title="Cloud thickness class",
    description=_legend(_CLASS_STYLES),
    dtype="uint8",
    nodata=CloudClass.NODATA,
    overviews="MODE",
    bands=("Cloud thickness class",),
    classes=_CLASS_STYLES,
    predictor=False,
)

_RANGE_STYLES: Final = {
    0: ClassStyle("inside", "Within the range that the model was trained on", "D9D9D9"),
    1: ClassStyle("outside", "Outside of it; evaluated at the nearest point inside", "D95F02"),
    BYTE_NODATA: ClassStyle("nodata", "No valid observation", "000000"),
}

OUTSIDE: Final = Raster(
    name="outside",
    title="Outside the range of the training",
    description=_legend(_RANGE_STYLES),
    dtype="uint8",
    nodata=BYTE_NODATA,
    overviews="MODE",
    bands=("Outside the range of the training",),
    classes=_RANGE_STYLES,
    predictor=False,
)

MASKED: Final = Raster(
    name="reflectance_masked",
    title="Thickness-masked reflectance",
    description="Top-of-atmosphere reflectance where the cloud is at most the stated thickness",
    dtype="int16",
    nodata=MASKED_NODATA,
    overviews="AVERAGE",
    bands=BAND_IDS,
    scale=1 / REFLECTANCE_SCALE,
)

#: All of them, in the order in which an item lists them.
RASTERS: Final = (COT, COT_STD, PROBABILITY, CLOUD_CLASS, OUTSIDE, MASKED)
