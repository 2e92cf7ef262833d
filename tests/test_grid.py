"""Pixel grids and windows."""

from hypothesis import given
from hypothesis import strategies as st

from spark_cot.archive.ingest import _wkt
from spark_cot.grid import Grid, Window


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
    assert _wkt(outline).startswith("POLYGON ((0.495929 44.225964, ")


def test_a_footprint_across_the_antimeridian_is_cut_there() -> None:
    outline = Grid("EPSG:32701", 100_000.0, 8_000_000.0, 10, (10_980, 10_980)).footprint()
    assert outline["type"] == "MultiPolygon"
    assert _wkt(outline).startswith("MULTIPOLYGON (((")
    assert _wkt(outline).count("((") == 2
