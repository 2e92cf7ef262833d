"""Find L1C products and their granules by name, without opening any metadata."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spark_cot.errors import ProductError
from spark_cot.safe import naming
from spark_cot.safe.files import open_files
from spark_cot.storage import check_access, matches, path_of, walk


@dataclass(frozen=True, slots=True, order=True)
class ProductPath:
    """Where a product lies; small and picklable, so that Spark can ship it.

    Attributes
    ----------
    path : str
        Absolute path or ``s3://`` URL of the SAFE folder or zip file.
    """

    path: str

    @property
    def name(self) -> str:
        """Product name without ``.SAFE`` and ``.zip``."""
        return naming.product_name(Path(self.path).name)


@dataclass(frozen=True, slots=True, order=True)
class GranuleRef:
    """One granule of a product, which is one scene.

    Attributes
    ----------
    product : ProductPath
    folder : str
        Granule folder relative to the SAFE folder, such as ``GRANULE/L1C_T31TCJ_A0365...``.
    """

    product: ProductPath
    folder: str


def discover(source: str | Path) -> list[ProductPath]:
    """L1C products in a folder tree, a glob, a list file, or a single product.

    Only names are looked at: a damaged product is found too, and fails alone when it is opened.
    Folders are products if named like ``S2A_MSIL1C_*.SAFE`` or ``S2A_OPER_PRD_MSIL1C_*.SAFE``, zip
    files likewise; a zip file that is given itself may have any name. Products of other levels
    are passed over, and folders of products are not searched for more.

    Parameters
    ----------
    source : str or Path
        Path or ``s3://`` URL. A list file is any other file: UTF-8 text, one product, folder, glob
        or URL a line, relative to the list's folder; ``#`` starts a comment.

    Returns
    -------
    list[ProductPath]
        Sorted by path, each once.

    Raises
    ------
    ProductError
        If nothing matches ``source``, or it holds no L1C product.
    """
    check_access(path_of(source))
    products = sorted(set(_expand(str(source))))
    if not products:
        raise ProductError(
            "no Sentinel-2 L1C product found, expected S2?_MSIL1C_*.SAFE folders or .zip files",
            str(source),
            "Give a folder tree, a glob, a text file of paths, or one product",
        )
    return [ProductPath(path) for path in products]


def scenes_of(product: ProductPath) -> list[GranuleRef]:
    """Granules of a product, sorted: one in compact products, often many in old ones.

    Raises
    ------
    ProductError
        If the product is missing, a damaged or unsafe zip file, or has no granule.
    """
    folders = [
        name
        for name in open_files(product.path).children("GRANULE")
        if naming.GRANULE_FOLDER.fullmatch(name)
    ]
    if not folders:
        raise ProductError(
            "no L1C granule found, expected folders such as GRANULE/L1C_T31TCJ_*",
            product.path,
            "Download the product again",
        )
    return [GranuleRef(product, f"GRANULE/{folder}") for folder in folders]


def _expand(source: str) -> Iterator[str]:
    place = path_of(source)
    if not place.exists():
        yield from _expand_glob(source)
    elif place.is_dir():
        yield from _walk(place)
    elif source.lower().endswith(".zip"):
        yield str(place.absolute())
    else:
        yield from _expand_list(place)


def _expand_glob(pattern: str) -> Iterator[str]:
    if not glob.has_magic(pattern):
        raise ProductError(
            "no such file or folder",
            pattern,
            "Give a folder tree, a glob, a text file of paths, or one product",
        )
    for path in matches(pattern):
        if path.is_dir():
            yield from _walk(path)
        elif naming.PRODUCT_ZIP.fullmatch(path.name):
            yield str(path.absolute())


def _walk(top: Path) -> Iterator[str]:
    """Products at or below the folder ``top``."""
    top = top.absolute()
    if naming.PRODUCT_FOLDER.fullmatch(top.name):
        yield str(top)
        return
    for folder, subfolders, files in walk(top):
        for name in subfolders:
            if naming.PRODUCT_FOLDER.fullmatch(name):
                yield str(folder / name)
        for name in files:
            if naming.PRODUCT_ZIP.fullmatch(name):
                yield str(folder / name)
        subfolders[:] = [name for name in subfolders if not name.endswith(".SAFE")]


def _expand_list(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ProductError(
            "neither a product nor a text file of paths",
            str(file),
            "A list file is UTF-8 text with one path a line",
        ) from error
    for line in lines:
        entry = line.split("#")[0].strip()
        path = entry if "://" in entry else str(file.absolute().parent / entry)
        if not entry:
            continue
        if _is_folder(path) or glob.has_magic(path):
            yield from _expand(path)
        else:
            # A missing product stays listed, so that it fails by name and the others go on.
            yield path


def _is_folder(path: str) -> bool:
    if "://" in path:
        return path_of(path).is_dir()
    return os.path.isdir(path)  # noqa: PTH112 (False for any odd text)
