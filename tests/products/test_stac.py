import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import duckdb
import geopandas
import pandas as pd
import pystac
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pystac.validation import validate_dict

from spark_cot.models.classes import CloudClass
from spark_cot.msi import BANDS
from spark_cot.products import collection as module
from spark_cot.products.collection import bbox_union, update_collection
from spark_cot.products.scene import write_scene_product
from spark_cot.products.stac import COLLECTION_ID, item_content, scene_item
from spark_cot.tables.scene_index import SceneRow, index_table
from spark_cot.tables.scenes import SceneRecord
from spark_cot.tables.workspace import Workspace


@pytest.fixture(scope="module")
def product(tmp_path_factory, record, arrays, bands, provenance):
    """Written once: tests only read it."""
    workspace = Workspace.create(tmp_path_factory.mktemp("workspace"), 20)
    return write_scene_product(workspace, record, arrays, bands.__getitem__, provenance)


@pytest.fixture(scope="module")
def item(product) -> pystac.Item:
    return pystac.Item.from_file(str(product.folder / "item.json"))


def test_item_says_where_and_when(item, record):
    assert item.id == record.scene_id
    assert item.datetime == record.sensing_time
    assert item.properties["platform"] == "sentinel-2b"
    assert item.properties["grid:code"] == "MGRS-31TCJ"
    assert item.properties["sat:relative_orbit"] == 51
    assert item.properties["s2:processing_baseline"] == "05.10"
    assert item.ext.proj.code == "EPSG:32631"
    assert item.ext.proj.shape == list(record.grid.shape)
    assert item.ext.proj.transform == [20, 0, 300_000, 0, -20, 4_900_020]
    assert item.properties["processing:software"].keys() == {"spark_cot"}


def test_cloud_cover_is_the_share_of_thin_and_thick_of_the_valid_pixels(item, arrays):
    codes = arrays.cloud_class
    expected = 100 * (codes >= 2).sum() / (codes > 0).sum()
    assert item.properties["eo:cloud_cover"] == pytest.approx(expected, abs=1e-4)
    assert item.properties["spark_cot:nodata_cover"] == pytest.approx(
        100 * (codes == 0).mean(), abs=1e-4
    )
    shares = [item.properties[f"spark_cot:{name}_cover"] for name in ("clear", "thin", "thick")]
    assert sum(shares) == pytest.approx(100, abs=1e-3)


def test_classes_are_counted_named_and_coloured(item, arrays):
    classes = item.assets["cloud_class"].ext.classification.classes
    assert [entry.name for entry in classes] == ["nodata", "clear", "thin", "thick"]
    assert [entry.count for entry in classes] == [
        int((arrays.cloud_class == code).sum()) for code in range(4)
    ]
    assert classes[0].nodata
    assert classes[3].color_hint == "F5F5F5"


def test_pixels_outside_are_counted_and_explained(item, arrays):
    classes = item.assets["outside"].ext.classification.classes
    assert [entry.value for entry in classes] == [0, 1, 255]
    assert [entry.count for entry in classes] == [
        int((arrays.outside == code).sum()) for code in (0, 1, 255)
    ]
    assert [bool(entry.nodata) for entry in classes] == [False, False, True]
    share = 100 * classes[1].count / (classes[0].count + classes[1].count)
    assert item.properties["spark_cot:outside_cover"] == pytest.approx(share, abs=1e-4)


def test_assets_are_relative_and_their_checksums_hold(item, product):
    assert set(item.assets) == {
        "cot", "cot_std", "cloud_probability", "cloud_class", "outside", "reflectance_masked",
        "quicklook",
    }  # fmt: skip
    for asset in item.assets.values():
        content = (product.folder / asset.href.removeprefix("./")).read_bytes()
        assert asset.href.startswith("./")
        assert asset.ext.file.size == len(content)
        assert asset.ext.file.checksum == "1220" + hashlib.sha256(content).hexdigest()


