"""The outline of valid pixels: as exact as its cells, simple, and sound as GeoJSON."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from scipy import ndimage

from spark_cot.errors import TableError
from spark_cot.grid import Grid
from spark_cot.tables.footprints import box, well_known_text
from spark_cot.tables.outline import Coverage

FULL = Grid("EPSG:32631", 300_000.0, 4_900_020.0, 10, (10_980, 10_980))
ACROSS = Grid("EPSG:32701", 100_000.0, 8_000_000.0, 20, (5490, 5490))


def small(shape: tuple[int, int]) -> Grid:
    return Grid("EPSG:32631", 300_000.0, 4_900_020.0, 20, shape)


def covered(grid: Grid, valid: np.ndarray) -> Coverage:
    coverage = Coverage.of(grid)
    coverage.add(*(places.astype(np.int16) for places in np.nonzero(valid)))
    return coverage


def shape_of(coverage: Coverage) -> shapely.geometry.base.BaseGeometry:
    """The outline in longitude and latitude, after what every outline must be."""
    outline = coverage.outline()
    shape = shapely.geometry.shape(outline)
    assert outline["type"] in ("Polygon", "MultiPolygon")
    assert shape.is_valid
    for part in shapely.get_parts(shape):
        assert part.exterior.is_ccw
        assert not part.interiors
    return shape


def on_the_map(coverage: Coverage) -> shapely.geometry.base.BaseGeometry:
    """The same in metres."""
    outline = shapely.geometry.mapping(shape_of(coverage))
    return shapely.geometry.shape(transform_geom("EPSG:4326", coverage.grid.crs, outline))


@st.composite
def masks(draw) -> np.ndarray:
    """Unions of rectangles and of half-planes, as islands and swath edges are."""
    ny, nx = draw(st.integers(8, 70)), draw(st.integers(8, 70))
    rows, cols = np.indices((ny, nx))
    mask = np.zeros((ny, nx), bool)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(0, ny - 1)), draw(st.integers(0, nx - 1))
        mask[top : top + draw(st.integers(1, ny)), left : left + draw(st.integers(1, nx))] = True
    slope, edge = draw(st.floats(-3, 3)), draw(st.floats(-50, 50))
    mask &= cols + slope * rows > edge
    if not mask.any():
        mask[0, 0] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(masks())
def test_the_area_is_that_of_the_valid_pixels_but_for_a_cell_along_the_edge(mask) -> None:
    grid = small(mask.shape)
    found = on_the_map(covered(grid, mask))
    area = ndimage.binary_fill_holes(mask).sum() * 20**2
    edges = np.count_nonzero(np.diff(np.pad(mask, 1), axis=0))
    edges += np.count_nonzero(np.diff(np.pad(mask, 1), axis=1))
    assert abs(found.area - area) <= edges * 20 * 20
    left, bottom, right, top = grid.bounds
    assert found.within(shapely.box(left - 1, bottom - 1, right + 1, top + 1))


@settings(max_examples=25, deadline=None)
@given(st.floats(-2, 2), st.floats(0.2, 0.8))
def test_a_swath_edge_is_followed_within_two_cells_in_few_points(slope, share) -> None:
    (ny, nx), resolution = FULL.shape, FULL.resolution
    left, bottom, right, top = FULL.bounds
    coverage = Coverage.of(FULL)
    middle, step = coverage.size // 2, coverage.size
    rows, cols = np.mgrid[middle:ny:step, middle:nx:step]
    valid = cols - share * nx > slope * (rows - ny / 2)
    coverage.add(rows[valid], cols[valid])
    found = on_the_map(coverage)
    ends = [
        (left + resolution * (share * nx + slope * (row - ny / 2)), top - resolution * row)
        for row in (0, ny)
    ]
    east = shapely.Polygon([*ends, (1e6, bottom), (1e6, top)])
    true = east.intersection(shapely.box(left, bottom, right, top))
    distance = shapely.hausdorff_distance(found.boundary, true.boundary, densify=0.01)
    assert distance <= 2 * coverage.size * resolution
    assert len(shapely.get_coordinates(found)) < 100


def test_a_full_grid_has_its_own_footprint() -> None:
    for grid in (FULL, ACROSS, small((48, 48)), small((1000, 1500))):
        coverage = Coverage.of(grid)
        coverage.cells[:] = True
        assert coverage.outline() == grid.footprint()
        coverage.cells[7:9, 7:9] = False
        assert coverage.outline() == grid.footprint()


def test_a_grid_that_cells_do_not_divide_is_not_exceeded() -> None:
    grid = small((1030, 1025))
    coverage = Coverage.of(grid)
    assert coverage.size == 2
    assert coverage.cells.shape == (515, 513)
    coverage.add(np.array([1029]), np.array([1024]))
    left, bottom, right, top = on_the_map(coverage).bounds
    corner = (grid.bounds[2] - 20, grid.bounds[1], grid.bounds[2], grid.bounds[1] + 40)
    assert (left, bottom, right, top) == pytest.approx(corner, abs=0.2)


def test_islands_are_a_multipolygon_without_specks_and_holes() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:50, 10:40] = mask[60:90, 60:95] = True
    mask[20:30, 20:30] = False
    mask[2, 2] = mask[99, 1] = True
    shape = on_the_map(covered(small(mask.shape), mask))
    assert [part.area for part in shapely.get_parts(shape)] == pytest.approx(
        [30 * 35 * 400, 40 * 30 * 400], rel=1e-3
    )


def test_an_island_in_a_hole_belongs_to_what_is_around_it() -> None:
    mask = np.ones((60, 60), bool)
    mask[0] = False
    mask[10:50, 10:50] = False
    mask[20:30, 20:30] = True
    [part] = shapely.get_parts(on_the_map(covered(small(mask.shape), mask)))
    assert part.area == pytest.approx(59 * 60 * 400, rel=1e-3)


def test_specks_alone_are_a_box_around_them() -> None:
    valid = np.random.default_rng(1).random((120, 120)) < 0.15
    valid[:20] = valid[:, 100:] = False
    valid[20, 5] = valid[119, 99] = True
    assert ndimage.label(valid)[1] > 1000
    grid = small(valid.shape)
    thin = covered(grid, valid & (np.indices(valid.shape).sum(0) % 2 == 0))
    thin.add(np.array([20]), np.array([0]))
    left, bottom, right, top = on_the_map(thin).bounds
    assert (left, top) == pytest.approx((grid.left, grid.top - 400), abs=0.2)
    assert (right - left, top - bottom) == pytest.approx((2000, 2000), abs=0.5)


def test_parts_on_both_sides_of_the_antimeridian_are_cut_there() -> None:
    rows, cols = np.mgrid[0:5490:4, 0:5490:4]
    coverage = Coverage.of(ACROSS)
    for part in (abs(rows - 2700) > 400, cols > 5000):
        coverage.add(rows[part], cols[part])
    shape = shape_of(coverage)
    west, _, east, _ = box(well_known_text(coverage.outline()))
    assert 179 < west < 180
    assert -180 < east < -179
    assert len(shapely.get_parts(shape)) == 3
    assert {-180.0, 180.0} <= set(shapely.get_coordinates(shape)[:, 0])


def test_a_scene_on_one_side_of_the_antimeridian_is_not_across_it() -> None:
    coverage = Coverage.of(ACROSS)
    coverage.cells[:, :400] = True
    assert coverage.outline()["type"] == "Polygon"
    west, _, east, _ = box(well_known_text(coverage.outline()))
    assert 179 < west < east < 180


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 2)])
def test_the_smallest_have_an_outline(shape) -> None:
    grid = small((1000, 1000))
    coverage = Coverage.of(grid)
    coverage.cells[500 : 500 + shape[0], 20 : 20 + shape[1]] = True
    assert shape_of(coverage).area > 0


def test_without_a_valid_pixel_there_is_no_outline() -> None:
    with pytest.raises(ValueError, match="no valid pixel"):
        Coverage.of(FULL).outline()


@settings(max_examples=30, deadline=None)
@given(masks(), st.integers(0, 99))
def test_pieces_and_text_make_the_same_coverage(mask, seed) -> None:
    grid = small(mask.shape)
    whole = covered(grid, mask)
    chosen = np.random.default_rng(seed).random(mask.shape) < 0.5
    pieces = [covered(grid, mask & chosen), covered(grid, mask & ~chosen)]
    again = [Coverage.from_text(grid, piece.to_text()) for piece in pieces]
    assert np.array_equal((again[0] | again[1]).cells, whole.cells)
    assert np.array_equal(whole.cells, mask)


def test_a_swath_of_a_full_scene_is_short_as_text() -> None:
    coverage = Coverage.of(FULL)
    rows, cols = np.indices(coverage.cells.shape)
    coverage.cells[:] = cols + 0.3 * rows > 400
    assert len(coverage.to_text()) < 5000


@pytest.mark.parametrize("damage", ["", "%", "AAAA", "eJwDAAAAAAE="])
def test_damaged_text_is_told(damage: str) -> None:
    with pytest.raises(TableError, match="coverage"):
        Coverage.from_text(FULL, damage)


def test_text_of_another_grid_is_told() -> None:
    text = Coverage.of(small((48, 48))).to_text()
    with pytest.raises(TableError, match="expected"):
        Coverage.from_text(small((48, 58)), text)
    with pytest.raises(ValueError, match="one grid"):
        Coverage.of(small((48, 48))) | Coverage.of(FULL)


def test_the_same_outline_is_drawn_by_gdal() -> None:
    """Pixels whose centre lies in the outline are those that are valid, but for the edge."""
    grid = small((300, 200))
    rows, cols = np.indices(grid.shape)
    valid = (cols - 100) ** 2 / 80**2 + (rows - 150) ** 2 / 120**2 < 1
    shape = on_the_map(covered(grid, valid))
    drawn = rasterize([shape], grid.shape, transform=grid.transform).astype(bool)
    ring = ndimage.binary_dilation(valid, iterations=3) & ~ndimage.binary_erosion(
        valid, iterations=3
    )
    assert np.array_equal(drawn[~ring], valid[~ring])
