import errno
import glob
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_cot.errors import ProductError
from spark_cot.safe import (
    Discovery,
    PassedOver,
    ProductPath,
    Scene,
    check_images,
    discover,
    globs,
    open_scene,
    recognise,
    scene_grid,
    scenes_of,
    tree,
)
from spark_cot.safe.globs import expand
from spark_cot.storage import entries

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


def test_globs_are_those_of_python(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (archive / ".hidden").mkdir()
    (archive / "linked").symlink_to(archive / "2024")
    monkeypatch.chdir(archive)
    for pattern in (
        "*",
        "**/*.SAFE",
        "20*/**/S2?_*",
        "[!z]*/*",
        "./*/../zips/*.zip",
        "**/*.z?p",
    ):
        expected = glob.glob(pattern, root_dir=archive, recursive=True)  # noqa: PTH207
        # Each folder once, where glob follows links again and again.
        reached = {os.path.realpath(archive / path) for path in expected}
        ours = {os.path.realpath(path) for path in expand(str(archive), pattern, never)}
        assert ours == reached, pattern
        assert discover(pattern).products == discover(archive / pattern).products


def test_a_level_of_a_glob_that_cannot_be_listed_is_unseen(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(folder: Path) -> object:
        if folder.name == "new":
            raise PermissionError(errno.EACCES, "Permission denied")
        return entries(folder)

    monkeypatch.setattr(globs, "entries", refusing)
    discovery = discover(archive / "*" / "S2*")
    assert [Path(product.path).parent.name for product in discovery.products] == ["zips"]
    assert discovery.unseen == [
        PassedOver(str(archive / "new"), "cannot be read: Permission denied", unseen=True)
    ]


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


STEM = COMPACT.removesuffix(".SAFE")


def put(place: Path) -> Path:
    """The least of a product: a folder with the metadata file."""
    place.mkdir(parents=True)
    (place / "MTD_MSIL1C.xml").touch()
    return place


def put_zip(place: Path, member: str = f"{COMPACT}/MTD_MSIL1C.xml") -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(member, b"")
    return place


def passed_over(source: Path | str) -> dict[str, tuple[str, bool]]:
    """Reason, and whether it is unseen, by name."""
    return {
        Path(item.path).name: (item.reason, item.unseen) for item in discover(source).passed_over
    }


@pytest.mark.parametrize(
    "name",
    [
        *(STEM, COMPACT.lower(), f"{STEM} - Copy.SAFE", f"{STEM} (1).SAFE", "renamed", "a.b"),
        *(f"{STEM}/{COMPACT}", f"{STEM}/deep/er/{COMPACT}", f"x\n[/y]/{STEM}_é雲.SAFE"),
    ],
)
def test_folders_of_any_name_are_products_by_what_they_hold(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    assert discover(tmp_path) == Discovery([ProductPath(str(tmp_path / name))], [])


@pytest.mark.parametrize(
    "name",
    [
        *(f"{STEM}.zip", f"{STEM} (1).zip", f"{STEM}.ZIP", f"{STEM}.SAFE.zip", f"{STEM}.zip.1"),
        *("L1C_T16TFM_A035544_20220412T163959.zip", "renamed.zip", "renamed", STEM, COMPACT),
    ],
)
def test_zip_files_of_any_name_are_products_by_what_they_hold(tmp_path: Path, name: str) -> None:
    put_zip(tmp_path / name)
    assert discover(tmp_path) == Discovery([ProductPath(str(tmp_path / name))], [])
    assert found(tmp_path / name) == [name]


def never(*_: object) -> bytes:
    raise AssertionError("looked at")


def test_names_decide_without_a_look_inside(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (archive / f"{STEM}-ql.jpg").touch()
    (archive / "zips/notes.zip").rename(archive / "zips" / LEVEL_2.replace(".SAFE", ".zip"))
    listed: list[str] = []
    monkeypatch.setattr(recognise, "zip_names", never)
    monkeypatch.setattr(recognise, "read_start", never)
    monkeypatch.setattr(
        tree, "entries", lambda folder: listed.append(folder.name) or entries(folder)
    )
    assert len(found(archive)) == 5
    assert sorted(listed) == ["01", "2024", "archive", "new", "zips"]


def test_a_product_nested_in_its_own_folder_is_read(product: Path, tmp_path: Path) -> None:
    nested = tmp_path / product.name
    shutil.copytree(product, nested / product.name)
    [found] = discover(nested).products
    assert found.path == str(nested)
    [granule] = scenes_of(found)
    assert str(nested / product.name / "GRANULE") in open_scene(granule).images[0]


def test_metadata_file_and_trailing_slash_mean_their_product(archive: Path) -> None:
    xml = put(archive / "more" / COMPACT) / "MTD_MSIL1C.xml"
    expected = [ProductPath(str(xml.parent))]
    listing = archive / "more" / "list.txt"
    listing.write_text(f"{COMPACT}/MTD_MSIL1C.xml\n{COMPACT}/\n{xml}\n")
    for source in (xml, f"{xml.parent}/", f"{archive}/more/*/MTD_*.xml", listing):
        assert discover(source).products == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lists_as_windows_writes_them(tmp_path: Path, encoding: str, newline: str) -> None:
    names = ["Grünwald#1", f"{STEM}_雲.zip", COMPACT]
    lines = ["# mine", *names, f"{OTHER} # good", ""]
    (tmp_path / "list.txt").write_bytes(newline.join(lines).encode(encoding))
    put(tmp_path / names[0])
    assert found(tmp_path / "list.txt") == [names[0], COMPACT, names[1], OTHER]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "latin-1"])
def test_a_list_that_does_not_say_its_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    name = "Grünwald" if encoding == "latin-1" else COMPACT
    (tmp_path / "list.txt").write_bytes(f"# mine\r\n{name}\r\n".encode(encoding))
    put(tmp_path / COMPACT)
    with pytest.raises(ProductError, match="neither a product nor a text file of paths"):
        discover(tmp_path / "list.txt")


def test_links_are_followed_and_each_product_is_taken_once(tmp_path: Path) -> None:
    top, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    real = put(top / "real" / COMPACT)
    put(elsewhere / "2022" / OTHER)
    put_zip(elsewhere / f"{STEM}.zip")
    (top / "2022").symlink_to(elsewhere / "2022")
    (top / "a.zip").symlink_to(elsewhere / f"{STEM}.zip")
    (top / "again").symlink_to(real)
    (top / "copies").symlink_to("real")
    (top / "real" / "loop").symlink_to(top)
    (top / "self").symlink_to("self")
    discovery = discover(top)
    expected = [top / "2022" / OTHER, top / "a.zip", real]
    assert [product.path for product in discovery.products] == list(map(str, expected))
    assert {Path(item.path).name: item.reason for item in discovery.passed_over} == {
        "again": f"the same product as {real}",
        "copies": f"the same folder as {top}/real",
        "loop": f"the same folder as {top}",
        "self": "a link, and its end cannot be read: Too many levels of symbolic links",
    }
    assert not discovery.unseen


def test_archive_that_was_moved_and_linked_has_its_old_paths(tmp_path: Path) -> None:
    put(tmp_path / "disk1" / COMPACT)
    before = discover(tmp_path / "disk1")
    (tmp_path / "disk1").rename(tmp_path / "disk2")
    (tmp_path / "disk1").symlink_to("disk2")
    assert discover(tmp_path / "disk1") == before


def test_what_may_hold_a_product_and_cannot_be_looked_at_is_unseen(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so the refusals are made here."""
    locked = {str(archive / "new"): errno.EACCES, str(archive / "2024"): errno.ESTALE}

    def refusing(folder: Path) -> object:
        if str(folder) in locked:
            raise OSError(locked[str(folder)], os.strerror(locked[str(folder)]))
        return entries(folder)

    def locked_file(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    (archive / "noending").touch()
    (archive / "gone").symlink_to("nowhere")
    monkeypatch.setattr(tree, "entries", refusing)
    monkeypatch.setattr(recognise, "read_start", locked_file)
    assert passed_over(archive) == {
        "2024": (f"cannot be read: {os.strerror(errno.ESTALE)}", True),
        "gone": ("a link, and its end cannot be read: No such file or directory", True),
        "new": ("cannot be read: Permission denied", True),
        "noending": ("cannot be read: Permission denied", True),
        "notes.zip": ("not a readable zip file: File is not a zip file", True),
        LEVEL_2: ("a product of another level or mission", False),
    }
    with pytest.raises(ProductError, match=r"product found; .*/new: cannot be read: Permission"):
        discover(archive / "new")


@pytest.mark.parametrize(
    ("name", "reason", "unseen"),
    [
        (f"{STEM}.zip.part", "a download that has not ended", False),
        (f"{STEM}.SAFE.tar.gz", "packed, and no zip file: unpack it", True),
        (f"{STEM}.SAFE", "named as a product, but neither a folder nor a zip file", True),
        ("other.zip", "a zip file without an L1C product", False),
        (LEVEL_2.replace("SAFE", "zip"), "a product of another level", False),
        (f"{STEM}/", "named as a product, but holds none", True),
        ("S1A_IW_GRDH_1SDV_20240305T174911.SAFE/", "a product of another level or mission", False),
        ("any/MTD_MSIL2A.xml/", "a product of another level or mission", False),
        ("L1C_T31TCJ_A0/MTD_TL.xml/", "a granule without its product", True),
        (".trash/", "kept by the system or a tool for itself", False),
        ("lost+found/", "kept by the system or a tool for itself", False),
    ],
)
def test_what_is_passed_over_is_told_with_the_reason(
    archive: Path, name: str, reason: str, unseen: bool
) -> None:
    place = archive / "odd" / name
    if name.endswith("/"):
        place.mkdir(parents=True)
    elif name == "other.zip":
        put_zip(place, "readme.txt")
    else:
        place.parent.mkdir()
        place.write_text("<html>log in</html>")
    told = {item.path: item for item in discover(archive).passed_over}
    top = place.parent if place.name.startswith("MTD") else place
    assert told[str(top)].reason.startswith(reason)
    assert told[str(top)].unseen is unseen


@pytest.mark.parametrize("left", ["GRANULE", "manifest.safe"])
def test_what_is_left_of_a_product_fails_by_name(tmp_path: Path, left: str) -> None:
    (tmp_path / STEM / left).mkdir(parents=True)
    [product] = discover(tmp_path).products
    with pytest.raises(ProductError, match=rf"{STEM}: no L1C granule found"):
        scenes_of(product)


def test_files_of_no_interest_are_not_told(tmp_path: Path) -> None:
    put(tmp_path / COMPACT)
    for name in ("notes.txt", f"{STEM}.jpg", f"{STEM}.zip.md5", "README", "b.tif", ".hidden"):
        (tmp_path / name).touch()
    assert discover(tmp_path).passed_over == []


def test_a_list_in_a_folder_with_brackets(tmp_path: Path) -> None:
    top = tmp_path / "[/x]"
    put(top / "2024" / COMPACT)
    put(top / OTHER)
    (top / "list.txt").write_text(f"20*/*.SAFE\n{OTHER}\nS2A_MSIL1C_gone.SAFE\n")
    assert found(top / "list.txt") == [COMPACT, "S2A_MSIL1C_gone.SAFE", OTHER]
    assert found(top) == [COMPACT, OTHER]


def test_lines_of_a_list_that_find_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path / "full" / COMPACT)
    (tmp_path / "list.txt").write_text("empty\nfull\nfull\n20*/*.SAFE\n")
    assert passed_over(tmp_path / "list.txt") == {
        "*.SAFE": ("no file or folder matches", True),
        "empty": ("named in the list, and holds no L1C product", True),
    }


def test_names_of_other_bytes_are_told_and_the_others_go_on(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xc9t\xe9"
    Path(os.fsdecode(odd)).mkdir()
    put(Path(os.fsdecode(odd)) / COMPACT)
    put(tmp_path / OTHER)
    discovery = discover(tmp_path)
    assert [product.name for product in discovery.products] == [OTHER.removesuffix(".SAFE")]
    [item] = discovery.unseen
    assert item.path == rf"{tmp_path}/\xc9t\xe9/{COMPACT}"
    assert item.reason.startswith("its path is no UTF-8")
    with pytest.raises(ProductError, match="no UTF-8") as refused:
        discover(os.fsdecode(odd))
    str(refused.value).encode()


def test_a_product_of_another_level_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / COMPACT).mkdir()
    (tmp_path / COMPACT / "MTD_MSIL2A.xml").touch()
    with pytest.raises(ProductError, match=r"holds MTD_MSIL2A\.xml, expected a product of level"):
        scenes_of(ProductPath(str(tmp_path / COMPACT)))


def test_name_drops_suffixes() -> None:
    assert ProductPath(f"/a/{COMPACT}").name == COMPACT[:-5]
    assert ProductPath(f"/a/{COMPACT}.zip").name == COMPACT[:-5]


def test_product_without_granule_is_an_error(archive: Path) -> None:
    with pytest.raises(ProductError, match="no L1C granule"):
        scenes_of(ProductPath(str(archive / OLD)))


def zip_of(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
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


def test_zip_with_backslashes_is_read(product: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{STEM}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(product.rglob("*.*")):
            if file.is_file():
                name = str(file.relative_to(product.parent)).replace("/", "\\")
                archive.writestr(name, file.read_bytes())
    [granule] = scenes_of(ProductPath(str(path)))
    scene = open_scene(granule)
    check_images(scene)
    assert scene_grid(scene, 20).shape == (48, 48)


@pytest.mark.parametrize("top", ["", "a/b/", "./", f"{COMPACT}/"])
def test_zip_may_hold_the_product_at_any_depth(product: Path, tmp_path: Path, top: str) -> None:
    path = tmp_path / "any.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in filter(Path.is_file, sorted(product.rglob("*.*"))):
            archive.writestr(f"{top}{file.relative_to(product)}", file.read_bytes())
        archive.writestr(f"__MACOSX/{top}GRANULE/._y", b"")
    [granule] = scenes_of(*discover(path).products)
    assert scene_grid(open_scene(granule), 20).shape == (48, 48)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (10, b"\x0c", r"compressed with BZip2 \(12\), expected Deflate or none.*zip it again"),
        (10, b"\x09", r"compressed with Deflate64 \(9\)"),
        (10, b"\x63", r"compressed with AES encryption \(99\)"),
        (10, b"\x4d", r"compressed with an unknown method \(77\)"),
        (8, b"\x01", r"is encrypted\. Unpack the product with its password"),
    ],
)
def test_zip_that_cannot_be_decoded_names_why(
    product: Path, tmp_path: Path, offset: int, value: bytes, message: str
) -> None:
    path = zip_of(product, tmp_path / "odd.zip")
    content = path.read_bytes()
    at = content.rindex(b"PK\x01\x02") + offset  # of MTD_MSIL1C.xml, the last in the directory
    path.write_bytes(content[:at] + value + content[at + 1 :])
    [granule] = scenes_of(ProductPath(str(path)))
    with pytest.raises(ProductError, match=rf"MTD_MSIL1C\.xml: zip member .*{message}"):
        open_scene(granule)


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
