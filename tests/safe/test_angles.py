import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.errors import ProductError
from spark_cot.grid import Grid, Window
from spark_cot.safe.angles import (
    AngleGrids,
    directions,
    interpolate,
    read_angles,
    read_view_grids,
    relative_azimuth,
    zenith,
)
from spark_cot.safe.spec import ProductSpec, granule_xml
from spark_cot.safe.xml import Metadata

zeniths = st.floats(1, 85)
azimuths = st.floats(0, 360)


def metadata(spec: ProductSpec, extent: int = 10_000) -> Metadata:
    return Metadata(granule_xml(spec, (extent, extent)), "MTD_TL.xml")


def single(zenith_deg: float, azimuth_deg: float) -> np.ndarray:
    return directions(np.full((1, 1), zenith_deg), np.full((1, 1), azimuth_deg))


@given(zeniths, azimuths, zeniths, azimuths)
def test_relative_azimuth_folds_and_gives_the_scattering_angle(
    sun_zenith: float, sun_azimuth: float, view_zenith: float, view_azimuth: float
) -> None:
    sun, view = single(sun_zenith, sun_azimuth), single(view_zenith, view_azimuth)
    [[dphi]] = relative_azimuth(sun, view)
    folded = abs((180 - (view_azimuth - sun_azimuth) + 180) % 360 - 180)
    assert dphi == pytest.approx(folded, abs=1e-6)
    scattering = -(sun * view).sum()
    mu0, mu = np.cos(np.radians([sun_zenith, view_zenith]))
    sines = np.sin(np.radians(sun_zenith)) * np.sin(np.radians(view_zenith))
    assert -mu0 * mu + sines * np.cos(np.radians(dphi)) == pytest.approx(scattering, abs=1e-9)


def test_sun_behind_the_satellite_is_backscattering() -> None:
    assert relative_azimuth(single(40, 150), single(8, 150)) == pytest.approx(180)
    assert relative_azimuth(single(40, 150), single(8, 330)) == pytest.approx(0)


@given(zeniths, azimuths)
def test_zenith_undoes_directions(zenith_deg: float, azimuth_deg: float) -> None:
    assert zenith(single(zenith_deg, azimuth_deg)) == pytest.approx(zenith_deg)


def test_interpolation_is_bilinear_and_clamped() -> None:
    y, x = np.arange(3.0), np.arange(4.0)
    nodes = np.stack([np.add.outer(y, 10 * x), np.multiply.outer(y, x), np.ones((3, 4))])
    at_y, at_x = np.array([-1.0, 0.25, 1.5, 2.0]), np.array([0.0, 2.75, 9.0])
    inside_y, inside_x = at_y.clip(0, 2), at_x.clip(0, 3)
    expected = [
        np.add.outer(inside_y, 10 * inside_x),
        np.multiply.outer(inside_y, inside_x),
        np.ones((4, 3)),
    ]
    np.testing.assert_allclose(interpolate(nodes, at_y, at_x), expected, rtol=1e-6)


def test_azimuth_wraps_between_nodes() -> None:
    azimuth = np.array([[359.0, 1.0], [359.0, 1.0]])
    sun = directions(np.full((2, 2), 30.0), azimuth)
    view = directions(np.full((2, 2), 5.0), np.full((2, 2), 180.0))
    grids = AngleGrids(0.0, 0.0, (5000.0, 5000.0), sun, view)
    angles = grids.at(Grid("EPSG:32631", 0.0, 0.0, 20, (250, 250)), Window(0, 0, 250, 250))
    assert angles.dtype == np.float32
    assert angles[2].max() <= 1.0
    np.testing.assert_allclose(angles[0], 30, atol=0.01)
    np.testing.assert_array_equal(angles, angles.round(2))


def test_nodes_count_from_the_tile_corner_not_from_the_image() -> None:
    sun_zenith = np.add.outer(np.arange(5.0), 10 * np.arange(5.0)) + 20
    spec = ProductSpec(sun=(sun_zenith, np.full((5, 5), 90.0)), left=300_000, top=4_900_020)
    grids = read_angles(metadata(spec, 20_000))
    crop = Grid("EPSG:32631", 310_000.0 - 5, 4_895_020.0 + 5, 10, (1, 1))
    [[value]] = grids.at(crop, Window(0, 0, 1, 1))[0]
    assert value == pytest.approx(sun_zenith[1, 2], abs=0.01)


def test_tiles_of_a_grid_agree_with_the_whole() -> None:
    rng = np.random.default_rng(3)
    spec = ProductSpec(sun=(rng.uniform(20, 60, (3, 3)), rng.uniform(100, 200, (3, 3))))
    grids = read_angles(metadata(spec))
    grid = Grid("EPSG:32631", spec.left, spec.top, 60, (40, 30))
    whole = Window(0, 0, 40, 30)
    angles = grids.at(grid, whole)
    for tile in whole.tiles(7, 11):
        rows, cols = tile.slices
        np.testing.assert_array_equal(grids.at(grid, tile), angles[:, rows, cols])


VIEW = """<t><Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="{detector}">
<Zenith><Values_List>{zenith}</Values_List></Zenith>
<Azimuth><Values_List>{azimuth}</Values_List></Azimuth></Viewing_Incidence_Angles_Grids></t>"""


