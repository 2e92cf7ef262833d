import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from spark_cot.errors import ProductError
from spark_cot.grid import Window
from spark_cot.msi import BAND_IDS, BANDS, RESOLUTIONS_M
from spark_cot.safe import (
    Downsampling,
    ProductSpec,
    Scene,
    blocks,
    flat_bands,
    native_shape,
    nothing_valid,
    read_block,
    scene_grid,
    write_product,
)
from spark_cot.safe.reflectance import NODATA, SATURATED, stored_reflectance

Open = Callable[[Path], Scene]
Numbers = dict[str, np.ndarray]


def whole(scene: Scene, resolution: int, **options: Downsampling) -> tuple[np.ndarray, np.ndarray]:
    grid = scene_grid(scene, resolution)
    [window] = blocks(scene, grid)
    reflectance, valid, angles = read_block(scene, grid, window, **options).tile(window)
    assert reflectance.dtype == np.int16
    assert angles.shape == (3, *grid.shape)
    return reflectance, valid


@pytest.mark.parametrize("resolution", RESOLUTIONS_M)
def test_round_trip_is_exact(
    product: Path, numbers: Numbers, opened: Open, resolution: int
) -> None:
    reflectance, valid = whole(opened(product), resolution)
    for band, found in zip(BANDS, reflectance, strict=True):
        factor = max(1, resolution // band.resolution_m)
        ratio = max(1, band.resolution_m // resolution)
        expected = stored_reflectance(numbers[band.id], factor, -1000, 10_000)
        np.testing.assert_array_equal(found, np.kron(expected, np.ones((ratio, ratio), np.int16)))
    corner = 240 // resolution
    assert not valid[:corner, :corner].any()
    assert valid.sum() == valid.size - corner**2


def test_native_resolution_gives_digital_numbers_plus_offset(
    product: Path, numbers: Numbers, opened: Open
) -> None:
    reflectance, _ = whole(opened(product), 10)
    dn = numbers["B08"].astype(int)
    np.testing.assert_array_equal(reflectance[7], np.where(dn > 0, dn - 1000, NODATA))


@pytest.mark.parametrize("resolution", RESOLUTIONS_M)
def test_any_window_equals_its_part_of_the_whole(
    product: Path, opened: Open, resolution: int
) -> None:
    scene = opened(product)
    grid = scene_grid(scene, resolution)
    reflectance, valid = whole(scene, resolution)
    window = Window(3, 5, 7, 9)
    block = read_block(scene, grid, window)
    for tile in window.tiles(4, 4):
        part, ok, _ = block.tile(tile)
        rows, cols = tile.slices
        np.testing.assert_array_equal(part, reflectance[:, rows, cols])
        np.testing.assert_array_equal(ok, valid[rows, cols])
    with pytest.raises(ValueError, match="not inside the block"):
        block.tile(Window(3, 5, 8, 9))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_reads_like_the_folder(
    product: Path, opened: Open, tmp_path: Path, compression: int
) -> None:
    path = tmp_path / f"{product.stem}.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(product.rglob("*")):
            archive.write(file, file.relative_to(product.parent))
    folder, zipped = opened(product), opened(path)
    assert zipped.scene_id == folder.scene_id
    assert all(image.startswith("/vsizip/") for image in zipped.images)
    np.testing.assert_array_equal(whole(zipped, 20)[0], whole(folder, 20)[0])


def test_zip_fingerprint_ignores_times_but_not_content(
    product: Path, opened: Open, tmp_path: Path
) -> None:
    prints = []
    for name, extra in (("a", b""), ("b", b""), ("c", b"\0")):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(product.rglob("*")):
                if file.is_file():
                    content = file.read_bytes() + (extra if "B04" in file.name else b"")
                    archive.writestr(f"{product.name}/{file.relative_to(product)}", content)
        prints.append(opened(path).fingerprint)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_truncated_image_names_file_and_band(copy: Path, opened: Open, kept: float) -> None:
    image = next(copy.rglob("*_B05.jp2"))
    content = image.read_bytes()
    image.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ProductError, match=r"_B05\.jp2: B05 is no whole JPEG 2000 image"):
        whole(opened(copy), 20)


def test_an_image_that_went_away_is_not_called_damaged(copy: Path, opened: Open) -> None:
    scene = opened(copy)
    next(copy.rglob("*_B05.jp2")).unlink()
    with pytest.raises(ProductError, match=r"B05 cannot be read: No such file or directory$"):
        whole(scene, 20)


def test_a_few_lost_bytes_of_the_last_tile_are_an_error(copy: Path, opened: Open) -> None:
    image = next(copy.rglob("*_B02.jp2"))
    rewrite(image, blockxsize=64, blockysize=64)
    whole(opened(copy), 10)
    image.write_bytes(image.read_bytes()[:-50])
    with pytest.raises(ProductError, match=r"B02 is no whole JPEG 2000 image"):
        whole(opened(copy), 10)


def smooth(band_id: str) -> np.ndarray:
    rows, cols = native_shape(band_id, 3000)
    y, x = np.linspace(0, 3, rows)[:, None], np.linspace(0, 2, cols)
    noise = np.random.default_rng(rows).normal(0, 0.003, (rows, cols))
    return np.asarray(0.3 + 0.1 * np.sin(y) * np.cos(x) + noise)


@pytest.mark.parametrize("resolution", [20, 60])
def test_level_is_close_to_exact(tmp_path: Path, opened: Open, resolution: int) -> None:
    scene = opened(write_product(tmp_path, smooth))
    exact, _ = whole(scene, resolution)
    level, valid = whole(scene, resolution, downsampling=Downsampling.LEVEL)
    assert valid.all()
    difference = (level - exact.astype(float)) / 10_000
    fine = [band.resolution_m == 10 for band in BANDS]
    assert 0 < np.sqrt((difference[fine] ** 2).mean()) < 0.002
    assert not difference[~np.array(fine)].any()


def test_level_falls_back_to_exact_beside_nodata(opened: Open, tmp_path: Path) -> None:
    def swath_edge(band_id: str) -> np.ndarray:
        image = np.random.default_rng(5).uniform(0.1, 0.5, native_shape(band_id, 3000))
        image[:, : image.shape[1] // 3] = np.nan
        return image

    scene = opened(write_product(tmp_path, swath_edge))
    exact, valid = whole(scene, 20)
    level, level_valid = whole(scene, 20, downsampling=Downsampling.LEVEL)
    assert valid.any()
    np.testing.assert_array_equal(level, exact)
    np.testing.assert_array_equal(level_valid, valid)


def test_level_falls_back_tile_by_tile(opened: Open, tmp_path: Path) -> None:
    def corner(band_id: str) -> np.ndarray:
        shape = native_shape(band_id, 15_360)  # 2 x 2 tiles at 10 m, 1024 px the first
        image = np.full(shape, 0.3)
        if band_id == "B02":
            image = np.random.default_rng(5).uniform(0.1, 0.5, shape)
        image[: shape[0] // 3, : shape[1] // 3] = np.nan
        return image

    scene = opened(write_product(tmp_path, corner))
    exact, valid = whole(scene, 20)
    level, level_valid = whole(scene, 20, downsampling=Downsampling.LEVEL)
    np.testing.assert_array_equal(level_valid, valid)
    blue = level[1] == exact[1]
    assert blue[:512, :512].all()
    assert blue[512:, 512:].mean() < 0.1


def test_level_falls_back_to_exact_beside_saturated_samples(opened: Open, tmp_path: Path) -> None:
    def glint(band_id: str) -> np.ndarray:
        image = np.random.default_rng(5).integers(2000, 6000, native_shape(band_id, 3000))
        image[4, 6] = image[11:13, 21:23] = 65_535
        return image

    scene = opened(write_product(tmp_path, glint))
    exact, _ = whole(scene, 20)
    level, _ = whole(scene, 20, downsampling=Downsampling.LEVEL)
    blue = exact[1]
    assert (blue[2, 3], blue[5, 10], blue[6, 11]) == (SATURATED,) * 3
    assert (blue == SATURATED).sum() == 5
    np.testing.assert_array_equal(level, exact)


def test_special_values_of_the_metadata_reach_the_pixels(copy: Path, opened: Open) -> None:
    rewrite(next(copy.rglob("*_B08.jp2")), dn=np.full((1, 96, 96), 5000))
    xml = copy / "MTD_MSIL1C.xml"
    xml.write_text(xml.read_text().replace("INDEX>65535", "INDEX>5000"))
    assert (whole(opened(copy), 20)[0][7] == SATURATED).all()
    xml.write_text(xml.read_text().replace("TEXT>SATURATED", "TEXT>DEFECTIVE"))
    assert (whole(opened(copy), 20)[0][7] == NODATA).all()


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_jp2_that_is_no_image(copy: Path, opened: Open, content: bytes) -> None:
    next(copy.rglob("*_B09.jp2")).write_bytes(content)
    with pytest.raises(ProductError, match=r"_B09\.jp2: B09 is no whole JPEG 2000 image"):
        scene_grid(opened(copy), 20)


def rewrite(image: Path, dn: np.ndarray | None = None, **changes: object) -> None:
    with rasterio.open(image) as source:
        profile = source.profile
        dn = source.read() if dn is None else dn
    profile |= {"QUALITY": 100, "REVERSIBLE": "YES", "blockxsize": 1024, "blockysize": 1024}
    profile |= changes
    dn = np.resize(dn, (profile["count"], profile["height"], profile["width"]))
    with rasterio.open(image, "w", **profile) as target:
        target.write(dn.astype(profile["dtype"]))


def test_signed_samples_are_read(copy: Path, numbers: Numbers, opened: Open) -> None:
    rewrite(next(copy.rglob("*_B02.jp2")), dtype="int16")
    reflectance, _ = whole(opened(copy), 10)
    assert numbers["B02"].max() < 2**15
    dn = numbers["B02"].astype(int)
    np.testing.assert_array_equal(reflectance[1], np.where(dn > 0, dn - 1000, NODATA))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform": rasterio.Affine(10, 0, 300_060, 0, -10, 4_900_020)}, "B02 begins at"),
        ({"crs": "EPSG:32632"}, "B02 begins at .* in EPSG:32632"),
        ({"count": 3}, "B02 has 3 bands"),
        ({"dtype": "uint8"}, "B02 has 1 bands of uint8"),
        ({"height": 95}, r"B03 has \(96, 96\) pixels, B02 has \(95, 96\)"),
        ({"transform": rasterio.Affine(10, 0, 300_000, 0, -20, 4_900_020)}, "10 x -20"),
        ({"height": 80}, "covers 960 x 960 m, other bands only 800 x 960 m"),
    ],
)
def test_band_that_does_not_fit_the_others(
    copy: Path, opened: Open, changes: dict[str, object], message: str
) -> None:
    rewrite(next(copy.rglob("*_B02.jp2")), **changes)
    with pytest.raises(ProductError, match=message):
        scene_grid(opened(copy), 20)


def test_images_of_bands_with_other_pixels_swapped(copy: Path, opened: Open) -> None:
    fine, coarse = next(copy.rglob("*_B02.jp2")), next(copy.rglob("*_B09.jp2"))
    content = fine.read_bytes()
    fine.write_bytes(coarse.read_bytes())
    coarse.write_bytes(content)
    with pytest.raises(ProductError, match="B02 has pixels of 60 m, expected 10 m"):
        scene_grid(opened(copy), 20)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CODE>EPSG:32631", "CODE>EPSG:32632", "images are in EPSG:32631, the tile metadata in"),
        ("<ULX>300000", "<ULX>600000", "images lie at .*, the angle grids begin at"),
    ],
)
def test_images_of_another_place_than_the_metadata(
    copy: Path, opened: Open, old: str, new: str, message: str
) -> None:
    file = next(copy.rglob("MTD_TL.xml"))
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ProductError, match=message):
        scene_grid(opened(copy), 20)


