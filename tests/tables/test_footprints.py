"""Footprints as text, as JSON and in binary are one geometry, and the box fits it."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.grid import Grid
from spark_cot.tables.footprints import box, geojson_of, well_known_binary, well_known_text

EAST = "POLYGON ((178 -18, 180 -18, 180 -17, 178 -18))"
CUT = (
    "MULTIPOLYGON (((179 -18, 180 -18, 180 -17, 179 -18)), "
    "((-180 -18, -179 -17, -180 -17, -180 -18)))"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("POLYGON ((1.5 43.2, 1.6 44.2, 0.2 44.3, 0.1 43.3, 1.5 43.2))", (0.1, 43.2, 1.6, 44.3)),
        ("MULTIPOLYGON (((3 1, 4 1, 4 2, 3 1)), ((-1 0, 1 0, 1 1, -1 0)))", (-1, 0, 4, 2)),
        (EAST, (178, -18, 180, -17)),
        ("POLYGON ((-180 -18, -178 -18, -178 -17, -180 -18))", (-180, -18, -178, -17)),
        (
            "MULTIPOLYGON (((178 -18, 179 -18, 179 -17, 178 -18)), "
            "((179.5 -18, 180 -18, 180 -17, 179.5 -18)))",
            (178, -18, 180, -17),
        ),
        (CUT, (179, -18, -179, -17)),
        (  # islands on both sides, none at the line itself
            "MULTIPOLYGON (((-179.5 8, -179 8, -179 9, -179.5 8)), "
            "((179 8, 179.2 8, 179.2 9, 179 8)), ((178 8, 178.2 8, 178.2 9, 178 8)))",
            (178, 8, -179, 9),
        ),
    ],
)
def test_a_box_has_west_beyond_east_only_across_the_antimeridian(text, expected) -> None:
    assert box(text) == expected


@given(
    st.sampled_from(["EPSG:32601", "EPSG:32701", "EPSG:32660", "EPSG:32631"]),
    st.integers(0, 8000),
    st.integers(600, 9100),
)
def test_a_box_is_as_wide_as_its_grid(crs: str, left: int, bottom: int) -> None:
    grid = Grid(crs, 100e3 + 100 * left, 100e3 + 1000 * bottom, 20, (5490, 5490))
    west, south, east, north = box(well_known_text(grid.footprint()))
    crosses = grid.footprint()["type"] == "MultiPolygon"
    assert (west > east) == crosses
    assert 0 < (east - west) % 360 < 12
    assert 0 < north - south < 2
    assert shapely.geometry.shape(grid.footprint()).area < 12


def test_a_footprint_is_the_same_in_every_form() -> None:
    outline = Grid("EPSG:32631", 300_000.0, 4_900_020.0, 20, (5490, 5490)).footprint()
    text = well_known_text(outline)
    assert geojson_of(text) == outline
    assert well_known_text(geojson_of(CUT)) == shapely.to_wkt(shapely.from_wkt(CUT), 6, trim=False)
    for each in (text, CUT):
        binary = well_known_binary(each)
        assert binary[0] == 1  # little-endian
        assert shapely.from_wkb(binary).equals(shapely.from_wkt(each))
