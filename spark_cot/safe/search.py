"""Find L1C products and their granules, without opening any metadata."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spark_cot.errors import ProductError
from spark_cot.safe import naming
from spark_cot.safe.encoding import marked_encoding
from spark_cot.safe.files import open_files
from spark_cot.safe.places import is_file, is_folder, printable
from spark_cot.safe.recognise import Verdict, is_zip
from spark_cot.safe.tree import PassedOver, Search
from spark_cot.storage import check_access, path_of, read_bytes

_WHAT_TO_GIVE: Final = "Give a folder tree, a glob, a text file of paths, or one product"
_NOTHING_IN_IT: Final = Verdict("named in the list, and holds no L1C product", unseen=True)
_COMMENT: Final = re.compile(r"(^|\s)#.*")


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


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an archive holds.

    Attributes
    ----------
    products : list[ProductPath]
        Sorted by path, each once.
    passed_over : list[PassedOver]
        What is not among them, and why, sorted by path; files of no interest are left out.
    """

    products: list[ProductPath]
    passed_over: list[PassedOver]

    @property
    def unseen(self) -> list[PassedOver]:
        """What was passed over and may hold L1C pixels all the same."""
        return [item for item in self.passed_over if item.unseen]


def discover(source: str | Path) -> Discovery:
    """L1C products in a folder tree, a glob, a list file, or a single product.

    Names decide where they can (`recognise`): what is named as a product counts as one even if it
    is damaged, and fails alone when it is opened. A folder of any name is a product if it holds
    ``MTD_MSIL1C.xml``, and so is a zip file of any name. Products are not searched for more, and
    those of other levels are passed over. Links are followed, and each folder is listed once.

    Costs one listing for each folder that is not named as a product, and for zip files whose names
    do not tell what they are a read of their directory.

    Parameters
    ----------
    source : str or Path
        Path or ``s3://`` URL; the metadata file of a product stands for the product. A list file is
        any other file: UTF-8 text, or what its byte order mark says, one product, folder, glob or
        URL a line, relative to the list's folder; ``#`` at the start of a line or behind a space
        begins a comment.

    Raises
    ------
    ProductError
        If nothing matches ``source``, it cannot be read, or it holds no L1C product.
    """
    check_access(path_of(source))
    search = Search()
    _add(search, str(source))
    passed_over = sorted(set(search.passed_over))
    if not search.products:
        raise _nothing_found(str(source), passed_over)
    return Discovery([ProductPath(path) for path in sorted(search.products.values())], passed_over)


def scenes_of(product: ProductPath) -> list[GranuleRef]:
    """Granules of a product, sorted: one in compact products, often many in old ones.

    Raises
    ------
    ProductError
        If the product is missing, a damaged or unsafe zip file, or has no granule.
    """
    files = open_files(product.path)
    folders = [n for n in files.children("GRANULE") if naming.GRANULE_FOLDER.fullmatch(n)]
    if not folders:
        others = [n for n in files.children("") if naming.OTHER_XML.fullmatch(n)]
        if others:
            raise ProductError(
                f"holds {others[0]}, expected a product of level 1C", product.path, "Leave it out"
            )
        raise ProductError(
            "no L1C granule found, expected folders such as GRANULE/L1C_T31TCJ_*",
            product.path,
            "Download the product again",
        )
    return [GranuleRef(product, f"GRANULE/{folder}") for folder in folders]


def _nothing_found(source: str, passed_over: list[PassedOver]) -> ProductError:
    seen = sorted(passed_over, key=lambda item: not item.unseen)
    first = "".join(f"; {item.path}: {item.reason}" for item in seen[:3])
    more = f"; and {len(seen) - 3} more" if len(seen) > 3 else ""
    return ProductError(
        f"no Sentinel-2 L1C product found{first}{more}", printable(source), _WHAT_TO_GIVE
    )


def _add(search: Search, source: str) -> None:
    """Add what a path, URL or glob stands for."""
    place = path_of(source)
    if is_folder(place):
        search.add_folder(str(place.absolute()))
    elif is_file(place):
        _add_named_file(search, place)
    elif glob.has_magic(source):
        search.add_matches(*_start_and_pattern(source, str(Path.cwd())))
    else:
        raise ProductError(_why_not(place), printable(source), _WHAT_TO_GIVE)


def _add_named_file(search: Search, file: Path) -> None:
    """Add a product by its zip file or metadata file, or the products of a list."""
    try:
        if file.name.lower().endswith(".zip") or naming.L1C.match(file.name) or is_zip(file):
            search.add_product(str(file.absolute()))
        elif naming.PRODUCT_XML.fullmatch(file.name):
            search.add_product(str(file.absolute().parent))
        else:
            _add_list(search, file)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ProductError(reason, printable(str(file))) from error


def _add_list(search: Search, file: Path) -> None:
    folder = file.absolute().parent
    for entry in filter(None, map(_entry, _lines(file))):
        path = entry if "://" in entry else str(folder / entry)
        place = path_of(path)
        if is_folder(place):
            search.add_folder(path)
            if not search.holds(path):
                search.pass_over(path, _NOTHING_IN_IT)
        elif glob.has_magic(entry) and not is_file(place):
            search.add_matches(*_start_and_pattern(entry, str(folder)))
        elif naming.PRODUCT_XML.fullmatch(place.name):
            search.add_product(str(place.parent))
        else:
            # A missing product stays listed, so that it fails by name and the others go on.
            search.add_product(path)


def _start_and_pattern(pattern: str, folder: str) -> tuple[str, str]:
    """The folder that a glob starts in, ``folder`` if it is relative, and the rest of it."""
    if "://" in pattern:
        scheme, _, rest = pattern.partition("://")
        bucket, _, key = rest.partition("/")
        return f"{scheme}://{bucket}", key
    return ("/", pattern[1:]) if pattern.startswith("/") else (folder, pattern)


def _entry(line: str) -> str:
    """A line of a list without comment and space around it."""
    return _COMMENT.sub("", line).strip()


def _lines(file: Path) -> list[str]:
    """Lines of a list that hold any text."""
    content = read_bytes(file)
    try:
        text = content.decode(marked_encoding(content) or "utf-8")
        lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
        if lines and all("\0" in line for line in lines):  # UTF-16 that does not say so
            raise ValueError("holds NUL")
    except ValueError as error:
        raise ProductError(
            "neither a product nor a text file of paths",
            printable(str(file)),
            "A list file is UTF-8 text with one path a line",
        ) from error
    return lines


def _why_not(place: Path) -> str:
    """Why something that was named is neither a file nor a folder."""
    try:
        place.stat()
    except (FileNotFoundError, ValueError):
        return "no such file or folder"
    except OSError as error:
        return f"cannot be looked at: {error.strerror or error}"
    return "neither a file nor a folder"
