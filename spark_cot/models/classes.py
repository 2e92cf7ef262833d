"""Thickness classes: thresholds, codes, names, colours, and Sen2Cor's classes in terms of them."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spark_cot.errors import ModelError


@dataclass(frozen=True, slots=True)
class Thresholds:
    """COT at 550 nm from which a pixel is thin cloud and from which it is thick cloud.

    Raises
    ------
    ModelError
        Unless ``0 < thin <= thick``.
    """

    thin: float
    thick: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "thin", float(self.thin))
        object.__setattr__(self, "thick", float(self.thick))
        if not (0 < self.thin <= self.thick < math.inf):
            raise ModelError(
                f"thresholds must be 0 < thin <= thick, found thin {self.thin}, thick {self.thick}",
                cure="Give two COT values at 550 nm, such as 0.75 and 1.25",
            )


class CloudClass(IntEnum):
    """Code of a pixel in ``cloud_class`` columns and rasters."""

    NODATA = 0
    CLEAR = 1
    THIN = 2
    THICK = 3

    @property
    def style(self) -> "ClassStyle":
        """How the class is shown to people."""
        return CLASS_STYLES[self]


@dataclass(frozen=True, slots=True)
class ClassStyle:
    """A class for people: fields of STAC ``classification:classes`` and of colour tables.

    Attributes
    ----------
    name : str
        Lower case, as STAC asks.
    description : str
    color_hint : str
        RGB as six hexadecimal digits.
    """

    name: str
    description: str
    color_hint: str


CLASS_STYLES: Final = {
    CloudClass.NODATA: ClassStyle("nodata", "No valid observation", "000000"),
    CloudClass.CLEAR: ClassStyle("clear", "COT below the thin threshold", "3B7A57"),
    CloudClass.THIN: ClassStyle("thin", "COT from the thin to below the thick threshold", "8FB8DE"),
    CloudClass.THICK: ClassStyle("thick", "COT at or above the thick threshold", "F5F5F5"),
}

#: The codes of Sen2Cor's scene classification (SCL) of Level-2A products, in terms of thickness.
#: Ground in shadow is clear: no cloud lies in the line of sight. Saturated or defective pixels
#: hold no measure of thickness.
SCL_CROSSWALK: Final = {
    0: CloudClass.NODATA,  # no data
    1: CloudClass.NODATA,  # saturated or defective
    2: CloudClass.CLEAR,  # dark area
    3: CloudClass.CLEAR,  # cloud shadow
    4: CloudClass.CLEAR,  # vegetation
    5: CloudClass.CLEAR,  # not vegetated
    6: CloudClass.CLEAR,  # water
    7: CloudClass.CLEAR,  # unclassified
    8: CloudClass.THIN,  # cloud, medium probability
    9: CloudClass.THICK,  # cloud, high probability
    10: CloudClass.THIN,  # thin cirrus
    11: CloudClass.CLEAR,  # snow or ice
}


def classify(cot: ArrayLike, thresholds: Thresholds) -> NDArray[np.int8]:
    """Class of each COT: ``clear < thin threshold <= thin < thick threshold <= thick``.

    Parameters
    ----------
    cot : array_like
        COT at 550 nm, any shape; NaN is nodata. Thresholds are compared in its precision.
    thresholds : Thresholds

    Returns
    -------
    numpy.ndarray
        int8 codes of ``CloudClass``, of the same shape.
    """
    values = np.asarray(cot)
    limits = np.array([thresholds.thin, thresholds.thick], values.dtype)
    classes = CloudClass.CLEAR + (values >= limits[0]).astype(np.int8) + (values >= limits[1])
    return np.where(np.isnan(values), CloudClass.NODATA, classes).astype(np.int8)


def classes_of_scl(scl: ArrayLike) -> NDArray[np.int8]:
    """Thickness class of each SCL code by ``SCL_CROSSWALK``; codes above 11 become nodata.

    Parameters
    ----------
    scl : array_like
        Unsigned 8-bit SCL codes, any shape.

    Returns
    -------
    numpy.ndarray
        int8 codes of ``CloudClass``, of the same shape.
    """
    lookup = np.full(256, CloudClass.NODATA, np.int8)
    lookup[list(SCL_CROSSWALK)] = list(SCL_CROSSWALK.values())
    return lookup[np.asarray(scl, np.uint8)]
