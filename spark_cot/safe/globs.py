"""What a glob matches, level by level: a folder that cannot be listed is told, not left out."""

import glob
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from spark_cot.safe.places import is_folder, join, real_path
from spark_cot.storage import Entry, entries, path_of

Unseen = Callable[[str, OSError], None]


def expand(start: str, pattern: str, unseen: Unseen) -> list[str]:
    """Paths below the folder ``start`` that ``pattern`` matches, as `glob.glob` would give them.

    ``**`` stands for any number of folders, behind links too, ``*`` for no hidden name. Unlike
    there, a ``**`` at the end stands for no file, and paths ending in a plain name need not exist.

    Parameters
    ----------
    start : str
        Taken as it is, whatever characters it has.
    pattern : str
    unseen : callable
        Told each folder that cannot be listed, and why.
    """
    found = [start]
    for part in pattern.split("/"):
        found = [path for folder in found for path in _level(folder, part, unseen)]
    return found


def _level(folder: str, part: str, unseen: Unseen) -> Iterator[str]:
    if part in ("", "."):
        yield folder
    elif part == "**":
        yield from _below(folder, unseen)
    elif not glob.has_magic(part):
        yield join(folder, part)
    else:
        for entry in _listed(folder, unseen):
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if fnmatchcase(entry.name, part) and not hidden:
                yield join(folder, entry.name)


def _below(top: str, unseen: Unseen) -> Iterator[str]:
    """The folder and all below it that are not hidden, each once."""
    folders, known = [top], set[str]()
    while folders:
        folder = folders.pop()
        if (real := real_path(folder)) in known:
            continue
        known.add(real)
        yield folder
        for entry in reversed(_listed(folder, unseen)):
            path = join(folder, entry.name)
            leads_on = entry.is_folder or (entry.is_link and is_folder(path_of(path)))
            if leads_on and not entry.name.startswith("."):
                folders.append(path)


def _listed(folder: str, unseen: Unseen) -> list[Entry]:
    try:
        return entries(path_of(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unseen(folder, error)
        return []
