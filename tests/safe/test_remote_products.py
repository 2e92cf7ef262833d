"""Products in an object store are found and read like those on disk."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spark_cot.errors import ProductError
from spark_cot.grid import Window
from spark_cot.safe import discover, read_block, scene_grid
from spark_cot.storage import find, path_of, publish, write_text


@pytest.fixture
def archive(bucket: Path, product: Path, tmp_path: Path) -> Path:
    """A SAFE folder below ``2024/``, and the same product zipped below ``zips/``."""
    top = bucket / "archive"
    for file in find(product):
        name = file.relative_to(product.parent).as_posix()
        publish(file, top / "2024" / name)
    name = product.name.removesuffix(".SAFE")
    made = shutil.make_archive(str(tmp_path / name), "zip", product.parent, product.name)
    publish(Path(made), top / "zips" / f"{name}.zip")
    return top


def found(source: object) -> list[str]:
    return [product.path for product in discover(str(source)).products]


def test_trees_globs_lists_and_single_products_are_found(archive: Path, product: Path, s3) -> None:
    folder = f"{archive}/2024/{product.name}"
    zipped = f"{archive}/zips/{product.name.removesuffix('.SAFE')}.zip"
    s3.requests.clear()
    assert found(archive) == [folder, zipped]
    assert s3.requests["LIST"] < 8  # products are not descended into
    assert found(folder) == [folder]
    assert found(zipped) == [zipped]
    assert found(f"{archive}/20*/*.SAFE") == [folder]
    assert found(f"{archive}/**/*.zip") == [zipped]
    write_text(archive / "list.txt", f"{zipped}  # by its URL\n2024/{product.name}\n2024\n")
    assert found(archive / "list.txt") == [folder, zipped]
    with pytest.raises(ProductError, match="no such file or folder"):
        found(archive / "none")


@pytest.mark.parametrize("kind", ["2024", "zips"])
def test_a_remote_scene_has_the_pixels_of_the_local_one(
    archive: Path, product: Path, opened, kind: str
) -> None:
    local = opened(product)
    (source,) = found(archive / kind)
    remote = opened(source)
    assert (remote.scene_id, remote.offsets, remote.baseline) == (
        local.scene_id,
        local.offsets,
        local.baseline,
    )
    grid = scene_grid(remote, 20)
    assert grid == scene_grid(local, 20)
    window = Window(0, 0, *grid.shape)
    for ours, theirs in zip(
        read_block(remote, grid, window).bands, read_block(local, grid, window).bands, strict=True
    ):
        assert np.array_equal(ours.reflectance, theirs.reflectance)


def test_a_replaced_image_is_another_scene_and_is_read_anew(archive: Path, opened) -> None:
    (source,) = found(archive / "2024")
    before = opened(source)
    assert opened(source).fingerprint == before.fingerprint
    scene_grid(before, 20)
    image = path_of(f"s3://{before.images[3].removeprefix('/vsis3/')}")
    write_text(image, "cut short")
    after = opened(source)
    assert after.fingerprint != before.fingerprint
    with pytest.raises(ProductError, match="B04 is no whole JPEG 2000 image"):
        scene_grid(after, 20)


def test_a_missing_product_is_named(archive: Path, opened) -> None:
    with pytest.raises(ProductError, match=r"s3://.*/gone.SAFE: no such product"):
        opened(f"{archive}/gone.SAFE")
