"""Footprints: well-known text, its binary form, and the box around it."""

from __future__ import annotations

import re
import struct
from typing import Final

Ring = list[tuple[float, float]]
Box = tuple[float, float, float, float]

_RINGS: Final = re.compile(r"\(([^()]+)\)")
_LITTLE_ENDIAN: Final = b"\x01"
_POLYGON, _MULTIPOLYGON = 3, 6


def rings(text: str) -> list[Ring]:
    """Outlines, longitude and latitude, of a POLYGON or of each polygon of a MULTIPOLYGON."""
    return [
        [(float(x), float(y)) for x, y in (point.split() for point in ring.split(","))]
        for ring in _RINGS.findall(text)
    ]


def well_known_binary(text: str) -> bytes:
    """The same geometry as WKB. Source: OGC 06-103r4, "Simple feature access", 8.2."""
    polygons = [_polygon(ring) for ring in rings(text)]
    if not text.startswith("MULTI"):
        return polygons[0]
    return _LITTLE_ENDIAN + struct.pack("<II", _MULTIPOLYGON, len(polygons)) + b"".join(polygons)


def box(text: str) -> Box:
    """West, south, east, north; west > east across the antimeridian (RFC 7946, section 5.2)."""
    points = [point for ring in rings(text) for point in ring]
    longitudes, latitudes = [x for x, _ in points], [y for _, y in points]
    west, east = min(longitudes), max(longitudes)
    if text.startswith("MULTI"):
        west = min(x for x in longitudes if x > 0)
        east = max(x for x in longitudes if x < 0)
    return west, min(latitudes), east, max(latitudes)


def _polygon(ring: Ring) -> bytes:
    head = struct.pack("<III", _POLYGON, 1, len(ring))
    return _LITTLE_ENDIAN + head + b"".join(struct.pack("<dd", x, y) for x, y in ring)
