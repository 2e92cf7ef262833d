"""Tables are listed once, whatever store they lie in."""

import os
from pathlib import Path, PurePosixPath

import pyarrow.compute as pc

from spark_cot.commit.listing import list_scenes
from spark_cot.tables.workspace import Workspace

DATES = ("2024-03-05", "2024-03-10")
TILES = ("31TCJ", "32TMT")


def put(path: Path) -> None:
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")


def name_of(tile: str, date: str) -> str:
    return f"S2A_T{tile}_{date.replace('-', '')}T104819"


def filled(root: Path) -> Workspace:
    """Four scenes; of one the product has no item, of another nothing is masked."""
    workspace = Workspace.create(root, 20)
    for tile in TILES:
        for date in DATES:
            name = name_of(tile, date)
            put(workspace.pixels(tile, date, name))
            put(workspace.cot(tile, date, name))
            if date == DATES[0]:
                put(workspace.masked(tile, date, name))
            product = workspace.product(tile, date, name)
            put(product / "cot.tif")
            if (tile, date) != (TILES[1], DATES[1]):
                put(product / "item.json")
        put(workspace.root / "products" / f"tile={tile}" / "month=2024-03" / "catalog.json")
    put(workspace.root / "products" / "collection.json")
    return workspace


def test_a_listing_holds_what_is_there(place: Path) -> None:
    listing = list_scenes(filled(place))
    names = {name_of(tile, date) for tile in TILES for date in DATES}
    assert listing.names("ingest") == listing.names("apply") == names
    assert set(listing.masked) == {name_of(tile, DATES[0]) for tile in TILES}
    assert listing.names("products") == names - {name_of(TILES[1], DATES[1])}
    name = name_of(TILES[0], DATES[0])
    path, size = f"cot/tile={TILES[0]}/date={DATES[0]}/{name}.parquet", len(b"content")
    assert listing.committing("apply", [name, "unknown"]) == {name: (path, size)}
    (item,) = listing.committing("products", [name]).values()
    assert item == (f"products/tile={TILES[0]}/date={DATES[0]}/{name}/item.json", 2 * size)
    assert listing.committing("apply", []) == listing.sizes([]) == {}
    product = f"products/tile={TILES[0]}/date={DATES[0]}/{name}"
    tables = (path.replace("cot", table, 1) for table in ("pixels", "cot", "masked"))
    own = {*tables, f"{product}/cot.tif", f"{product}/item.json"}
    assert listing.sizes([name]) == dict.fromkeys(own, size)
    months = {f"products/tile={tile}/month=2024-03/catalog.json" for tile in TILES}
    assert set(listing.catalogues) == {"products/collection.json", *months}


def test_scenes_weigh_what_is_committed_of_them(place: Path) -> None:
    listing = list_scenes(filled(place))
    scenes = listing.scenes()  # in any order
    rows = scenes.filter(pc.equal(scenes["stage"], "products"))
    size = len(b"content")
    assert dict(zip(rows["name"].to_pylist(), rows["size"].to_pylist(), strict=True)) == {
        name_of(TILES[0], DATES[0]): 3 * size,
        name_of(TILES[0], DATES[1]): 2 * size,
        name_of(TILES[1], DATES[0]): 3 * size,
    }
    one = listing.without(
        [f"pixels/tile={t}/date={DATES[0]}/{name_of(t, DATES[0])}.parquet" for t in TILES]
    )
    assert one.names("ingest") == {name_of(tile, DATES[1]) for tile in TILES}
    assert one.names("apply") == listing.names("apply")


def test_what_no_scene_can_be_called_is_nobodys(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, 20)
    folder = workspace.pixels(TILES[0], DATES[0], "S").parent
    for name in (
        ".S.parquet.tmp",
        "S.parquet.damaged",
        os.fsdecode(b"S\xff.parquet"),
        "a/S.parquet",
    ):
        put(folder / name)
    assert list_scenes(workspace).is_empty


def test_products_written_since_are_among_the_folders(place: Path) -> None:
    listing = list_scenes(filled(place))
    folders = {
        PurePosixPath(f"tile={tile}", f"date={date}", name_of(tile, date))
        for tile in TILES
        for date in DATES
    }
    (missing,) = folders - set(listing.products())
    assert set(listing.products([missing])) == folders
    assert len(listing.products([*folders])) == 4


def test_missing_tables_hold_nothing(place: Path) -> None:
    listing = list_scenes(Workspace.create(place, 20))
    assert listing.is_empty
    assert listing.products() == listing.catalogues == []


def test_a_table_is_asked_for_once_and_once_for_each_tile(s3, bucket: Path) -> None:
    workspace = filled(bucket / "workspace")
    s3.requests.clear()
    list_scenes(workspace)
    assert s3.requests["LIST"] == 4 * (1 + len(TILES))
