import codecs
import math
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_cot.errors import ProductError
from spark_cot.safe import (
    ProductPath,
    ProductSpec,
    Scene,
    discover,
    flat_bands,
    open_scene,
    scenes_of,
    write_product,
)
from spark_cot.safe.reflectance import SpecialValues

Open = Callable[[Path], Scene]


def change(file: Path, pattern: str, replacement: str, count: int = 0) -> None:
    text = file.read_text()
    changed = re.sub(pattern, replacement, text, count=count, flags=re.S)
    assert changed != text
    file.write_text(changed)


def tile_xml(product: Path) -> Path:
    return next(product.glob("GRANULE/*/MTD_TL.xml"))


def test_scene_of_a_written_product(product: Path, opened: Open) -> None:
    scene = opened(product)
    assert scene.scene_id == "S2B_T31TCJ_20240305T104819"
    assert scene.product == product.name.removesuffix(".SAFE")
    assert scene.source == str(product)
    assert (scene.satellite, scene.tile, scene.baseline, scene.orbit) == (
        "S2B",
        "31TCJ",
        "05.10",
        51,
    )
    start = datetime(2024, 3, 5, 10, 48, 19, tzinfo=UTC)
    assert (scene.sensing_time, scene.datatake_start) == (start, start)
    assert scene.datatake == "GS2B_20240305T104819_000000_N05.10"
    assert scene.crs == "EPSG:32631"
    assert scene.quantification == 10_000
    assert scene.offsets == (-1000.0,) * 13
    assert [Path(path).name[-7:-4] for path in scene.images][:2] == ["B01", "B02"]
    assert Path(scene.images[8]).name.endswith("B8A.jp2")


def test_scene_survives_pickling_and_is_small(product: Path, opened: Open) -> None:
    scene = opened(product)
    content = pickle.dumps(scene)
    assert pickle.loads(content) == scene  # noqa: S301 (our own bytes)
    assert len(content) < 50_000


def test_offsets_are_read_by_band_id(copy: Path, opened: Open) -> None:
    change(copy / "MTD_MSIL1C.xml", r'(band_id="8">)-1000', r"\g<1>-7")
    assert opened(copy).offsets == (-1000.0,) * 8 + (-7.0,) + (-1000.0,) * 4


def test_a_scene_was_sensed_when_its_granule_was(tmp_path: Path, opened: Open) -> None:
    start = datetime(2026, 1, 2, 23, 57, 39, tzinfo=UTC)
    after, datastrip = timedelta(minutes=7, seconds=32), start + timedelta(minutes=4)
    spec = ProductSpec(sensing_time=start, sensed_after=after, datastrip=datastrip)
    product = write_product(tmp_path, flat_bands(0.2), spec)
    scene = opened(product)
    assert scene.scene_id == "S2B_T31TCJ_20260102T235739"
    assert (scene.sensing_time, scene.datatake_start) == (start + after, start)
    assert str(scene.strip) == "20260103T000511/20260103T000139"
    change(tile_xml(product), "<SENSING_TIME>.*</SENSING_TIME>", "")
    change(tile_xml(product), "_S20260103T000139", "_S20261303T000139")
    assert str(opened(product).strip) == "20260102T235739/"


def test_special_values_are_those_stated_and_those_that_always_are(
    copy: Path, opened: Open
) -> None:
    assert opened(copy).special == SpecialValues(frozenset({0}), frozenset({32767, 65535}))
    defective = "<Special_Values><SPECIAL_VALUE_TEXT>DEFECTIVE</SPECIAL_VALUE_TEXT>\n"
    defective += "<SPECIAL_VALUE_INDEX> 65534 </SPECIAL_VALUE_INDEX></Special_Values>"
    change(
        copy / "MTD_MSIL1C.xml",
        r"INDEX>65535(.*?</Special_Values>)",
        rf"INDEX>20000\g<1>{defective}",
    )
    assert opened(copy).special == SpecialValues(
        frozenset({0, 65534}), frozenset({20000, 32767, 65535})
    )
    change(copy / "MTD_MSIL1C.xml", r"<Special_Values>.*</Special_Values>", "")
    assert opened(copy).special == SpecialValues()


@pytest.mark.parametrize(
    ("baseline", "offset", "expected"),
    [("02.04", None, 0.0), ("03.01", -1000.0, -1000.0), ("04.00", None, -1000.0)],
)
def test_offsets_follow_the_metadata_not_the_date(
    tmp_path: Path, opened: Open, baseline: str, offset: float | None, expected: float
) -> None:
    spec = ProductSpec(
        baseline=baseline, offset=offset, sensing_time=datetime(2016, 1, 1, tzinfo=UTC)
    )
    scene = opened(write_product(tmp_path, flat_bands(0.2), spec))
    assert scene.offsets == (expected,) * 13


