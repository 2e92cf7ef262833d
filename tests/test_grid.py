"""Pixel grids and windows."""

import math
from itertools import pairwise

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from spark_cot.grid import Grid, Window
from spark_cot.tables.footprints import well_known_text


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_tiles_cover_a_window_once(row, col, height, width, tile_height, tile_width) -> None:
    window = Window(row, col, height, width)
    tiles = window.tiles(tile_height, tile_width)
    covered = [
        (r, c)
        for tile in tiles
        for r in range(tile.row, tile.row + tile.height)
        for c in range(tile.col, tile.col + tile.width)
    ]
    assert len(covered) == len(set(covered)) == window.pixels
    assert min(covered) == (row, col)
    assert max(covered) == (row + height - 1, col + width - 1)


def test_a_footprint_is_the_grid_in_longitude_and_latitude() -> None:
    grid = Grid("EPSG:32631", 300_000.0, 4_900_020.0, 20, (5490, 5490))
    outline = grid.footprint()
    assert outline["type"] == "Polygon"
    ring = outline["coordinates"][0]
    assert ring[0] == ring[-1]
    # MGRS 31TCJ lies in south-west France; corner checked against the product's own footprint.
    assert abs(ring[0][0] - 0.4959) < 1e-3
    assert abs(ring[0][1] - 44.2260) < 1e-3
    assert well_known_text(outline).startswith("POLYGON ((0.495929 44.225964, ")


def test_a_footprint_follows_the_curved_edges() -> None:
    grid = Grid("EPSG:32631", 300_000.0, 4_900_020.0, 10, (10_980, 10_980))
    [ring] = grid.footprint()["coordinates"]
    xs, ys = transform("EPSG:4326", grid.crs, *zip(*ring, strict=True))
    left, bottom, right, top = grid.bounds
    corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
    assert len(ring) == 4 * 16 + 1
    for (x, y), found_x, found_y in zip(corners, xs[::16], ys[::16], strict=True):
        assert (found_x, found_y) == pytest.approx((x, y), abs=0.1)
    for (x, y), (next_x, next_y) in pairwise(zip(xs, ys, strict=True)):
        assert math.hypot(next_x - x, next_y - y) == pytest.approx((right - left) / 16, abs=0.2)


@pytest.mark.parametrize(
    ("crs", "left", "top"), [("EPSG:32601", 3e5, 7_900_020.0), ("EPSG:32701", 1e5, 8e6)]
)
def test_a_footprint_across_the_antimeridian_is_cut_there(crs, left, top) -> None:
    outline = Grid(crs, left, top, 10, (10_980, 10_980)).footprint()
    assert outline["type"] == "MultiPolygon"
    parts = shapely.get_parts(shapely.geometry.shape(outline))
    assert [part.exterior.is_ccw for part in parts] == [True, True]  # as RFC 7946 has it
    assert sorted(part.bounds[0] < 0 for part in parts) == [False, True]
    text = well_known_text(outline)
    assert text.startswith("MULTIPOLYGON (((")
    assert text.count("((") == 2