def test_bands_state_type_nodata_unit_and_scale(item):
    def of(name: str, *fields: str) -> list[tuple]:
        bands = item.assets[name].extra_fields["bands"]
        return [tuple(band.get(field) for field in fields) for band in bands]

    assert of("cot", "name", "data_type", "nodata", "unit") == [("cot", "float32", "nan", "1")]
    [(found,)] = of("cot", "statistics")
    assert 0 <= found["minimum"] <= found["mean"] <= found["maximum"]
    assert of("cloud_probability", "name", "data_type", "nodata", "unit") == [
        ("p_thin", "uint8", 255, "%"),
        ("p_thick", "uint8", 255, "%"),
    ]
    [(thin,), (thick,)] = of("cloud_probability", "statistics")
    assert thin["maximum"] == thick["maximum"] == 100
    assert thin["mean"] > thick["mean"]
    assert of("reflectance_masked", "nodata", "raster:scale", "raster:offset") == [
        (-32_768, 1e-4, 0.0)
    ] * len(BANDS)
    assert of("reflectance_masked", "name", "eo:common_name", "eo:center_wavelength") == [
        (band.id, band.common_name, band.wavelength_nm / 1000) for band in BANDS
    ]


def test_no_field_is_of_an_older_stac(product):
    text = (product.folder / "item.json").read_text()
    assert '"stac_version": "1.1.0"' in text
    assert "raster:bands" not in text
    assert "eo:bands" not in text


def test_the_item_lies_where_its_valid_pixels_do(item, record):
    assert shapely.geometry.shape(item.geometry).equals(shapely.from_wkt(record.footprint))
    assert item.bbox == [0.49, 44.2, 0.5, 44.21]
    assert item.properties["proj:bbox"] == list(record.grid.bounds)


def test_the_item_says_what_it_is_made_of(item, record):
    properties = item.properties
    assert properties["s2:product_uri"] == record.product
    assert properties["s2:datatake_id"] == record.datatake
    assert properties["s2:generation_time"] == "2024-03-05T12:53:47Z"
    assert record.product in properties["processing:lineage"]
    [link] = item.get_links("derived_from")
    assert (link.target, link.title) == ("file:///archive/S2B.SAFE", record.product)
    assert properties["license"] == "other"
    [terms] = item.get_links("license")
    assert terms.target.endswith("Sentinel_Data_Legal_Notice")


def item_of(record, product, provenance) -> pystac.Item:
    """Of another record with the same product."""
    counts, outside = dict.fromkeys(CloudClass, 1), {0: 1, 1: 0, 255: 0}
    return scene_item(record, product.files, counts, outside, {}, provenance)


def test_a_scene_of_several_products_is_derived_from_each(record, provenance, product):
    sources = ["/archive/a b%é.SAFE", "s3://bucket/NORTH.SAFE", "/archive/SOUTH.zip"]
    of_many = replace(record, source=sources[0], sources=[*sources, sources[0]], datatake="")
    item = item_of(replace(of_many, generation_time=None), product, provenance)
    assert [(link.target, link.title) for link in item.get_links("derived_from")] == [
        ("file:///archive/a%20b%25%C3%A9.SAFE", record.product),
        ("s3://bucket/NORTH.SAFE", "NORTH"),
        ("file:///archive/SOUTH.zip", "SOUTH"),
    ]
    lineage = item.properties["processing:lineage"]
    assert lineage.endswith(f"L1C products {record.product} and NORTH and SOUTH")
    assert not {"s2:datatake_id", "s2:generation_time"} & item.properties.keys()


