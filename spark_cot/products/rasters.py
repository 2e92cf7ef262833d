"""The rasters of a scene product, each declared once."""

from typing import Final

from spark_cot.models.classes import CloudClass
from spark_cot.msi import BAND_IDS, REFLECTANCE_SCALE
from spark_cot.products.cog import Raster
from spark_cot.products.masked import MASKED_NODATA


def _rgba(code: CloudClass) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(code.style.color_hint)
    return red, green, blue, 0 if code is CloudClass.NODATA else 255


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
    description="Spread of the ensemble and, where the model predicts one, its error",
    dtype="float32",
    nodata=float("nan"),
    overviews="AVERAGE",
    bands=("Standard uncertainty of the optical thickness",),
)

CLOUD_CLASS: Final = Raster(
    name="cloud_class",
    title="Cloud thickness class",
    description=", ".join(f"{code.value} {code.style.name}" for code in CloudClass),
    dtype="uint8",
    nodata=CloudClass.NODATA.value,
    overviews="MODE",
    bands=("Cloud thickness class",),
    colours={code.value: _rgba(code) for code in CloudClass},
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