def test_baseline_5_without_offsets_is_an_error(copy: Path, opened: Open) -> None:
    change(copy / "MTD_MSIL1C.xml", r"<Radiometric_Offset_List>.*</Radiometric_Offset_List>", "")
    with pytest.raises(ProductError, match=r"baseline 05\.10 lacks the RADIO_ADD_OFFSET of B01"):
        opened(copy)


def test_one_missing_offset_is_an_error(copy: Path, opened: Open) -> None:
    change(copy / "MTD_MSIL1C.xml", r'<RADIO_ADD_OFFSET band_id="12">-1000</RADIO_ADD_OFFSET>', "")
    with pytest.raises(ProductError, match="lacks the RADIO_ADD_OFFSET of B12;"):
        opened(copy)


def test_unknown_satellite_names_the_known(copy: Path, opened: Open) -> None:
    change(copy / "MTD_MSIL1C.xml", "Sentinel-2B", "Sentinel-2X")
    with pytest.raises(ProductError, match=r"'Sentinel-2X', known are Sentinel-2A, Sentinel-2B"):
        opened(copy)


def test_missing_tile_metadata(copy: Path, opened: Open) -> None:
    tile_xml(copy).unlink()
    with pytest.raises(ProductError, match=r"GRANULE/.*found no MTD_TL\.xml"):
        opened(copy)


def test_missing_product_metadata(copy: Path, opened: Open) -> None:
    (copy / "MTD_MSIL1C.xml").unlink()
    with pytest.raises(ProductError, match=r"found no MTD_MSIL1C\.xml"):
        opened(copy)


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "MTD_TL.xml"])
def test_xml_cut_short(copy: Path, opened: Open, name: str) -> None:
    file = next(copy.rglob(name))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ProductError, match=rf"{name}: XML is cut short or damaged"):
        opened(copy)