@pytest.mark.parametrize(
    "footprint",
    [
        "POLYGON ((0.1 43.3, 1.5 43.2, 1.6 44.2, 0.2 44.3, 0.1 43.3))",
        "MULTIPOLYGON (((3 1, 4 1, 4 2, 3 1)), ((1 0, 2 0, 2 1, 1 0)))",
        "MULTIPOLYGON (((179 -18, 180 -18, 180 -17, 179 -18)), "
        "((-180 -18, -179 -17, -180 -17, -180 -18)))",
    ],
    ids=["one area", "islands", "across the antimeridian"],
)
def test_the_row_of_the_index_is_the_item(record, product, provenance, workspace, footprint):
    record = replace(record, footprint=footprint)
    item = item_of(record, product, provenance).to_dict()
    cover = {"clear": item["properties"]["spark_cot:clear_cover"]}
    row = SceneRow(record, "a/item.json", frozenset(product.files), cover)
    workspace.write_index(index_table([row]), "log:1")

    frame = geopandas.read_parquet(workspace.index)
    assert frame.geometry[0].equals(shapely.geometry.shape(item["geometry"]))
    assert frame["datetime"][0] == pd.Timestamp(item["properties"]["datetime"])
    names = ("type", "stac_version", "id", "collection")
    with duckdb.connect() as connection:
        found = connection.sql(
            f"""SELECT {", ".join(names)}, [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax],
            datetime = '{item["properties"]["datetime"]}'::TIMESTAMPTZ, "eo:cloud_cover",
            stac_extensions FROM '{workspace.index}'"""
        ).fetchall()
    (values,) = found
    assert [*values[:4]] == [item[name] for name in names]
    assert values[4:7] == (item["bbox"], True, item["properties"]["eo:cloud_cover"])
    assert {*values[7]} <= {*item["stac_extensions"]}
    for name, asset in frame["assets"][0].items():
        assert PurePosixPath(asset["href"]).name == Path(item["assets"][name]["href"]).name
        assert asset["type"] == item["assets"][name]["type"]


def test_the_item_says_when_it_was_made(item):
    age = datetime.now(UTC) - item.common_metadata.created
    assert timedelta() <= age < timedelta(minutes=10)


def test_an_item_and_collections_are_valid(product, tmp_path):
    """By the schemas that pystac brings along; those of extensions lie on the web."""
    products = shutil.copytree(product.folder.parents[2], tmp_path / "products")
    folder = PurePosixPath(product.folder.relative_to(product.folder.parents[2]))
    update_collection(products, [folder])
    for path in (products / folder / "item.json", *products.rglob("co*.json")):
        content = json.loads(path.read_text())
        assert validate_dict(content, extensions=[])
        assert "license" in {link["rel"] for link in content["links"]}, path


def test_extension_of_every_prefixed_field_is_listed(item):
    listed = {uri.split("/")[3] for uri in item.stac_extensions}
    assert listed == {
        "processing", "sentinel-2", "projection", "eo", "grid", "sat", "raster", "classification",
        "file",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("boxes", "union"),
    [
        ([[1, 2, 3, 4], [0, 3, 2, 5]], [0, 2, 3, 5]),
        ([[179, -2, -179, -1]], [179, -2, -179, -1]),
        ([[178, -2, 179.5, -1], [179, -3, -179, -1]], [178, -3, -179, -1]),
        ([[-170, 0, -160, 1], [179, 0, -179, 1]], [179, 0, -160, 1]),
        ([[-179.5, 0, -170, 1], [175, 0, 179, 1], [179, 0, -179, 1]], [175, 0, -170, 1]),
        ([[179, 0, 10, 1], [0, 0, 100, 1], [90, 0, 179.5, 1]], [-180, 0, 180, 1]),
    ],
)
def test_union_of_boxes(boxes, union):
    assert bbox_union(boxes) == union


def dated(record: SceneRecord, tile: str, day: str) -> SceneRecord:
    """The scene at another place and time; its map stays."""
    time = datetime.fromisoformat(f"{day}T10:48:19+00:00")
    name = f"S2A_T{tile}_{time:%Y%m%dT%H%M%S}"
    return replace(record, scene_id=name, satellite="S2A", tile=tile, sensing_time=time)


