"""What a file or folder of an archive is: by its name, or by a look inside where that says nothing.

Names cost nothing, and in most archives they say all. A folder that is searched is listed anyway,
and its list tells the rest. Only zip files whose names say neither L1C nor another product are
opened (their directory, not their content), and of files whose endings name no type, or an odd one
behind the name of a product, the first four bytes are read.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spark_cot.errors import ProductError
from spark_cot.safe import naming
from spark_cot.safe.files import zip_names
from spark_cot.safe.places import name_of
from spark_cot.storage import path_of, read_start


@dataclass(frozen=True, slots=True)
class Verdict:
    """A product, or why it is none.

    Attributes
    ----------
    reason : str
        Empty for a product.
    unseen : bool
        Whether L1C pixels may be in it all the same.
    """

    reason: str = ""
    unseen: bool = False

    @property
    def is_product(self) -> bool:
        """Whether it is one."""
        return not self.reason


PRODUCT: Final = Verdict()

_ZIP_START: Final = b"PK\x03\x04"

#: Kept by systems, servers and tools for themselves: trash, snapshots, copies half made.
_PRIVATE: Final = re.compile(
    r"\..*|lost\+found|@eaDir|#recycle|#snapshot|\$RECYCLE\.BIN|System Volume Information|__MACOSX",
    re.DOTALL,
)
#: Products of other levels and missions by their names.
_OTHER: Final = re.compile(
    r"S2[A-Z]_(MSIL|OPER_|USER_)|S1[A-Z]_(IW|EW|WV|SM|S\d|EN|AI|RF)_|S3[A-Z]_[A-Z]{2}_|S5P_",
    re.I | re.ASCII,
)
#: All products of other missions that SAFE folders hold have one of these.
_MANIFESTS: Final = frozenset({"manifest.safe", "xfdumanifest.xml"})
_OF_PRODUCTS: Final = frozenset({"GRANULE", "manifest.safe"})
#: A tile of the bucket sentinel-s2-l1c of Amazon, or of its mirrors.
_BUCKET_TILE: Final = frozenset({"metadata.xml", "tileInfo.json"})

#: An ending that names a type, so that the file is what it says.
_TYPED: Final = re.compile(r".*\.(?!safe)[a-z]\w*", re.I | re.ASCII | re.DOTALL)
_UNFINISHED: Final = re.compile(
    r".*\.(part|partial|incomplete|crdownload|download|filepart|tmp|temp|aria2)", re.I | re.DOTALL
)
_PACKED: Final = re.compile(r".*\.(tar|tgz|tbz2?|txz|gz|bz2|xz|zst|7z|rar|Z)", re.I | re.DOTALL)
#: What lies beside products under their names: quicklooks, metadata, checksums.
_BESIDE: Final = re.compile(
    r".*\.(xml|json|geojson|jpe?g|jpgw|png|gif|tiff?|jp2|vrt|kml|gml|html?|pdf|csv|txt|log|md5|sha\d*"
    r"|sum|sig|asc|meta4?|metalink|ya?ml|shp|dbf|gpkg|parquet|nc)",
    re.I | re.DOTALL,
)


def is_private(name: str) -> bool:
    """Whether a system or a tool keeps a file or folder for itself, by its name."""
    return _PRIVATE.fullmatch(name) is not None


def by_folder_name(name: str) -> Verdict | None:
    """Verdict on a folder by its name; None if it must be listed."""
    if not name.lower().endswith((".safe", ".sen3")):
        return None
    if naming.L1C.match(name):
        return PRODUCT
    return Verdict("a product of another level or mission") if _OTHER.match(name) else None


def by_folder_list(name: str, inside: Collection[str]) -> Verdict | None:
    """Verdict on a folder by what lies in it; None if its folders are to be searched."""
    if any(map(naming.PRODUCT_XML.fullmatch, inside)):
        return PRODUCT
    if naming.L1C.match(name) and not _OF_PRODUCTS.isdisjoint(inside):
        return PRODUCT  # which opening will find damaged
    if any(map(naming.OTHER_XML.fullmatch, inside)) or not _MANIFESTS.isdisjoint(inside):
        return Verdict("a product of another level or mission")
    if any(map(naming.GRANULE_XML.fullmatch, inside)):
        return Verdict("a granule without its product: keep it in its SAFE folder", unseen=True)
    if _BUCKET_TILE.issubset(inside):
        return Verdict("a tile in the layout of Amazon's bucket: get it as SAFE", unseen=True)
    return None


def by_file(path: str) -> Verdict | None:
    """Verdict on a regular file; None if it is of no interest.

    Raises
    ------
    OSError
        It must be read to know, and cannot be.
    """
    name = name_of(path)
    if naming.L1C.match(name):
        return _named_l1c(path, name)
    if name.lower().endswith(".zip"):
        return Verdict("a product of another level") if _OTHER.match(name) else _in_zip(path)
    if not _TYPED.fullmatch(name) and is_zip(path_of(path)):
        return _in_zip(path)
    return None


def is_zip(file: Path) -> bool:
    """Whether a file begins as zip files do."""
    return read_start(file, len(_ZIP_START)) == _ZIP_START


def _named_l1c(path: str, name: str) -> Verdict | None:
    if name.lower().endswith(".zip"):
        return PRODUCT
    if _UNFINISHED.fullmatch(name):
        return Verdict("a download that has not ended")
    if _PACKED.fullmatch(name):
        return Verdict("packed, and no zip file: unpack it", unseen=True)
    if _BESIDE.fullmatch(name):
        return None
    if is_zip(path_of(path)):
        return PRODUCT
    return Verdict("named as a product, but neither a folder nor a zip file", unseen=True)


def _in_zip(path: str) -> Verdict:
    try:
        names = zip_names(path)
    except ProductError as error:
        return Verdict(error.what, unseen=True)
    parts = {part for name in names for part in name.split("/")}
    if any(naming.PRODUCT_XML.fullmatch(p) or by_folder_name(p) is PRODUCT for p in parts):
        return PRODUCT
    return Verdict("a zip file without an L1C product")
