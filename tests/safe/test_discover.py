import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_cot.errors import ProductError
from spark_cot.safe import ProductPath, Scene, discover, scenes_of

COMPACT = "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE"
OTHER = "S2D_MSIL1C_20280120T105341_N0510_R051_T31TCJ_20280120T125244.SAFE"
OLD = "S2A_OPER_PRD_MSIL1C_PDMC_20160606T000734_R051_V20160605T105131_20160605T105131.SAFE"
LEVEL_2 = COMPACT.replace("MSIL1C", "MSIL2A")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    top = tmp_path / "archive"
    for name in (f"2024/01/{COMPACT}", OLD, LEVEL_2, f"new/{OTHER}"):
        (top / name / "GRANULE").mkdir(parents=True)
    (top / COMPACT / "GRANULE" / COMPACT).mkdir(parents=True)
    (top / "zips").mkdir()
    for name in ("S2C_MSIL1C_20250228T031721_N0511_R118_T48PVS_20250228T065233", "notes"):
        (top / "zips" / f"{name}.zip").touch()
    return top


def found(source: Path | str) -> list[str]:
    return [Path(product.path).name for product in discover(source).products]


def test_tree_holds_l1c_folders_and_zips_sorted_and_is_not_descended_into(archive: Path) -> None:
    names = found(archive)
    zipped = "S2C_MSIL1C_20250228T031721_N0511_R118_T48PVS_20250228T065233.zip"
    assert names == [COMPACT, COMPACT, OLD, OTHER, zipped]
    paths = [product.path for product in discover(archive).products]
    assert paths == sorted(paths)
    assert all(Path(path).is_absolute() for path in paths)


def test_glob_takes_products_and_folders(archive: Path) -> None:
    assert found(f"{archive}/S2A*") == [COMPACT, OLD]
    assert found(f"{archive}/**/S2C*.zip") == found(archive / "zips")


def test_single_product_folder_or_zip(archive: Path) -> None:
    assert found(archive / COMPACT) == [COMPACT]
    renamed = archive / "zips" / "notes.zip"
    assert found(renamed) == ["notes.zip"]


def test_list_file_with_comments_keeps_missing_products(archive: Path) -> None:
    listing = archive / "list.txt"
    listing.write_text(
        f"# mine\n{COMPACT}  # good\n\n{archive}/new\nS2A_MSIL1C_gone.SAFE\nzips/*\n"
    )
    assert [Path(p.path).name.split("_")[2][:4] for p in discover(listing).products] == [
        "2024",
        "gone",
        "2028",
        "2025",
    ]
    [gone] = [product for product in discover(listing).products if "gone" in product.path]
    with pytest.raises(ProductError, match=r"gone.*no such product"):
        scenes_of(gone)


@pytest.mark.parametrize("line", ["x" * 5000, "\0", "[", "é" * 300])
def test_odd_lines_of_a_list_fail_by_name_and_the_others_go_on(archive: Path, line: str) -> None:
    listing = archive / "list.txt"
    listing.write_text(f"{COMPACT}\n{line}\n")
    products = discover(listing).products
    assert str(archive / COMPACT) in [product.path for product in products]
    for product in products:
        if product.path != str(archive / COMPACT):
            with pytest.raises(ProductError, match=r"no such product|File name too long"):
                scenes_of(product)


def test_nothing_to_find_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="no Sentinel-2 L1C product found"):
        discover(tmp_path)
    with pytest.raises(ProductError, match="no such file or folder"):
        discover(tmp_path / "nowhere")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ProductError, match="neither a product nor a text file"):
        discover(tmp_path / "picture.png")


def test_name_drops_suffixes() -> None:
    assert ProductPath(f"/a/{COMPACT}").name == COMPACT[:-5]
    assert ProductPath(f"/a/{COMPACT}.zip").name == COMPACT[:-5]


def test_product_without_granule_is_an_error(archive: Path) -> None:
    with pytest.raises(ProductError, match="no L1C granule"):
        scenes_of(ProductPath(str(archive / OLD)))


def zip_of(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*.xml")):
            archive.write(file, file.relative_to(folder.parent))
    return target


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/passwd", "C:/x.txt", "a\\..\\b", "x.SAFE/../../y"]
)
def test_zip_with_escaping_paths_is_refused(product: Path, tmp_path: Path, name: str) -> None:
    path = zip_of(product, tmp_path / "S2A_MSIL1C_bad.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(ProductError, match="leads out of the archive"):
        scenes_of(ProductPath(str(path)))


def test_zip_with_symbolic_link_is_refused(product: Path, tmp_path: Path) -> None:
    path = zip_of(product, tmp_path / "S2A_MSIL1C_bad.zip")
    link = zipfile.ZipInfo(f"{product.name}/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, b"/etc/passwd")
    with pytest.raises(ProductError, match="symbolic link"):
        scenes_of(ProductPath(str(path)))


def test_zip_with_a_member_twice_is_refused(product: Path, tmp_path: Path) -> None:
    path = zip_of(product, tmp_path / "S2A_MSIL1C_bad.zip")
    with (
        zipfile.ZipFile(path, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr(f"{product.name}/MTD_MSIL1C.xml", b"other")
    with pytest.raises(ProductError, match=r"'.*MTD_MSIL1C\.xml' occurs twice"):
        scenes_of(ProductPath(str(path)))


def test_zip_with_a_folder_in_place_of_a_file(
    product: Path, tmp_path: Path, opened: Callable[[Path], Scene]
) -> None:
    path = tmp_path / "S2A_MSIL1C_bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(product.rglob("*.*")):
            inside = "/x" if file.name == "MTD_MSIL1C.xml" else ""
            archive.write(file, f"{file.relative_to(product.parent)}{inside}")
    with pytest.raises(ProductError, match=r"MTD_MSIL1C\.xml: is a folder, expected a file"):
        opened(path)


def test_zip_with_damaged_names_is_an_error(product: Path, tmp_path: Path) -> None:
    path = tmp_path / "S2A_MSIL1C_bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{product.name}/é", b"x")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(ProductError, match="not a readable zip file"):
        scenes_of(ProductPath(str(path)))


def test_truncated_zip_is_an_error(product: Path, tmp_path: Path) -> None:
    path = zip_of(product, tmp_path / "S2A_MSIL1C_cut.zip")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ProductError, match="not a readable zip file"):
        scenes_of(ProductPath(str(path)))


def test_zip_must_hold_one_safe_folder(product: Path, tmp_path: Path) -> None:
    path = zip_of(product, tmp_path / "two.zip")
    second = shutil.copytree(product, tmp_path / product.name.replace("S2B", "S2A"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(second / "MTD_MSIL1C.xml", f"{second.name}/MTD_MSIL1C.xml")
    with pytest.raises(ProductError, match=r"found S2A.*SAFE, S2B.*SAFE, expected exactly one"):
        scenes_of(ProductPath(str(path)))