def test_scene_at_night_is_refused(tmp_path: Path, opened: Open) -> None:
    for name, zenith in (("polar", 90.4), ("unknown", np.nan)):
        spec = ProductSpec(sun=(zenith, 158.0))
        scene = opened(write_product(tmp_path / name, flat_bands(0.2), spec))
        with pytest.raises(
            ProductError, match=r"sun is 90\.40 degrees from|sun angle grid lacks a node"
        ):
            scene_grid(scene, 20)


def test_scene_without_any_data_has_no_valid_pixel(tmp_path: Path, opened: Open) -> None:
    empty = {band: np.zeros(native_shape(band, 960), np.uint16) for band in BAND_IDS}
    reflectance, valid = whole(opened(write_product(tmp_path, empty)), 20)
    assert valid.sum() == 0
    assert (reflectance == NODATA).all()


@pytest.mark.parametrize(
    ("empty", "message"),
    [
        (BAND_IDS, r"bands\. The scene lies outside the swath"),
        (["B10"], r"bands: B10 of nothing but nodata\. Download the product again"),
        (["B01", "B8A"], "bands: B01, B8A of nothing but nodata"),
        ([], r"bands\. Leave it out: bands have data at different places"),
    ],
)
def test_why_no_pixel_is_valid(
    tmp_path: Path, opened: Open, empty: list[str], message: str
) -> None:
    bands = {band: np.zeros(native_shape(band, 960), np.uint16) for band in BAND_IDS}
    for band in set(BAND_IDS) - set(empty):
        bands[band][-1, -1] = 3000
    error = nothing_valid(opened(write_product(tmp_path, bands)))
    assert re.search(f"no pixel is valid in all 13 {message}", str(error))


def test_one_band_without_data_makes_a_pixel_invalid(tmp_path: Path, opened: Open) -> None:
    bands = {band: np.full(native_shape(band, 960), 3000, np.uint16) for band in BAND_IDS}
    bands["B10"][0, 0] = 0
    scene = opened(write_product(tmp_path, bands, ProductSpec(baseline="02.04")))
    reflectance, valid = whole(scene, 10)
    assert not valid[:6, :6].any()
    assert valid.sum() == valid.size - 36
    assert (np.delete(reflectance, 10, axis=0) == 3000).all()
