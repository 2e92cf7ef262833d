import hashlib
from dataclasses import replace
from itertools import pairwise

import pystac
import pytest
from rasterio.warp import transform

from spark_cot.errors import WorkspaceError
from spark_cot.grid import Grid
from spark_cot.products.collection import bbox_union, write_collection
from spark_cot.products.scene import write_scene_product
from spark_cot.products.stac import footprint_bbox
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
    assert item.ext.eo.cloud_cover == pytest.approx(expected, abs=1e-4)
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
    [cot] = item.assets["cot"].extra_fields["raster:bands"]
    assert (cot["data_type"], cot["nodata"], cot["unit"]) == ("float32", "nan", "1")
    assert cot["statistics"]["minimum"] >= 0
    chances = item.assets["cloud_probability"]
    assert [band["name"] for band in chances.extra_fields["eo:bands"]] == ["p_thin", "p_thick"]
    found = chances.extra_fields["raster:bands"]
    assert [(b["data_type"], b["nodata"], b["unit"]) for b in found] == [("uint8", 255, "%")] * 2
    assert [b["statistics"]["maximum"] for b in found] == [100, 100]
    assert found[0]["statistics"]["mean"] > found[1]["statistics"]["mean"]
    masked = item.assets["reflectance_masked"]
    assert [band["name"] for band in masked.extra_fields["eo:bands"]][8] == "B8A"
    assert [(band["nodata"], band["scale"]) for band in masked.extra_fields["raster:bands"]] == [
        (-32_768, 1e-4)
    ] * 13


def test_extension_of_every_prefixed_field_is_listed(item):
    listed = {uri.split("/")[3] for uri in item.stac_extensions}
    assert listed == {
        "processing", "sentinel-2", "projection", "eo", "grid", "sat", "raster", "classification",
        "file",
    }  # fmt: skip


def test_footprint_follows_the_curved_edges():
    grid = Grid("EPSG:32631", 300_000.0, 4_900_020.0, 10, (10_980, 10_980))
    footprint = grid.footprint()
    [ring] = footprint["coordinates"]
    assert footprint["type"] == "Polygon"
    assert ring[0] == ring[-1]
    assert len(ring) == 65
    [lon], [lat] = transform(grid.crs, "EPSG:4326", [300_000.0], [4_900_020.0])
    assert ring[0] == pytest.approx([lon, lat], abs=1e-6)
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))
    assert area > 0  # counterclockwise, as GeoJSON wants


def test_footprint_is_cut_at_the_antimeridian():
    footprint = Grid("EPSG:32701", 100_000.0, 8_000_000.0, 10, (10_980, 10_980)).footprint()
    assert footprint["type"] == "MultiPolygon"
    west, south, east, north = footprint_bbox(footprint)
    assert (west, east) == (pytest.approx(179.2, abs=0.01), pytest.approx(-179.74, abs=0.01))
    assert south < north < 0


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


def test_collection_links_all_items(workspace, record, arrays, bands, provenance):
    write_scene_product(workspace, record, arrays, bands.__getitem__, provenance)
    other = replace(record, scene_id="S2A_T31TCJ_20240120T105341", satellite="S2A")
    write_scene_product(workspace, other, arrays, bands.__getitem__, provenance)
    path = write_collection(workspace.root / "products")
    collection = pystac.Collection.from_file(str(path))
    items = list(collection.get_items())
    assert [entry.id for entry in items] == [other.scene_id, record.scene_id]
    assert items[0].get_collection().id == collection.id
    assert collection.extent.spatial.bboxes == [items[0].bbox]
    assert collection.extent.temporal.intervals == [[record.sensing_time] * 2]
    assert collection.summaries.lists["platform"] == ["sentinel-2a", "sentinel-2b"]
    before = path.read_bytes()
    assert write_collection(path.parent).read_bytes() == before


def test_a_collection_of_nothing_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="holds no scene product"):
        write_collection(tmp_path)


def test_an_item_that_is_none_is_named(tmp_path):
    path = tmp_path / "item.json"
    path.write_text("{}")
    with pytest.raises(WorkspaceError, match="is not the STAC item") as caught:
        write_collection(tmp_path)
    assert caught.value.where == str(path)
