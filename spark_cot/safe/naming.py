"""File and folder names inside Sentinel-2 L1C products, in the compact and the old convention.

The compact convention (since December 2016) is described in the Sentinel-2 Products Specification
Document, S2-PDGS-TAS-DI-PSD, section 3.4; the old one in its issues up to 13.1, where one product
holds many granules. Both are recognised by name alone.
"""

import re
from typing import Final

PRODUCT_FOLDER: Final = re.compile(r"S2[A-Z]_(MSIL1C|OPER_PRD_MSIL1C)_\w+\.SAFE")
PRODUCT_ZIP: Final = re.compile(r"S2[A-Z]_(MSIL1C|OPER_PRD_MSIL1C)_\w+(\.SAFE)?\.zip", re.I)
PRODUCT_XML: Final = re.compile(r"MTD_MSIL1C\.xml|S2[A-Z]_OPER_MTD_SAFL1C_\w+\.xml")
GRANULE_FOLDER: Final = re.compile(r"L1C_T\w+|S2[A-Z]_OPER_MSI_L1C_TL_[\w.]+")
GRANULE_XML: Final = re.compile(r"MTD_TL\.xml|S2[A-Z]_OPER_MTD_L1C_TL_\w+\.xml")
BAND_IMAGE: Final = re.compile(r"(?P<stem>\w+)_(?P<band>B\d\d|B8A)\.jp2", re.ASCII)
TILE_ID: Final = re.compile(r"_T(?P<tile>\d\d[A-Z]{3})(?![A-Za-z0-9])", re.ASCII)
COMPACT_URI: Final = re.compile(
    r"(?P<satellite>S2[A-Z])_MSIL1C_(?P<start>\d{8}T\d{6})_N(?P<baseline>\d{4})"
    r"_R(?P<orbit>\d{3})_T(?P<tile>\d\d[A-Z]{3})_\d{8}T\d{6}(\.SAFE)?",
    re.ASCII,
)


def product_name(file_name: str) -> str:
    """Name of a product from that of its folder or zip file, without the suffixes."""
    return re.sub(r"(\.SAFE)?(\.zip)?$", "", file_name, flags=re.I)
