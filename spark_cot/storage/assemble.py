"""A file made of pieces of others in its store, which an object store need not be sent again.

On a file system the pieces are copied. In an object store the large ones are copied by the store
itself (UploadPartCopy), the small ones are sent together. Either way they are read once, for the
checksum, and the file appears whole. Source: Amazon S3 API reference, "Multipart upload limits".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

from spark_cot.storage.faults import about
from spark_cot.storage.places import is_remote, store_and_key
from spark_cot.storage.publish import replacing

T = TypeVar("T")

#: Bytes of a part of an upload, at least, but for the last one.
LEAST_BYTES: Final = 5 << 20

_BUFFER: Final = 1 << 24
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file from ``start`` up to ``stop``."""

    path: Path
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    def cut(self, size: int) -> tuple[Piece, Piece]:
        """The first ``size`` bytes, and the others."""
        place = self.start + size
        return replace(self, stop=place), replace(self, start=place)

    def read(self) -> bytes:
        """Its bytes.

        Raises
        ------
        OSError
            The file is missing, cannot be read or is shorter.
        """
        with about(self.path):
            content = self._bytes()
        if len(content) != self.size:
            raise OSError(f"{self.path}: is {self.size - len(content)} bytes shorter than it was")
        return content

    def _bytes(self) -> bytes:
        if self.size == 0:
            return b""
        if is_remote(self.path):
            store, key = store_and_key(self.path)
            return bytes(store.cat_file(key, start=self.start, end=self.stop))
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            return stream.read(self.size)


@dataclass(frozen=True, slots=True)
class Assembled:
    """A file that was made: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


def assemble(pieces: Sequence[Piece], tail: bytes, target: Path, scratch: Path) -> Assembled:
    """Publish ``target``: the pieces, which lie in its store, one behind the other, and ``tail``.

    Parameters
    ----------
    pieces : sequence of Piece
    tail : bytes
    target : Path
        Replaced if it exists, and never seen unless whole.
    scratch : Path
        Folder for the temporary file, as for `replacing`.

    Raises
    ------
    OSError
        A piece cannot be read, or the file not be written; then nothing is published.
    """
    return (_upload if is_remote(target) else _copy)(pieces, tail, target, scratch)


def in_steps(pieces: Iterable[Piece], least: int = LEAST_BYTES) -> list[list[Piece]]:
    """The pieces, cut where needed, in groups that are parts of an upload.

    A group of one piece with ``least`` bytes or more can be copied, any other is to be sent; the
    last group, which may be empty, is smaller than ``least`` and goes with the tail.
    """
    groups: list[list[Piece]] = []
    waiting: list[Piece] = []
    for piece in pieces:
        lacking = least - sum(other.size for other in waiting)
        rest = piece
        if waiting and piece.size >= lacking:
            head, rest = piece.cut(lacking if piece.size >= lacking + least else piece.size)
            groups.append([*waiting, head])
            waiting = []
        if rest.size >= least:
            groups.append([rest])
        elif rest.size:
            waiting.append(rest)
    return [*groups, waiting]


def _copy(pieces: Sequence[Piece], tail: bytes, target: Path, scratch: Path) -> Assembled:
    digest = hashlib.sha256()
    with replacing(target, scratch) as temporary, temporary.open("wb") as out:
        for content in chain(_contents(pieces), [tail]):
            digest.update(content)
            out.write(content)
        return Assembled(out.tell(), digest.hexdigest())


def _upload(pieces: Sequence[Piece], tail: bytes, target: Path, _: Path) -> Assembled:
    """By one request if all of it is small, else by a part for each group of pieces."""
    store, key = store_and_key(target)
    *groups, last = in_steps(pieces)
    digest, end = hashlib.sha256(), b"".join(piece.read() for piece in last) + tail
    with about(target):
        if groups:
            upload = _Upload(store, *key.split("/", 1))
            try:
                for group in groups:
                    for content in upload.add(group):
                        digest.update(content)
                upload.complete(end)
            except BaseException:
                upload.abort()
                raise
        else:
            store.pipe_file(key, end)
    digest.update(end)
    return Assembled(sum(piece.size for piece in pieces) + len(tail), digest.hexdigest())


class _Upload:
    """A multipart upload; its parts travel while more are added."""

    def __init__(self, store: Any, bucket: str, key: str) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._place = {"Bucket": bucket, "Key": key}
        begun = store.call_s3("create_multipart_upload", **self._place)
        self._place["UploadId"] = begun["UploadId"]
        self._tags: list[Future[str]] = []

    def add(self, group: Sequence[Piece]) -> Iterator[bytes]:
        """Add a group of pieces as the next part; its content, which the caller must consume."""
        if len(group) == 1:
            self._submit(self._copied, group[0])
            yield from _contents(group)
        else:
            content = b"".join(piece.read() for piece in group)
            self._submit(self._sent, content)
            yield content

    def complete(self, end: bytes) -> None:
        """Add the last part, and let the file appear once all are there."""
        self._submit(self._sent, end)
        parts = [
            {"PartNumber": number, "ETag": tag.result()}
            for number, tag in enumerate(self._tags, start=1)
        ]
        self._pool.shutdown()
        self._store.call_s3(
            "complete_multipart_upload", **self._place, MultipartUpload={"Parts": parts}
        )

    def abort(self) -> None:
        """Forget what was uploaded."""
        self._pool.shutdown(cancel_futures=True)
        self._store.call_s3("abort_multipart_upload", **self._place)

    def _submit(self, function: Callable[[int, T], str], what: T) -> None:
        self._tags.append(self._pool.submit(function, len(self._tags) + 1, what))

    def _copied(self, number: int, piece: Piece) -> str:
        _, source = store_and_key(piece.path)
        answer = self._store.call_s3(
            "upload_part_copy",
            **self._place,
            PartNumber=number,
            CopySource=source,
            CopySourceRange=f"bytes={piece.start}-{piece.stop - 1}",
        )
        return str(answer["CopyPartResult"]["ETag"])

    def _sent(self, number: int, content: bytes) -> str:
        answer = self._store.call_s3("upload_part", **self._place, PartNumber=number, Body=content)
        return str(answer["ETag"])


def _contents(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes of pieces in their order, a buffer at a time."""
    for piece in pieces:
        while piece.size > _BUFFER:
            head, piece = piece.cut(_BUFFER)
            yield head.read()
        yield piece.read()
