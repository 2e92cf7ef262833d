"""What a written product says about itself, and the two metadata files that say it.

The element structure is that of real products of processing baselines 02.04 to 05.11 (Sentinel-2
Products Specification Document, S2-PDGS-TAS-DI-PSD, sections 4.4 and 4.6), as far as readers use
it: this package's own and GDAL's SENTINEL2 driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

import numpy as np
from numpy.typing import ArrayLike

from spark_cot.msi import BAND_IDS, BANDS, RESOLUTIONS_M, SATELLITES

_SCHEMAS: Final = "https://psd-14.sentinel2.eo.esa.int/PSD"
_ANGLE_STEP_M: Final = 5000
_COMPACT_TIME: Final = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class ProductSpec:
    """Everything about a product but its pixels.

    Attributes
    ----------
    satellite, tile : str
    sensing_time, generation_time : datetime
        Start of the datatake, and when the product was made.
    sensed_after : timedelta
        From that start to the sensing of the tile.
    datastrip : datetime, optional
        Start of the datastrip; by default nothing is said of it.
    baseline : str
        From 04.00 on a product states radiometric offsets.
    orbit : int
        Relative orbit, 1 to 143.
    crs : str
    left, top : float
        Outer corner of pixel (0, 0), metres.
    sun, view : tuple
        Zenith and azimuth, degrees: two numbers, or two arrays (ny, nx) of nodes every 5 km from
        the corner. All bands share the view angles.
    offset : float or None
        RADIO_ADD_OFFSET of all bands; None for -1000 from baseline 04.00 on and else nothing.
    quantification : float
    cloud_cover : float
        Per cent.
    """

    satellite: str = "S2B"
    tile: str = "31TCJ"
    sensing_time: datetime = datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC)
    generation_time: datetime = datetime(2024, 3, 5, 12, 53, 47, tzinfo=UTC)
    sensed_after: timedelta = timedelta(0)
    datastrip: datetime | None = None
    baseline: str = "05.10"
    orbit: int = 51
    crs: str = "EPSG:32631"
    left: float = 300_000.0
    top: float = 4_900_020.0
    sun: tuple[ArrayLike, ArrayLike] = (52.0, 158.0)
    view: tuple[ArrayLike, ArrayLike] = (3.0, 200.0)
    offset: float | None = None
    quantification: float = 10_000.0
    cloud_cover: float = 0.0

    @property
    def name(self) -> str:
        """Compact product name without ``.SAFE``."""
        return (
            f"{self.satellite}_MSIL1C_{self.sensing_time:{_COMPACT_TIME}}"
            f"_N{self.baseline.replace('.', '')}_R{self.orbit:03d}_T{self.tile}"
            f"_{self.generation_time:{_COMPACT_TIME}}"
        )

    @property
    def granule(self) -> str:
        """Granule folder inside the SAFE folder."""
        return f"GRANULE/L1C_T{self.tile}_A000000_{self.sensing_time:{_COMPACT_TIME}}"

    def image(self, band: str) -> str:
        """Path of a band's image inside the SAFE folder, without suffix."""
        return f"{self.granule}/IMG_DATA/T{self.tile}_{self.sensing_time:{_COMPACT_TIME}}_{band}"

    @property
    def stated_offset(self) -> float | None:
        """The offset the metadata states, or None if it states none."""
        if self.offset is None and self.baseline >= "04.00":
            return -1000.0
        return self.offset


def product_xml(spec: ProductSpec) -> bytes:
    """Content of MTD_MSIL1C.xml."""
    root = _root("Level-1C_User_Product", "User_Product_Level-1C.xsd")
    info = SubElement(root, f"{{{_namespace('User_Product_Level-1C.xsd')}}}General_Info")
    product = SubElement(info, "Product_Info")
    _texts(
        product,
        {
            "PRODUCT_START_TIME": _iso(spec.sensing_time),
            "PRODUCT_STOP_TIME": _iso(spec.sensing_time),
            "PRODUCT_URI": f"{spec.name}.SAFE",
            "PROCESSING_LEVEL": "Level-1C",
            "PRODUCT_TYPE": "S2MSI1C",
            "PROCESSING_BASELINE": spec.baseline,
            "GENERATION_TIME": _iso(spec.generation_time),
        },
    )
    _add_datatake(product, spec)
    options = SubElement(product, "Query_Options", completeSingleTile="true")
    _texts(options, {"PRODUCT_FORMAT": "SAFE_COMPACT"})
    organisation = SubElement(product, "Product_Organisation")
    granule = SubElement(
        SubElement(organisation, "Granule_List"),
        "Granule",
        granuleIdentifier=_tile_id(spec),
        imageFormat="JPEG2000",
    )
    for band in BAND_IDS:
        SubElement(granule, "IMAGE_FILE").text = spec.image(band)
    _add_calibration(SubElement(info, "Product_Image_Characteristics"), spec)
    quality = SubElement(
        root, f"{{{_namespace('User_Product_Level-1C.xsd')}}}Quality_Indicators_Info"
    )
    _texts(quality, {"Cloud_Coverage_Assessment": f"{spec.cloud_cover:g}"})
    return _bytes(root)