def write_item(products: Path, record: SceneRecord) -> PurePosixPath:
    """An item as far as collections look at it; its folder relative to ``products``."""
    folder = PurePosixPath(f"tile={record.tile}", f"date={record.date}", record.scene_id)
    west = 1.0 + int(record.tile[:2]) + record.sensing_time.day / 100
    item = pystac.Item(
        record.scene_id,
        {"type": "Point", "coordinates": [west, 44.0]},
        [west, 44.0, west + 1, 45.0],
        record.sensing_time,
        {"platform": "sentinel-2a", "gsd": 20, "proj:code": record.crs},
        collection=COLLECTION_ID,
    )
    place = products / folder
    place.mkdir(parents=True)
    (place / "item.json").write_text(json.dumps(item_content(item, place, products)))
    return folder


def files_of(products: Path) -> dict[str, bytes]:
    """All collections and catalogs by their relative path."""
    return {
        path.relative_to(products).as_posix(): path.read_bytes()
        for name in ("collection.json", "catalog.json")
        for path in sorted(products.rglob(name))
    }


SCENES = [
    (tile, f"{month}-{day:02d}")
    for tile in ("31TCJ", "32TMT")
    for month in ("2024-02", "2024-03")
    for day in (5, 10)
]


@pytest.fixture
def many(tmp_path: Path, record: SceneRecord) -> tuple[Path, list[PurePosixPath]]:
    """Items of two tiles in two months, and their folders."""
    return tmp_path, [write_item(tmp_path, dated(record, *scene)) for scene in SCENES]


def test_pystac_walks_from_the_collection_to_every_item(many):
    products, folders = many
    root = pystac.Collection.from_file(str(update_collection(products, folders)))
    assert [child.id for child in root.get_children()] == [
        f"cloud-optical-thickness-{tile}" for tile in ("31TCJ", "32TMT")
    ]
    for place, levels, items in root.walk():
        content = json.loads(Path(place.get_self_href()).read_text())
        assert validate_dict(content, extensions=[])  # extensions' schemas lie on the web
        assert place.get_root().id == root.id
        assert bool(list(levels)) != bool(list(items))
    items = list(root.get_items(recursive=True))
    assert {item.id for item in items} == {folder.name for folder in folders}
    for item in items:
        assert item.get_collection().id == root.id
        month = pystac.Catalog.from_file(item.get_parent().get_self_href())
        assert next(month.get_items(item.id), None) is not None
    [west, south, east, north] = root.extent.spatial.bboxes[0]
    assert (west, south, east, north) == (32.05, 44.0, 34.1, 45.0)
    assert [f"{time:%Y-%m-%d}" for time in root.extent.temporal.intervals[0]] == [
        "2024-02-05",
        "2024-03-10",
    ]
    assert root.summaries.lists["platform"] == ["sentinel-2a"]
    [first, _] = root.get_children()
    assert first.extent.spatial.bboxes == [[32.05, 44.0, 33.1, 45.0]]


def test_links_of_a_written_product_meet_the_levels(workspace, record, arrays, bands, provenance):
    write_scene_product(workspace, record, arrays, bands.__getitem__, provenance)
    products = workspace.root / "products"
    folder = workspace.product(record.tile, record.date, record.scene_id)
    update_collection(products, [PurePosixPath(folder.relative_to(products))])
    item = pystac.Item.from_file(str(folder / "item.json"))
    assert item.get_parent().id == "cloud-optical-thickness-31TCJ-2024-03"
    assert item.get_root().id == item.get_collection().id == COLLECTION_ID
    assert [found.id for found in item.get_parent().get_items()] == [item.id]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sets(st.integers(0, len(SCENES) - 1)), max_size=5))
def test_whatever_the_order_the_files_are_those_of_a_fresh_build(many, steps):
    products, folders = many
    for chosen in steps:
        update_collection(products, [folders[number] for number in chosen])
    update_collection(products, folders)
    found = files_of(products)
    for path in found:
        (products / path).unlink()
    update_collection(products, reversed(folders))
    assert files_of(products) == found
    assert len(found) == 1 + 2 + 4


