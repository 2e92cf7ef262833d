"""Thrift's compact protocol, read into plain values and written back unchanged.

Parquet footers are Thrift structs. Nothing here knows Parquet: a struct is a dictionary
``{field id: (type code, value)}`` in the order of the file, a list is ``(element code, values)``.
Source: Apache Thrift, "Thrift Compact protocol encoding", doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

TRUE: Final = 1
FALSE: Final = 2
BYTE: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
SET: Final = 10
STRUCT: Final = 12

Value = Any
Struct = dict[int, tuple[int, Value]]


def read_struct(stream: BytesIO) -> Struct:
    """The struct that starts at the stream's position; raises ValueError where it is cut short."""
    fields: Struct = {}
    field_id = 0
    while header := _byte(stream):
        delta, code = header >> 4, header & 0x0F
        field_id = field_id + delta if delta else _zigzag(_varint(stream))
        value = code == TRUE if code in (TRUE, FALSE) else _read_value(stream, code)
        fields[field_id] = (code, value)
    return fields


def write_struct(stream: BytesIO, fields: Struct) -> None:
    """Write ``fields`` with their type codes; booleans are written by value."""
    previous = 0
    for field_id, (code, value) in fields.items():
        if code in (TRUE, FALSE):
            code = TRUE if value else FALSE
        delta = field_id - previous
        if 0 < delta <= 15:
            stream.write(bytes([delta << 4 | code]))
        else:
            stream.write(bytes([code]) + _varint_bytes(_unzigzag(field_id)))
        if code not in (TRUE, FALSE):
            _write_value(stream, code, value)
        previous = field_id
    stream.write(b"\0")


def _read_value(stream: BytesIO, code: int) -> Value:
    if code in (I16, I32, I64):
        return _zigzag(_varint(stream))
    if code == BINARY:
        return _bytes(stream, _varint(stream))
    if code == STRUCT:
        return read_struct(stream)
    if code in (LIST, SET):
        header = _byte(stream)
        element, size = header & 0x0F, header >> 4
        size = _varint(stream) if size == 15 else size
        return element, [_read_value(stream, element) for _ in range(size)]
    if code == DOUBLE:
        return _bytes(stream, 8)
    if code in (TRUE, FALSE, BYTE):  # a boolean inside a list takes a byte of its own
        return _byte(stream)
    raise ValueError(f"Thrift type {code} is not one that Parquet uses")


def _write_value(stream: BytesIO, code: int, value: Value) -> None:
    if code in (I16, I32, I64):
        stream.write(_varint_bytes(_unzigzag(value)))
    elif code == BINARY:
        stream.write(_varint_bytes(len(value)) + value)
    elif code == STRUCT:
        write_struct(stream, value)
    elif code in (LIST, SET):
        element, items = value
        size = len(items)
        stream.write(bytes([min(size, 15) << 4 | element]))
        stream.write(_varint_bytes(size) if size >= 15 else b"")
        for item in items:
            _write_value(stream, element, item)
    elif code == DOUBLE:
        stream.write(value)
    else:
        stream.write(bytes([value]))


def _byte(stream: BytesIO) -> int:
    return _bytes(stream, 1)[0]


def _bytes(stream: BytesIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("Thrift struct cut short")
    return data


def _varint(stream: BytesIO) -> int:
    result = shift = 0
    while (byte := _byte(stream)) & 0x80:
        result |= (byte & 0x7F) << shift
        shift += 7
    return result | byte << shift


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _unzigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1