@pytest.mark.parametrize(
    ("mark", "encoding", "declared"),
    [
        (b"", "utf-8", "utf-8"),
        (b"", "latin-1", "ISO-8859-1"),
        (b"", "cp1252", "windows-1252"),
        (b"", "utf-16-le", "UTF-16"),
        (codecs.BOM_UTF8, "utf-8", "ISO-8859-1"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-8"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "MTD_TL.xml"])
def test_xml_in_any_encoding_that_its_mark_or_declaration_tells(
    copy: Path, opened: Open, name: str, mark: bytes, encoding: str, declared: str
) -> None:
    expected = opened(copy)
    file = next(copy.rglob(name))
    _, _, body = file.read_text("utf-8").partition("?>")
    text = f'<?xml version="1.0" encoding="{declared}"?><!-- Grünwald -->{body}'
    file.write_bytes(mark + text.replace("\n", "\r\n").encode(encoding))
    assert replace(opened(copy), fingerprint=expected.fingerprint) == expected


@pytest.mark.parametrize("declared", ["UTF-8", "US-ASCII"])
def test_letters_of_another_encoding_are_named(copy: Path, opened: Open, declared: str) -> None:
    file = copy / "MTD_MSIL1C.xml"
    content = file.read_bytes().replace(b"UTF-8", declared.encode())
    file.write_bytes(content.replace(b"</GENER", b"<!-- \xe9 --></GENER"))
    with pytest.raises(ProductError, match=r"not in the encoding that it declares.*as UTF-8, or"):
        opened(copy)


@pytest.mark.parametrize(
    ("name", "pattern", "replacement"),
    [
        ("MTD_MSIL1C.xml", r"(VALUE[^>]*>)10000", r"\g<1>\n +1.0E4 "),
        ("MTD_MSIL1C.xml", r'(band_id="3">)-1000', r"\g<1> -01000.0\n"),
        ("MTD_MSIL1C.xml", r'band_id="3"', 'band_id=" 03 "'),
        ("MTD_MSIL1C.xml", r"INDEX>65535", "INDEX>\t+65535.0 "),
        ("MTD_TL.xml", r'(resolution="20">\s*<ULX>)300000', r"\g<1> 3e5 "),
        ("MTD_TL.xml", r'bandId="12"', 'bandId="012"'),
        ("MTD_TL.xml", r"(<CLOUDY\w*>)0", r"\g<1>0.00"),
    ],
)
def test_the_same_numbers_written_otherwise(
    copy: Path, opened: Open, name: str, pattern: str, replacement: str
) -> None:
    expected = opened(copy)
    before = next(copy.rglob(name)).read_bytes()
    change(next(copy.rglob(name)), pattern, replacement, count=1)
    assert next(copy.rglob(name)).read_bytes() != before
    assert replace(opened(copy), fingerprint=expected.fingerprint) == expected


def test_entity_bomb(copy: Path, opened: Open) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    change(tile_xml(copy), r"\?>", f"?>{bomb}", count=1)
    with pytest.raises(ProductError, match="XML declares entities or a document type"):
        opened(copy)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"<QUANTIFICATION_VALUE.*?</QUANTIFICATION_VALUE>", "", "<QUANTIFICATION_VALUE> is miss"),
        (r"(<QUANTIFICATION_VALUE[^>]*>)10000", r"\g<1>0", "is 0, expected at least 1"),
        (r"(<QUANTIFICATION_VALUE[^>]*>)10000", r"\g<1>ten", "'ten', expected a number"),
        (r"<DATATAKE_SENSING_START>[^<]*", "<DATATAKE_SENSING_START>noon", "'noon', expected a ti"),
        (r"(<PROCESSING_BASELINE>)05.10", r"\g<1>5", "'5', expected a form like 05.10"),
        (r"(<QUANTIFICATION_VALUE[^>]*>)10000", r"\g<1>1_000", "'1_000', expected a number"),
        (r"(<QUANTIFICATION_VALUE[^>]*>)10000", r"\g<1>1e999", "'1e999', expected a number"),
        (r'(band_id="3">)-1000', r"\g<1>nan", "<RADIO_ADD_OFFSET> is 'nan', expected a number"),
        (r'(band_id="3">)-1000', r"\g<1>-11000", "13 RADIO_ADD_OFFSET of up to 11000, expected"),
        (r'(band_id=)"3"', r'\g<1>"2"', "lacks the RADIO_ADD_OFFSET of B04;"),
        ("(<RADIO.*?OFFSET>)", r"\g<1>\g<1>", "found 26 RADIO_ADD_OFFSET"),
        (r"(START>)2024", r"\g<1>2023", "<PRODUCT_URI> is S2B_.*but the start stated elsewhere"),
        (r"(NUMBER>)51", r"\g<1>52", "<PRODUCT_URI> is S2B_.*but the orbit stated elsewhere"),
        (r"(BASELINE>)05.10", r"\g<1>05.11", "but the baseline stated elsewhere is 0511"),
        (r"(NUMBER>)51", r"\g<1>inf", "<SENSING_ORBIT_NUMBER> is 'inf', expected a number"),
        (r"(NUMBER>)51", r"\g<1>144", "<SENSING_ORBIT_NUMBER> is 144, expected 1 to 143"),
        (r"(TION_TIME>)[^<]*", r"\g<1>0001-01-01T00:00+09:00", "expected a time"),
        ("(<GENERATION_TIME>)", r"\g<1>2020</GENERATION_TIME>\g<1>", "stated as '2020' and as"),
        (r"INDEX>65535", "INDEX>0", "0 is stated as saturated and as nodata"),
        (r"INDEX>65535", "INDEX>65536", "'SATURATED' is '65536', expected a name and a number"),
        (r"INDEX>65535", "INDEX>-1", "'SATURATED' is '-1', expected a name and a number"),
        (r"TEXT>SATURATED", "TEXT>", "special value '' is '65535', expected a name"),
        (r"UTF-8", "shift_jis", "XML is not in the encoding that it declares, .*multi-byte"),
        (r"UTF-8", "nonsense", "XML is not in the encoding that it declares, .*unknown enc"),
        (r'(band_id="3">)-1000', r"\g<1>x", "<RADIO_ADD_OFFSET> is 'x', expected a number"),
    ],
)
def test_damaged_product_elements(
    copy: Path, opened: Open, pattern: str, replacement: str, message: str
) -> None:
    change(copy / "MTD_MSIL1C.xml", pattern, replacement)
    with pytest.raises(ProductError, match=message):
        opened(copy)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"<Sun_Angles_Grid>.*</Sun_Angles_Grid>", "", "found 0 sun angle grids, expected one"),
        (r"<Viewing_Incidence.*</Viewing_Incidence_Angles_Grids>", "", "is missing"),
        (r"<VALUES>[^<]*</VALUES>", "<VALUES>1 two</VALUES>", "an angle grid is damaged"),
        (r"(_T)31TCJ(_N)", r"\g<1>XX\g<2>", "TILE_ID"),
        (r"(_T)31TCJ(_N)", r"\g<1>31TDJ\g<2>", "tile 31TDJ, the folder's name 31TCJ"),
        (r"<ULX>300000(.*?<ULX>)", r"<ULX>400000\g<1>", "is stated as '300000' and as '400000'"),
        (r"(PERCENTAGE>)0", r"\g<1>101", "<CLOUDY_PIXEL_PERCENTAGE> is 101, expected 0 to 100"),
    ],
)
def test_damaged_tile_elements(
    copy: Path, opened: Open, pattern: str, replacement: str, message: str
) -> None:
    change(tile_xml(copy), pattern, replacement)
    with pytest.raises(ProductError, match=message):
        opened(copy)


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "*_B03.jp2"])
def test_pipes_devices_and_loops_are_not_opened(copy: Path, opened: Open, name: str) -> None:
    file = next(copy.rglob(name))
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ProductError, match=rf"{file.name}: is not a regular file"):
        opened(copy)
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(ProductError, match=rf"{file.name}: is not a regular file"):
        opened(copy)
    file.unlink()
    file.symlink_to(file.name)
    with pytest.raises(ProductError, match=rf"{file.name}: cannot be read: Too many levels"):
        opened(copy)


