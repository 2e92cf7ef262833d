"""File and folder names of and inside Sentinel-2 L1C products, in both conventions.

The compact convention (since December 2016) is described in the Sentinel-2 Products Specification
Document, S2-PDGS-TAS-DI-PSD, section 3.4; the old one in its issues up to 13.1, where one product
holds many granules. Both are recognised by name alone. What lies around products in archives, and
under which names downloads of them end, is the business of `recognise`.
"""

import re
from collections.abc import Iterable
from typing import Final

#: How the name of a product begins, whatever was appended to it: in the two conventions, and as
#: the zip files of USGS EarthExplorer are named.
L1C: Final = re.compile(
    r"S2[A-Z]_(MSIL1C|OPER_PRD_MSIL1C)_|L1C_T\d\d[A-Z]{3}_A\d{6}_\d{8}T\d{6}", re.I | re.ASCII
)
PRODUCT_XML: Final = re.compile(r"MTD_MSIL1C\.xml|S2[A-Z]_OPER_MTD_SAFL1C_\w+\.xml")
#: Metadata of Sentinel-2 products of any level.
OTHER_XML: Final = re.compile(r"MTD_MSI\w+\.xml|S2[A-Z]_(OPER|USER)_MTD_SAFL\w+\.xml")
GRANULE_FOLDER: Final = re.compile(r"L1C_T\w+|S2[A-Z]_OPER_MSI_L1C_TL_[\w.]+")
GRANULE_XML: Final = re.compile(r"MTD_TL\.xml|S2[A-Z]_OPER_MTD_L1C_TL_\w+\.xml")
BAND_IMAGE: Final = re.compile(r"(?P<stem>\w+)_(?P<band>B\d\d|B8A)\.jp2", re.ASCII)
TILE_ID: Final = re.compile(r"_T(?P<tile>\d\d[A-Z]{3})(?![A-Za-z0-9])", re.ASCII)
DATASTRIP_ID: Final = re.compile(r"_DS_\w+_S(?P<begins>\d{8}T\d{6})(?!\d)", re.ASCII)
COMPACT_URI: Final = re.compile(
    r"(?P<satellite>S2[A-Z])_MSIL1C_(?P<start>\d{8}T\d{6})_N(?P<baseline>\d{4})"
    r"_R(?P<orbit>\d{3})_T(?P<tile>\d\d[A-Z]{3})_\d{8}T\d{6}(\.SAFE)?",
    re.ASCII,
)


def product_name(file_name: str) -> str:
    """Name of a product from that of its folder or zip file, without the suffixes."""
    return re.sub(r"(\.SAFE)?(\.zip)?$", "", file_name, flags=re.I)


def product_roots(names: Iterable[str]) -> list[str]:
    """The folders in which products lie, among relative names of files that use ``/``.

    A product's folder holds its metadata file and ``GRANULE``. Of folders at different depths only
    the shallowest count: what lies deeper belongs to them.

    Returns
    -------
    list[str]
        Sorted; each is "" or ends in ``/``.
    """
    roots = {root for name in names if (root := _root(name)) is not None}
    depth = min((root.count("/") for root in roots), default=0)
    return sorted(root for root in roots if root.count("/") == depth)


def _root(name: str) -> str | None:
    """The product's folder by one of its files; None if the file tells nothing."""
    head, mark, _ = f"/{name}".partition("/GRANULE/")
    if not mark:
        head, _, file = f"/{name}".rpartition("/")
        if not PRODUCT_XML.fullmatch(file):
            return None
    return f"{head}/".removeprefix("/")
