"""Tables are listed once, whatever store they lie in."""

from pathlib import Path, PurePosixPath

from spark_cot.commit.inventory import relative
from spark_cot.commit.listing import Found, Listing, list_tables
from spark_cot.tables.workspace import Workspace

DATES = ("2024-03-05", "2024-03-10")
TILES = ("31TCJ", "32TMT")
TABLES = ("pixels", "scenes", "cot", "masked", "products")


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
            put(workspace.scene(name))
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
    listing = list_tables(filled(place), TABLES)
    names = {name_of(tile, date) for tile in TILES for date in DATES}
    for table in ("pixels", "scenes", "cot", "products"):
        assert set(listing.tables[table]) == names
    assert set(listing.tables["masked"]) == {name_of(tile, DATES[0]) for tile in TILES}
    first, folder = name_of(TILES[0], DATES[0]), f"tile={TILES[0]}/date={DATES[0]}"
    assert listing.tables["cot"][first] == Found(folder, (".parquet",), (7,))
    assert listing.tables["scenes"][first] == Found("", (".parquet",), (7,))
    folder, parts, sizes = listing.tables["products"][first]
    assert dict(zip(parts, sizes, strict=True)) == {"/cot.tif": 7, "/item.json": 7}


def test_files_are_there_at_their_size_or_not(place: Path) -> None:
    workspace = filled(place)
    listing = list_tables(workspace, TABLES)
    tile, date = TILES[0], DATES[0]
    name = name_of(tile, date)
    product = workspace.product(tile, date, name)
    files = [workspace.cot(tile, date, name), product / "cot.tif", workspace.scene(name)]
    record = {relative(workspace, file): {"bytes": 7, "sha256": ""} for file in files}
    assert listing.has(name, record)
    for path in record:
        assert not listing.has(name, record | {path: {"bytes": 8, "sha256": ""}})
    for path in (f"cot/tile={tile}/date=2024-03-06/{name}.parquet", "elsewhere/x", "cot/x.parquet"):
        assert not listing.has(name, record | {path: {"bytes": 7, "sha256": ""}})
    assert not listing.has("S2A_T99XXX_20240101T000000", record)


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "workspace")
    before = list_tables(workspace, TABLES)
    table, date = workspace.root / "cot", next((workspace.root / "pixels").rglob("date=*"))
    for number, folder in enumerate((table, date)):
        folder.rename(tmp_path / f"disk{number}")
        folder.symlink_to(tmp_path / f"disk{number}")
    (workspace.root / "pixels" / f"tile={TILES[0]}" / "up").symlink_to(workspace.root)
    assert list_tables(workspace, TABLES) == before


def test_products_written_since_are_among_the_folders(place: Path) -> None:
    listing = list_tables(filled(place), ["products"])
    folders = {
        PurePosixPath(f"tile={tile}", f"date={date}", name_of(tile, date))
        for tile in TILES
        for date in DATES
    }
    (missing,) = folders - set(listing.products())
    assert set(listing.products([missing])) == folders
    assert len(listing.products([*folders])) == 4


def test_missing_tables_hold_nothing(place: Path) -> None:
    listing = list_tables(Workspace.create(place, 20), TABLES)
    assert listing == Listing({table: {} for table in TABLES})


def test_a_table_is_asked_for_once_and_once_for_each_tile(s3, bucket: Path) -> None:
    workspace = filled(bucket / "workspace")
    s3.requests.clear()
    list_tables(workspace, ["pixels", "products"])
    assert dict(s3.requests) == {"LIST": 2 * (1 + len(TILES))}