def test_only_what_changed_is_read_and_written(many, record, monkeypatch):
    products, folders = many
    update_collection(products, folders)
    before, times = files_of(products), {p: p.stat().st_mtime_ns for p in products.rglob("*.json")}
    read = []
    original = module.read_all
    monkeypatch.setattr(
        module, "read_all", lambda paths: original(read.extend(paths) or read[-len(paths) :])
    )
    update_collection(products, folders)
    assert read == [products / "collection.json"]
    assert {p: p.stat().st_mtime_ns for p in products.rglob("*.json")} == times

    read.clear()
    new = write_item(products, dated(record, "32TMT", "2024-03-20"))
    update_collection(products, [*folders, new], [new.name])
    month = "tile=32TMT/month=2024-03/catalog.json"
    renewed = ["collection.json", "tile=32TMT/collection.json", month]
    assert [p.relative_to(products).as_posix() for p in read] == [*renewed, f"{new}/item.json"]
    after = files_of(products)
    assert sorted(path for path in after if after[path] != before[path]) == sorted(renewed)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lost=st.sets(st.integers(0, 6)))
def test_levels_that_are_lost_are_written_again(many, lost):
    products, folders = many
    update_collection(products, folders)
    before = files_of(products)
    for number in lost:
        (products / sorted(before)[number]).unlink()
    update_collection(products, folders, levels=files_of(products).keys())
    assert files_of(products) == before


def test_an_item_made_anew_is_read_again(many):
    products, folders = many
    update_collection(products, folders)
    path = products / folders[0] / "item.json"
    item = json.loads(path.read_text())
    item["properties"]["platform"] = "sentinel-2d"
    path.write_text(json.dumps(item))
    root = update_collection(products, folders, [folders[0].name])
    summaries = pystac.Collection.from_file(str(root)).summaries
    assert summaries.lists["platform"] == ["sentinel-2a", "sentinel-2d"]


def test_levels_go_with_their_last_scene(many):
    products, folders = many
    update_collection(products, folders)
    update_collection(products, folders[:2])
    assert set(files_of(products)) == {
        "collection.json", "tile=31TCJ/collection.json", "tile=31TCJ/month=2024-02/catalog.json"
    }  # fmt: skip
    update_collection(products, [])
    assert files_of(products) == {}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"links": [{"rel": "child"}]}', b"[1", b"\xff"])
def test_a_damaged_level_is_made_again(many, content):
    products, folders = many
    update_collection(products, folders)
    before = files_of(products)
    for path in before:
        (products / path).write_bytes(content)
    update_collection(products, folders)
    assert files_of(products) == before


def test_the_collection_of_an_older_version_is_replaced(many):
    products, folders = many
    links = [{"rel": "root", "href": "./collection.json"}]
    links += [{"rel": "item", "href": f"./{folder}/item.json"} for folder in folders]
    (products / "collection.json").write_text(json.dumps({"links": links}))
    root = pystac.Collection.from_file(str(update_collection(products, folders)))
    assert len(list(root.get_items(recursive=True))) == len(folders)
    assert not list(root.get_items())


@pytest.mark.parametrize("content", ["{}", "", '{"properties": {"datetime": 3}}'])
def test_what_is_no_item_is_told_and_left_out(many, content, caplog):
    products, folders = many
    path = products / folders[0] / "item.json"
    whole = path.read_text()
    path.write_text(content)
    root = update_collection(products, folders)
    items = pystac.Collection.from_file(str(root)).get_items(recursive=True)
    assert {item.id for item in items} == {folder.name for folder in folders[1:]}
    assert str(path) in caplog.text
    path.write_text(whole)
    update_collection(products, folders)
    items = pystac.Collection.from_file(str(root)).get_items(recursive=True)
    assert len(list(items)) == len(folders)