@pytest.mark.parametrize("name", ["copy_{}", "T60XYZ_19990101T000000_B03.jp2"])
def test_images_of_another_scene_among_those_of_this(copy: Path, opened: Open, name: str) -> None:
    image = next(copy.rglob("*_B03.jp2"))
    shutil.copy(image, image.with_name(name.format(image.name)))
    with pytest.raises(ProductError, match=r"images are named .*_B\.\. and .*, expected one name"):
        opened(copy)


def test_missing_band_names_it(copy: Path, opened: Open) -> None:
    next(copy.rglob("*_B10.jp2")).unlink()
    with pytest.raises(ProductError, match="images of B10 are missing, found B01, B02"):
        opened(copy)


def test_cloud_cover_falls_back_to_the_product_and_then_nan(copy: Path, opened: Open) -> None:
    change(tile_xml(copy), r"(<CLOUDY_PIXEL_PERCENTAGE>)0", r"\g<1>12.5")
    assert opened(copy).cloud_cover == 12.5
    change(tile_xml(copy), r"<CLOUDY_PIXEL_PERCENTAGE>.*</CLOUDY_PIXEL_PERCENTAGE>", "")
    assert opened(copy).cloud_cover == 0
    change(copy / "MTD_MSIL1C.xml", r"<Cloud_Cov.*</Cloud_Coverage_Assessment>", "")
    assert math.isnan(opened(copy).cloud_cover)


def test_fingerprint_sees_metadata_and_images(copy: Path, opened: Open) -> None:
    first = opened(copy).fingerprint
    assert opened(copy).fingerprint == first
    image = next(copy.rglob("*_B03.jp2"))
    os.utime(image, ns=(0, 0))
    touched = opened(copy).fingerprint
    change(tile_xml(copy), r"(<CLOUDY_PIXEL_PERCENTAGE>)0", r"\g<1>1")
    assert len({first, touched, opened(copy).fingerprint}) == 3


def old_product(folder: Path) -> Path:
    """A product in the old naming convention with two granules."""
    stem = "S2A_OPER_{}_PDMC_20160606T000734_R051_V20160605T105131_20160605T105131"
    old = folder / f"{stem.format('PRD_MSIL1C')}.SAFE"
    for tile in ("31TCJ", "31TDJ"):
        spec = ProductSpec(
            "S2A", tile, datetime(2016, 6, 5, 10, 51, 31, tzinfo=UTC), baseline="02.04"
        )
        compact = write_product(folder / tile, flat_bands(0.2 if tile == "31TCJ" else 0.3), spec)
        granule = f"L1C_TL_EPA__20160605T113933_A000734_T{tile}"
        target = old / "GRANULE" / f"S2A_OPER_MSI_{granule}_N02.04"
        shutil.copytree(compact / spec.granule, target)
        (target / "MTD_TL.xml").rename(target / f"S2A_OPER_MTD_{granule}.xml")
        for image in (target / "IMG_DATA").iterdir():
            image.rename(image.with_name(f"S2A_OPER_MSI_{granule}_{image.name[-7:]}"))
        change(compact / "MTD_MSIL1C.xml", r"(<PRODUCT_URI>)[^<]*", rf"\g<1>{old.name}")
        (compact / "MTD_MSIL1C.xml").rename(old / f"{stem.format('MTD_SAFL1C')}.xml")
    return old


def test_old_product_has_one_scene_for_each_granule(tmp_path: Path) -> None:
    old = old_product(tmp_path)
    assert discover(tmp_path / old.name).products == [ProductPath(str(old))]
    scenes = [open_scene(granule) for granule in scenes_of(ProductPath(str(old)))]
    assert [scene.scene_id for scene in scenes] == [
        "S2A_T31TCJ_20160605T105131",
        "S2A_T31TDJ_20160605T105131",
    ]
    assert len({scene.fingerprint for scene in scenes}) == 2
    assert all(scene.offsets == (0.0,) * 13 for scene in scenes)
