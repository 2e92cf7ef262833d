"""What lies in a folder tree: its products, and whatever else was met and passed over.

Each folder is listed once, through links too. Of the files, those of no interest are not noted.
"""

import errno
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from spark_cot.safe import naming
from spark_cot.safe.globs import expand
from spark_cot.safe.places import is_file, is_folder, is_link, join, name_of, printable, real_path
from spark_cot.safe.recognise import (
    PRODUCT,
    Verdict,
    by_file,
    by_folder_list,
    by_folder_name,
    is_private,
)
from spark_cot.storage import Entry, entries, path_of

_PRIVATE: Final = Verdict("kept by the system or a tool for itself")
_OTHER_BYTES: Final = Verdict(
    "its path is no UTF-8, which images and tables need: rename it", unseen=True
)
_HOLLOW: Final = Verdict("named as a product, but holds none", unseen=True)
_NO_MATCH: Final = Verdict("no file or folder matches", unseen=True)
_NO_FILE: Final = Verdict("named as a product, but neither a file nor a folder", unseen=True)


@dataclass(frozen=True, slots=True, order=True)
class PassedOver:
    """What was named or met in an archive and is not among its products.

    Attributes
    ----------
    path : str
        Where it lies; bytes that are no UTF-8 are spelled out in hexadecimal digits.
    reason : str
    unseen : bool
        Whether it may hold L1C pixels all the same: it could not be looked at, or cannot be read
        in this form. A product of another level, say, is known to hold none; a download that has
        not ended will come under its own name.
    """

    path: str
    reason: str
    unseen: bool = False


class Search:
    """A search through files and folders.

    Attributes
    ----------
    products : dict[str, str]
        By real path, the path by which each was met first.
    passed_over : list[PassedOver]
    """

    def __init__(self) -> None:
        self.products: dict[str, str] = {}
        self.passed_over: list[PassedOver] = []
        self._listed: dict[str, str] = {}
        self._folders: list[tuple[str, str]] = []
        self._links: deque[str] = deque()
        self._hollow: list[str] = []

    def add_folder(self, top: str) -> None:
        """Add what lies at or below a folder.

        Links are followed when all real folders are done: so a product goes by its path without
        links if it has one, and a link back into the tree finds everything listed.
        """
        self._meet_folder(top, real_path(top))
        while self._folders or self._links:
            if self._folders:
                self._list(*self._folders.pop())
            else:
                self._follow(self._links.popleft())
        self._note_hollow()

    def add_file(self, path: str) -> None:
        """Add a regular file or a link to one, unless it is of no interest."""
        self._meet_file(path, real_path(path))

    def add_matches(self, start: str, pattern: str) -> None:
        """Add what a glob below the folder ``start`` matches."""
        found = expand(start, pattern, self._not_listed)
        met = [self._add_match(path) for path in found]
        if not any(met):
            self.pass_over(join(start, pattern), _NO_MATCH)

    def add_product(self, path: str) -> None:
        """Add what was named as a product."""
        self._judge(path, real_path(path), PRODUCT)

    def holds(self, folder: str) -> bool:
        """Whether a product lies at or below a folder."""
        real = real_path(folder)
        return any(
            product == real or product.startswith(join(real, "")) for product in self.products
        )

    def pass_over(self, path: str, verdict: Verdict) -> None:
        """Note what is no product."""
        self.passed_over.append(PassedOver(printable(path), verdict.reason, verdict.unseen))

    def _meet_file(self, path: str, real: str) -> None:
        try:
            verdict = by_file(path)
        except OSError as error:
            verdict = _unseen(error)
        if verdict is not None:
            self._judge(path, real, verdict)

    def _judge(self, path: str, real: str, verdict: Verdict) -> None:
        if not verdict.is_product:
            self.pass_over(path, verdict)
        elif printable(path) != path:
            self.pass_over(path, _OTHER_BYTES)
        elif (known := self.products.setdefault(real, path)) != path:
            self.pass_over(path, Verdict(f"the same product as {known}"))

    def _meet_folder(self, path: str, real: str) -> None:
        verdict = by_folder_name(name_of(path))
        if verdict is None:
            self._folders.append((path, real))
        else:
            self._judge(path, real, verdict)

    def _add_match(self, path: str) -> bool:
        """Add a file or folder; whether there is one."""
        place = path_of(path)
        if is_folder(place):
            self.add_folder(path)
        elif naming.PRODUCT_XML.fullmatch(name_of(path)) and is_file(place):
            self.add_product(path.rpartition("/")[0])
        elif is_file(place):
            self.add_file(path)
        elif is_link(path):
            self._follow(path)
        else:
            return False
        return True

    def _not_listed(self, folder: str, error: OSError) -> None:
        self.pass_over(folder, _unseen(error))

    def _list(self, folder: str, real: str) -> None:
        known = self._listed.setdefault(real, folder)
        if known != folder:
            self.pass_over(folder, Verdict(f"the same folder as {known}"))
            return
        try:
            inside = entries(path_of(folder))
        except OSError as error:
            self._not_listed(folder, error)
            return
        name = name_of(folder)
        verdict = by_folder_list(name, {entry.name for entry in inside})
        if verdict is not None:
            self._judge(folder, real, verdict)
            return
        if naming.L1C.match(name):
            self._hollow.append(folder)
        for entry in reversed(inside):
            self._meet(entry, join(folder, entry.name), join(real, entry.name))

    def _meet(self, entry: Entry, path: str, real: str) -> None:
        if is_private(entry.name):
            if entry.is_folder:
                self.pass_over(path, _PRIVATE)
        elif entry.is_link:
            self._links.append(path)
        elif entry.is_folder:
            self._meet_folder(path, real)
        elif entry.is_file:
            self._meet_file(path, real)
        elif naming.L1C.match(entry.name):
            self.pass_over(path, _NO_FILE)

    def _follow(self, link: str) -> None:
        try:
            mode = Path(link).stat().st_mode
        except OSError as error:
            self.pass_over(link, _unseen(error, "a link, and its end "))
            return
        if stat.S_ISDIR(mode):
            self._meet_folder(link, real_path(link))
        elif stat.S_ISREG(mode):
            self._meet_file(link, real_path(link))

    def _note_hollow(self) -> None:
        """Folders that are named as products, and had nothing to judge in them."""
        if self._hollow:
            met = [*self.products.values(), *(item.path for item in self.passed_over)]
            held = {str(folder) for path in met for folder in PurePath(path).parents}
            for folder in self._hollow:
                if folder not in held:
                    self.pass_over(folder, _HOLLOW)
        self._hollow.clear()


def _unseen(error: OSError, what: str = "") -> Verdict:
    """What could not be looked at. A link to itself holds nothing."""
    text = f"{what}cannot be read: {error.strerror or error}"
    return Verdict(text, unseen=error.errno != errno.ELOOP)
