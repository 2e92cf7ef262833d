"""Where files lie: a file system or an object store, behind the methods of ``pathlib.Path``.

Paths such as ``s3://bucket/workspace`` are universal-pathlib's `UPath`, which has the methods of
``pathlib.Path`` and is annotated as one throughout the package. What differs between the two kinds
of store, and all of it, is here: a file system renames, an object store has no rename but shows an
object only when its upload is complete.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import cast

from upath import UPath


def create(target: Path, content: str) -> bool:
    """Make ``target`` with ``content`` (UTF-8) unless it exists; of many callers one succeeds.

    A hard link on file systems, a PUT with ``If-None-Match: *`` on object stores: the file is
    never seen empty or half-written.

    Returns
    -------
    bool
        Whether this call made it.
    """
    if isinstance(target, Path):
        return _link(target, content)
    remote = cast(UPath, target)
    try:
        remote.fs.pipe_file(remote.path, content.encode(), mode="create")
    except OSError:  # not every server says which condition failed
        if not remote.exists():
            raise
        return False
    return True


def _link(target: Path, content: str) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(content, encoding="utf-8")
        target.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