def granule_xml(spec: ProductSpec, extent: tuple[int, int]) -> bytes:
    """Content of MTD_TL.xml for images of ``extent`` ``(height, width)``, metres."""
    schema = "S2_PDI_Level-1C_Tile_Metadata.xsd"
    root = _root("Level-1C_Tile_ID", schema)
    general = SubElement(root, f"{{{_namespace(schema)}}}General_Info")
    texts = {"TILE_ID": _tile_id(spec)}
    if spec.datastrip is not None:
        texts["DATASTRIP_ID"] = _datastrip_id(spec, spec.datastrip)
    _texts(general, texts | {"SENSING_TIME": _iso(spec.sensing_time + spec.sensed_after)})
    geometric = SubElement(root, f"{{{_namespace(schema)}}}Geometric_Info")
    _add_geocoding(SubElement(geometric, "Tile_Geocoding"), spec, extent)
    _add_angles(SubElement(geometric, "Tile_Angles"), spec, extent)
    quality = SubElement(root, f"{{{_namespace(schema)}}}Quality_Indicators_Info")
    content = SubElement(quality, "Image_Content_QI")
    _texts(content, {"CLOUDY_PIXEL_PERCENTAGE": f"{spec.cloud_cover:g}"})
    return _bytes(root)


def _add_datatake(product: Element, spec: ProductSpec) -> None:
    satellites = {short: name for name, short in SATELLITES.items()}
    identifier = f"G{spec.satellite}_{spec.sensing_time:{_COMPACT_TIME}}_000000_N{spec.baseline}"
    datatake = SubElement(product, "Datatake", datatakeIdentifier=identifier)
    _texts(
        datatake,
        {
            "SPACECRAFT_NAME": satellites.get(spec.satellite, spec.satellite),
            "DATATAKE_TYPE": "INS-NOBS",
            "DATATAKE_SENSING_START": _iso(spec.sensing_time),
            "SENSING_ORBIT_NUMBER": str(spec.orbit),
            "SENSING_ORBIT_DIRECTION": "DESCENDING",
        },
    )


def _add_calibration(image: Element, spec: ProductSpec) -> None:
    for text, index in (("NODATA", "0"), ("SATURATED", "65535")):
        _texts(
            SubElement(image, "Special_Values"),
            {"SPECIAL_VALUE_TEXT": text, "SPECIAL_VALUE_INDEX": index},
        )
    quantification = SubElement(image, "QUANTIFICATION_VALUE", unit="none")
    quantification.text = f"{spec.quantification:g}"
    if spec.stated_offset is not None:
        offsets = SubElement(image, "Radiometric_Offset_List")
        for i in range(len(BANDS)):
            offset = SubElement(offsets, "RADIO_ADD_OFFSET", band_id=str(i))
            offset.text = f"{spec.stated_offset:g}"
    spectral = SubElement(image, "Spectral_Information_List")
    for band in BANDS:
        information = SubElement(
            spectral,
            "Spectral_Information",
            bandId=str(band.index),
            physicalBand=band.id.replace("B0", "B"),
        )
        _texts(information, {"RESOLUTION": str(band.resolution_m)})
        wavelength = SubElement(information, "Wavelength")
        SubElement(wavelength, "CENTRAL", unit="nm").text = f"{band.wavelength_nm:g}"


def _add_geocoding(geocoding: Element, spec: ProductSpec, extent: tuple[int, int]) -> None:
    _texts(geocoding, {"HORIZONTAL_CS_NAME": spec.crs, "HORIZONTAL_CS_CODE": spec.crs})
    for resolution in RESOLUTIONS_M:
        rows, cols = (side // resolution for side in extent)
        size = SubElement(geocoding, "Size", resolution=str(resolution))
        _texts(size, {"NROWS": str(rows), "NCOLS": str(cols)})
    for resolution in RESOLUTIONS_M:
        position = SubElement(geocoding, "Geoposition", resolution=str(resolution))
        _texts(
            position,
            {
                "ULX": f"{spec.left:.0f}",
                "ULY": f"{spec.top:.0f}",
                "XDIM": str(resolution),
                "YDIM": str(-resolution),
            },
        )


def _add_angles(angles: Element, spec: ProductSpec, extent: tuple[int, int]) -> None:
    nodes = tuple(-(-side // _ANGLE_STEP_M) + 1 for side in extent)
    _add_grids(SubElement(angles, "Sun_Angles_Grid"), spec.sun, nodes)
    for i in range(len(BANDS)):
        view = SubElement(angles, "Viewing_Incidence_Angles_Grids", bandId=str(i), detectorId="1")
        _add_grids(view, spec.view, nodes)


def _add_grids(
    parent: Element, angles: tuple[ArrayLike, ArrayLike], nodes: tuple[int, ...]
) -> None:
    for name, values in zip(("Zenith", "Azimuth"), angles, strict=True):
        grid = SubElement(parent, name)
        for step in ("COL_STEP", "ROW_STEP"):
            SubElement(grid, step, unit="m").text = str(_ANGLE_STEP_M)
        rows = SubElement(grid, "Values_List")
        matrix = np.asarray(values, dtype=np.float64)
        for row in matrix if matrix.ndim else np.full(nodes, matrix):
            SubElement(rows, "VALUES").text = " ".join(f"{value:.6g}" for value in row)


def _tile_id(spec: ProductSpec) -> str:
    return (
        f"{spec.satellite}_OPER_MSI_L1C_TL_SCOT_{spec.generation_time:{_COMPACT_TIME}}"
        f"_A000000_T{spec.tile}_N{spec.baseline}"
    )


def _datastrip_id(spec: ProductSpec, start: datetime) -> str:
    return (
        f"{spec.satellite}_OPER_MSI_L1C_DS_SCOT_{spec.generation_time:{_COMPACT_TIME}}"
        f"_S{start:{_COMPACT_TIME}}_N{spec.baseline}"
    )


def _namespace(schema: str) -> str:
    return f"{_SCHEMAS}/{schema}"


def _root(name: str, schema: str) -> Element:
    register_namespace("n1", _namespace(schema))
    return Element(f"{{{_namespace(schema)}}}{name}")


def _texts(parent: Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        SubElement(parent, name).text = text


def _iso(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def _bytes(root: Element) -> bytes:
    indent(root)
    content: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return content
