"""Parquet files joined into one by copying their row groups as they are, byte for byte.

Blocks of a scene are decoded and encoded in parallel, each into a part file. A reader with
nothing but the path must never see some of them, and a rename (or one PUT on an object store)
is atomic for one file only. So the parts become one file: their column chunks are copied at disk
speed and only the footer is written anew, with every offset moved. Format: Apache Parquet,
parquet-format README and parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from spark_cot.commit.thrift import BINARY, LIST, STRUCT, Struct, read_struct, write_struct
from spark_cot.errors import TableError
from spark_cot.storage import exists, is_remote

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8  # length of the footer as 4 bytes, then the magic

# Field numbers of parquet.thrift.
_FILE_SCHEMA, _FILE_ROWS, _FILE_ROW_GROUPS, _FILE_KEY_VALUES = 2, 3, 4, 5
_GROUP_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA = 2, 3
_CHUNK_OFFSET_INDEX, _CHUNK_COLUMN_INDEX = (4, 5), (6, 7)
_META_OFFSETS: Final = (9, 10, 11)  # data page, index page, dictionary page
_META_BLOOM: Final = (14, 15)


def stitch(parts: Sequence[Path], target: Path, metadata: Mapping[str, str]) -> int:
    """Write the row groups of ``parts``, in order, into one Parquet file.

    Parameters
    ----------
    parts : sequence of Path
        Parquet files of one schema; files without rows add nothing.
    target : Path
        File to write; must not exist elsewhere in use: the caller renames it into place.
    metadata : mapping
        Key-value metadata set in the joined file beside the schema's own.

    Returns
    -------
    int
        Rows in ``target``.

    Raises
    ------
    TableError
        ``parts`` is empty, a part is no whole Parquet file, or the schemas differ.
    """
    if not parts:
        raise TableError("no part files to join", str(target))
    footers = [_read_footer(part) for part in parts]
    for part, footer in zip(parts, footers, strict=True):
        if _get(footer, _FILE_SCHEMA) != _get(footers[0], _FILE_SCHEMA):
            raise TableError(f"schema differs from that of {parts[0].name}", str(part))
    groups: list[Struct] = []
    with target.open("wb") as out:
        out.write(_MAGIC)
        for part, footer in zip(parts, footers, strict=True):
            shift = out.tell() - len(_MAGIC)
            _copy_body(part, out)
            for group in _get(footer, _FILE_ROW_GROUPS)[1]:
                if _get(group, _GROUP_ROWS):
                    groups.append(_moved(group, shift, ordinal=len(groups)))
        joined = _joined_footer(footers, groups, metadata)
        out.write(joined + len(joined).to_bytes(4, "little") + _MAGIC)
    return sum(int(_get(footer, _FILE_ROWS)) for footer in footers)


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


def _read_footer(path: Path) -> Struct:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        if size >= len(_MAGIC) + _TAIL:
            stream.seek(size - _TAIL)
            tail = stream.read(_TAIL)
            length = int.from_bytes(tail[:4], "little")
            if tail[4:] == _MAGIC and length <= size - _TAIL - len(_MAGIC):
                stream.seek(size - _TAIL - length)
                return read_struct(BytesIO(stream.read(length)))
    raise TableError("not a whole Parquet file", str(path), "Delete it; the next run remakes it")


def _copy_body(path: Path, out: Any) -> None:
    """Everything between the leading magic and the footer; writers put nothing else there."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(size - _TAIL)
        end = size - _TAIL - int.from_bytes(stream.read(4), "little")
        stream.seek(len(_MAGIC))
        _copy_exactly(stream, out, end - len(_MAGIC))


def _copy_exactly(stream: Any, out: Any, size: int, buffer: int = 1 << 22) -> None:
    while size > 0:
        chunk = stream.read(min(size, buffer))
        if not chunk:
            raise TableError("Parquet file shortened while being read", stream.name)
        out.write(chunk)
        size -= len(chunk)


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
) -> bytes:
    joined = dict(footers[0])
    code, _ = joined[_FILE_ROWS]
    joined[_FILE_ROWS] = (code, sum(_get(footer, _FILE_ROWS) for footer in footers))
    joined[_FILE_ROW_GROUPS] = (LIST, (STRUCT, groups))
    joined[_FILE_KEY_VALUES] = (LIST, (STRUCT, _key_values(footers[0], metadata)))
    stream = BytesIO()
    write_struct(stream, dict(sorted(joined.items())))
    return stream.getvalue()


def _key_values(footer: Struct, metadata: Mapping[str, str]) -> list[Struct]:
    """The footer's own pairs, those of ``metadata`` put in their place or behind."""
    own = _get(footer, _FILE_KEY_VALUES)[1] if _FILE_KEY_VALUES in footer else []
    pairs = {_get(pair, 1): pair for pair in own}
    for key, value in metadata.items():
        pairs[key.encode()] = {1: (BINARY, key.encode()), 2: (BINARY, value.encode())}
    return list(pairs.values())
