"""Footprints: well-known text, its binary form, GeoJSON, and the box around it.

Sources: OGC 06-103r4, "Simple feature access"; RFC 7946, "The GeoJSON Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import shapely

from spark_cot.grid import DECIMALS, geojson

Box = tuple[float, float, float, float]


def well_known_text(outline: Mapping[str, Any]) -> str:
    """The WKT of a GeoJSON geometry in longitude and latitude, with six decimals."""
    shape = shapely.from_geojson(json.dumps(outline))
    text: str = shapely.to_wkt(shape, rounding_precision=DECIMALS, trim=False)
    return text


def geojson_of(text: str) -> dict[str, Any]:
    """The GeoJSON geometry of a WKT."""
    return geojson(shapely.from_wkt(text))


def well_known_binary(text: str) -> bytes:
    """The WKB of a WKT."""
    binary: bytes = shapely.to_wkb(shapely.from_wkt(text), byte_order=1)
    return binary


def box(text: str) -> Box:
    """West, south, east, north around a WKT; west > east across the antimeridian (RFC 7946, 5.2).

    A footprint across the antimeridian is cut there, or has parts on both sides of it: going round
    the other way it would be wider than half of the Earth, which no scene is.
    """
    shape = shapely.from_wkt(text)
    west, south, east, north = map(float, shape.bounds)
    if east - west > 180:
        longitudes = shapely.get_coordinates(shape)[:, 0]
        west = float(longitudes[longitudes > 0].min())
        east = float(longitudes[longitudes < 0].max())
    return west, south, east, north
