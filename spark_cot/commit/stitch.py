"""Parquet files joined into one by copying their row groups as they are, byte for byte.

Blocks of a scene are decoded and encoded in parallel, each into a part file. A reader with
nothing but the path must never see some of them, and a rename (or one PUT on an object store)
is atomic for one file only. So the parts become one file: their column chunks are copied as they
are, by the store itself where it can, and only the footer is written anew, with every offset moved.
Format: Apache Parquet,
parquet-format README and parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from spark_cot.commit.files import FileRecord
from spark_cot.commit.thrift import BINARY, LIST, STRUCT, Struct, read_struct, write_struct
from spark_cot.errors import TableError
from spark_cot.storage import Piece, assemble, exists, is_remote

#: Footer entries of a part, and of no other file: the seconds it took, and what it notes.
SECONDS: Final = "spark_cot.seconds"
NOTE: Final = "spark_cot.note"

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8  # length of the footer as 4 bytes, then the magic
#: Read of a file's end at first: most footers of parts are smaller.
_FOOTER_READ: Final = 1 << 16

# Field numbers of parquet.thrift.
_FILE_SCHEMA, _FILE_ROWS, _FILE_ROW_GROUPS, _FILE_KEY_VALUES = 2, 3, 4, 5
_GROUP_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA = 2, 3
_CHUNK_OFFSET_INDEX, _CHUNK_COLUMN_INDEX = (4, 5), (6, 7)
_META_OFFSETS: Final = (9, 10, 11)  # data page, index page, dictionary page
_META_BLOOM: Final = (14, 15)


@dataclass(frozen=True, slots=True)
class Joined:
    """How parts become one file.

    Attributes
    ----------
    pieces : list[Piece]
        Bytes of the parts, in the order in which they stand in the file.
    footer : bytes
        What stands behind them.
    rows : int
    seconds : float
        What the parts say that they took.
    metadata : mapping
        What was set in the file's key-value metadata.
    """

    pieces: list[Piece]
    footer: bytes
    rows: int
    seconds: float
    metadata: Mapping[str, str]

    def publish(self, target: Path, scratch: Path) -> FileRecord:
        """Write the file; parameters and errors are those of `storage.assemble`."""
        made = assemble(self.pieces, self.footer, target, scratch)
        return {"bytes": made.size, "sha256": made.sha256}


def join(
    parts: Mapping[Path, int],
    metadata: Mapping[str, str],
    sum_up: Callable[[Sequence[str]], Mapping[str, str]] | None = None,
) -> Joined:
    """Let the row groups of ``parts``, in order, be those of one Parquet file.

    Parameters
    ----------
    parts : mapping
        Parquet files of one schema with their bytes; files without rows add nothing.
    metadata : mapping
        Key-value metadata set in the joined file beside the schema's own.
    sum_up : callable, optional
        Gives further metadata, of what the parts note (`sign`).

    Raises
    ------
    TableError
        ``parts`` is empty, a part is no whole Parquet file, or the schemas differ.
    """
    if not parts:
        raise TableError("no part files to join")
    footers = {part: _read_footer(part, size) for part, size in parts.items()}
    first = next(iter(footers))
    schema = _get(footers[first].fields, _FILE_SCHEMA)
    pieces: list[Piece] = []
    groups: list[Struct] = []
    for part, (footer, end) in footers.items():
        if _get(footer, _FILE_SCHEMA) != schema:
            raise TableError(f"schema differs from that of {first.name}", str(part))
        # The magic of the first part begins the file; writers put nothing else before a footer.
        start = len(_MAGIC) if pieces else 0
        shift = sum(piece.size for piece in pieces) - start
        pieces.append(Piece(part, start, end))
        for group in _get(footer, _FILE_ROW_GROUPS)[1]:
            if _get(group, _GROUP_ROWS):
                groups.append(_moved(group, shift, ordinal=len(groups)))
    read = [footer for footer, _ in footers.values()]
    if sum_up is not None:
        metadata = {**metadata, **sum_up([_own(footer, NOTE) for footer in read])}
    return Joined(
        pieces,
        _ending(_joined_footer(read, groups, metadata)),
        sum(int(_get(footer, _FILE_ROWS)) for footer in read),
        sum(float(_own(footer, SECONDS) or 0) for footer in read),
        metadata,
    )


def sign(part: Path, seconds: float, note: str = "") -> None:
    """Let a part that has just been written say what it took, and what there is to note of it.

    Raises
    ------
    TableError
        It is no whole Parquet file.
    """
    footer, end = _read_footer(part, part.stat().st_size)
    # Seconds of one length: a twin's part is as long as this one.
    pairs = {SECONDS: f"{seconds:012.3f}"} | ({NOTE: note} if note else {})
    footer[_FILE_KEY_VALUES] = (LIST, (STRUCT, _key_values(footer, pairs)))
    with part.open("r+b") as stream:
        stream.seek(end)
        stream.write(_ending(footer))
        stream.truncate()


def is_whole(part: Path) -> bool:
    """Whether a file is there to its end, which has the magic of Parquet; an object always is.

    File systems write a file's length after its content, so that no more than this can be lost.
    """
    if is_remote(part):
        return exists(part)
    try:
        with part.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - len(_MAGIC)))
            return size >= len(_MAGIC) + _TAIL and stream.read() == _MAGIC
    except FileNotFoundError:
        return False


def _get(fields: Struct, field_id: int) -> Any:
    return fields[field_id][1]


class _Footer(NamedTuple):
    """The footer of a Parquet file, and the byte at which it begins."""

    fields: Struct
    start: int


def _read_footer(path: Path, size: int) -> _Footer:
    """Footer of a file of so many bytes."""
    end = Piece(path, max(0, size - _FOOTER_READ), size).read()
    length = int.from_bytes(end[-_TAIL : -len(_MAGIC)], "little") + _TAIL
    if end[-len(_MAGIC) :] != _MAGIC or length > size - len(_MAGIC):
        raise TableError(
            "not a whole Parquet file", str(path), "Delete it; the next run remakes it"
        )
    if length > len(end):
        end = Piece(path, size - length, size).read()
    return _Footer(read_struct(BytesIO(end[-length:])), size - length)


def _ending(footer: Struct) -> bytes:
    """The bytes that end a Parquet file with this footer."""
    stream = BytesIO()
    write_struct(stream, dict(sorted(footer.items())))
    content = stream.getvalue()
    return content + len(content).to_bytes(4, "little") + _MAGIC


def _moved(group: Struct, shift: int, ordinal: int) -> Struct:
    """``group`` with every file offset moved by ``shift``, without indexes kept outside it."""
    moved = dict(group)
    moved[_GROUP_COLUMNS] = (LIST, (STRUCT, [_moved_chunk(c, shift) for c in _get(group, 1)[1]]))
    if _GROUP_OFFSET in moved:
        moved[_GROUP_OFFSET] = _shifted(moved[_GROUP_OFFSET], shift)
    if _GROUP_ORDINAL in moved:
        moved[_GROUP_ORDINAL] = (moved[_GROUP_ORDINAL][0], ordinal)
    return moved


def _moved_chunk(chunk: Struct, shift: int) -> Struct:
    dropped = {*_CHUNK_OFFSET_INDEX, *_CHUNK_COLUMN_INDEX}
    moved = {key: field for key, field in chunk.items() if key not in dropped}
    # 0 is what newer writers put into this deprecated field.
    if _get(moved, _CHUNK_OFFSET):
        moved[_CHUNK_OFFSET] = _shifted(moved[_CHUNK_OFFSET], shift)
    code, metadata = moved[_CHUNK_METADATA]
    moved[_CHUNK_METADATA] = (
        code,
        {
            key: _shifted(field, shift) if key in _META_OFFSETS else field
            for key, field in metadata.items()
            if key not in _META_BLOOM
        },
    )
    return moved


def _shifted(field: tuple[int, int], shift: int) -> tuple[int, int]:
    code, offset = field
    return code, offset + shift


def _joined_footer(
    footers: Sequence[Struct], groups: list[Struct], metadata: Mapping[str, str]
) -> Struct:
    joined = dict(footers[0])
    code, _ = joined[_FILE_ROWS]
    joined[_FILE_ROWS] = (code, sum(_get(footer, _FILE_ROWS) for footer in footers))
    joined[_FILE_ROW_GROUPS] = (LIST, (STRUCT, groups))
    own = (SECONDS.encode(), NOTE.encode())
    pairs = [pair for pair in _key_values(footers[0], metadata) if _get(pair, 1) not in own]
    joined[_FILE_KEY_VALUES] = (LIST, (STRUCT, pairs))
    return joined


def _key_values(footer: Struct, metadata: Mapping[str, str]) -> list[Struct]:
    """The footer's own pairs, those of ``metadata`` put in their place or behind."""
    own = _get(footer, _FILE_KEY_VALUES)[1] if _FILE_KEY_VALUES in footer else []
    pairs = {_get(pair, 1): pair for pair in own}
    for key, value in metadata.items():
        pairs[key.encode()] = {1: (BINARY, key.encode()), 2: (BINARY, value.encode())}
    return list(pairs.values())


def _own(footer: Struct, name: str) -> str:
    """What a part says of itself; empty if nothing."""
    pairs = {_get(pair, 1): _get(pair, 2) for pair in _key_values(footer, {})}
    return str(pairs.get(name.encode(), b"").decode())