def view_metadata(*grids: tuple[int, int, list[str], list[str]]) -> Metadata:
    def values(rows: list[str]) -> str:
        return "".join(f"<VALUES>{row}</VALUES>" for row in rows)

    texts = [
        VIEW.format(band=b, detector=d, zenith=values(z), azimuth=values(a)) for b, d, z, a in grids
    ]
    return Metadata(f"<root>{''.join(texts)}</root>".encode(), "MTD_TL.xml")


def test_detectors_are_averaged_where_valid() -> None:
    first = (1, 1, ["6 NaN", "6 NaN"], ["0 NaN", "0 NaN"])
    second = (1, 2, ["6 4", "6 NaN"], ["180 90", "180 NaN"])
    grids = read_view_grids(view_metadata(first, second))
    assert list(grids) == ["B02"]
    zeniths = zenith(grids["B02"])
    np.testing.assert_allclose(zeniths[0], [0, 4], atol=1e-6)
    assert np.isnan(zeniths[1, 1])


def test_empty_nodes_take_the_nearest_direction() -> None:
    zenith_deg = np.full((3, 3), np.nan)
    zenith_deg[0, 0], zenith_deg[2, 2] = 2.0, 9.0
    spec = ProductSpec(view=(zenith_deg, np.full((3, 3), 100.0)))
    filled = zenith(read_angles(metadata(spec)).view)
    assert filled[0, 1] == pytest.approx(2, abs=1e-4)
    assert filled[2, 1] == pytest.approx(9, abs=1e-4)
    assert not np.isnan(filled).any()


@pytest.mark.parametrize(
    ("zenith_deg", "azimuth_deg", "message"),
    [
        (["95 1", "1 1"], ["1 1", "1 1"], "zenith angle of 95 degrees, expected 0 to 90"),
        (["1 1", "1 -1e30"], ["1 1", "1 1"], "zenith angle of -1e.30 degrees"),
        (["1 1", "1 1"], ["1 1", "1 inf"], "azimuth angle of inf degrees, expected 0 to 360"),
        (["1 1", "1 1", "1 1"], ["1 1", "1 1"], r"shape \(3, 2\), azimuth grid \(2, 2\)"),
    ],
)
def test_values_that_are_no_directions(
    zenith_deg: list[str], azimuth_deg: list[str], message: str
) -> None:
    with pytest.raises(ProductError, match=rf"MTD_TL\.xml: .*{message}"):
        read_view_grids(view_metadata((1, 1, zenith_deg, azimuth_deg)))


def test_grid_of_a_detector_stated_twice() -> None:
    grid = (1, 7, ["6 6", "6 6"], ["0 0", "0 0"])
    with pytest.raises(ProductError, match="view angles of B02, detector 7, twice"):
        read_view_grids(view_metadata(grid, grid))


@pytest.mark.parametrize("night", [90.2, 120.0, np.nan])
@pytest.mark.parametrize("extent", [4980, 5040])
def test_nodes_without_sun_count_only_where_pixels_are(night: float, extent: int) -> None:
    """Of 3 x 3 nodes every 5 km the last row and column; pixels beyond 5 km lie next to them."""
    zenith_deg = np.full((3, 3), 89.0)
    zenith_deg[2], zenith_deg[:, 2] = night, night
    grids = read_angles(metadata(ProductSpec(sun=(zenith_deg, np.full((3, 3), 100.0)))))
    grid = Grid("EPSG:32631", 300_000, 4_900_020, 60, (extent // 60,) * 2)
    expected = grids.at(grid, Window(0, 0, *grid.shape))[0].max()
    assert grids.lowest_sun(grid) == pytest.approx(expected, abs=0.01, nan_ok=True)
    if extent < 5000:
        assert expected == 89


@pytest.mark.parametrize("slope", [(0.3, 0.2), (-0.3, 0.2), (0.3, -0.2), (-0.3, -0.2), (0, 0)])
@pytest.mark.parametrize("shape", [(1, 1), (40, 100), (166, 90)])
def test_lowest_sun_is_that_of_all_pixels(
    slope: tuple[float, float], shape: tuple[int, int]
) -> None:
    y, x = np.indices((3, 3))
    spec = ProductSpec(sun=(88 + slope[0] * y + slope[1] * x, 170 + x + y))
    grids = read_angles(metadata(spec))
    grid = Grid("EPSG:32631", spec.left, spec.top, 60, shape)
    highest = grids.at(grid, Window(0, 0, *shape))[0].max()
    assert grids.lowest_sun(grid) == pytest.approx(highest, abs=0.01)


def test_view_angles_without_any_value_are_an_error() -> None:
    with pytest.raises(ProductError, match="the view angle grids hold no value"):
        read_angles(metadata(ProductSpec(view=(np.nan, np.nan))))


def test_steps_of_the_grid_are_more_than_0() -> None:
    content = granule_xml(ProductSpec(), (10_000, 10_000))
    changed = content.replace(b'<ROW_STEP unit="m">5000', b'<ROW_STEP unit="m">-0')
    with pytest.raises(ProductError, match="ROW_STEP> is -0, expected more than 0"):
        read_angles(Metadata(changed, "MTD_TL.xml"))


def test_grids_cover_their_tile_and_no_more() -> None:
    grids = read_angles(metadata(ProductSpec()))
    assert grids.cover(Grid("EPSG:32631", 300_000, 4_900_020, 60, (166, 166)))
    for left, top in ((299_990, 4_900_020), (300_000, 4_900_030), (300_050, 4_899_960)):
        assert not grids.cover(Grid("EPSG:32631", left, top, 60, (166, 166)))
