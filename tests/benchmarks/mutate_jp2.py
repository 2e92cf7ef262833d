"""Damage to the band images of a SAFE folder: each function does one kind, and says what it did."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import rasterio
from mutate_bytes import blank_range, cut, drop_range, flip_within, repeat_range
from rasterio.transform import Affine

Mutation = Callable[[Path, Random], str]

#: Start of data: the marker after the headers of the first tile part (ISO/IEC 15444-1, A.4.4).
START_OF_DATA: Final = b"\xff\x93"
CODESTREAM: Final = b"\xff\x4f\xff\x51"


def images(product: Path) -> list[Path]:
    return sorted(product.glob("GRANULE/*/IMG_DATA/*_B*.jp2"))


def on_bytes(change: Callable[[bytes, Random], tuple[bytes, str]]) -> Mutation:
    """A mutation of one image from one of bytes."""

    def mutation(product: Path, rng: Random) -> str:
        file = rng.choice(images(product))
        content, what = change(file.read_bytes(), rng)
        file.write_bytes(content)
        return f"{file.name}: {what}"

    mutation.__name__ = change.__name__
    return mutation


def flip_boxes(content: bytes, rng: Random) -> tuple[bytes, str]:
    return flip_within(content, 0, content.index(CODESTREAM), rng)


def flip_headers(content: bytes, rng: Random) -> tuple[bytes, str]:
    start = content.index(CODESTREAM)
    return flip_within(content, start, content.index(START_OF_DATA) + 2, rng)


def flip_data(content: bytes, rng: Random) -> tuple[bytes, str]:
    return flip_within(content, content.index(START_OF_DATA) + 2, len(content), rng)


def append_garbage(content: bytes, rng: Random) -> tuple[bytes, str]:
    length = rng.choice((1, 100, 100_000))
    return content + rng.randbytes(length), f"{length} bytes appended"


def bare_codestream(content: bytes, _: Random) -> tuple[bytes, str]:
    return content[content.index(CODESTREAM) :], "boxes removed"


def swap_bands(product: Path, rng: Random) -> str:
    first, second = rng.sample(images(product), 2)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return f"{first.name} and {second.name} swapped"


def copy_band(product: Path, rng: Random) -> str:
    source, target = rng.sample(images(product), 2)
    shutil.copy(source, target)
    return f"{source.name} in place of {target.name}"


def add_image(product: Path, rng: Random) -> str:
    source, other = rng.sample(images(product), 2)
    name = rng.choice((f"copy_{source.name}", source.name.replace("_B", "_T_B"), f".{source.name}"))
    shutil.copy(other, source.with_name(name))
    return f"{other.name} added as {name}"


def replace_by_other_kind(product: Path, rng: Random) -> str:
    """Something that is no regular file, or a regular file of another kind."""
    file = rng.choice(images(product))
    content = file.read_bytes()
    file.unlink()
    kind = rng.choice(("nothing", "folder", "loop", "dangling", "fifo", "socket", "zero", "null"))
    if kind == "folder":
        file.mkdir()
    elif kind in ("loop", "dangling", "zero", "null"):
        targets = {"loop": file.name, "zero": "/dev/zero", "null": "/dev/null"}
        file.symlink_to(targets.get(kind, "/nowhere/at/all"))
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "socket":
        # A socket's path is limited to 107 bytes: bind it from inside its folder.
        with socket.socket(socket.AF_UNIX) as server:
            here = Path.cwd()
            os.chdir(file.parent)
            server.bind(file.name)
            os.chdir(here)
    elif rng.random() < 0.5:
        content = rng.choice((b"", b"\x89PNG\r\n\x1a\n" + content, b"<VRTDataset/>", b"hello\n"))
        file.write_bytes(content)
        kind = f"a file that begins {content[:12]!r}"
    return f"{file.name} replaced by {kind}"


def rewrite(product: Path, rng: Random) -> str:
    """A sound image of other size, type, bands, place, system, pixels, tiles or format."""
    file = rng.choice(images(product))
    with rasterio.open(file) as image:
        samples, profile = image.read(1), image.profile
    pixel = int(profile["transform"].a)
    choice: dict[str, Any] = rng.choice(
        (
            {"dtype": "uint8"},
            {"dtype": "int16"},
            {"count": 3},
            {"crs": "EPSG:32632"},
            {"crs": None},
            {"shift": (pixel, 0)},
            {"shift": (0, -pixel / 2)},
            {"pixel": pixel * 2},
            {"pixel": pixel / 2},
            {"cut": 1},
            {"cut": samples.shape[0] // 2},
            {"tile": 64},
            {"driver": "GTiff"},
            {"driver": "PNG"},
        )
    )
    left, top = profile["transform"].c, profile["transform"].f
    dx, dy = choice.get("shift", (0, 0))
    side = choice.get("pixel", pixel)
    samples = samples[choice.get("cut", 0) :].astype(choice.get("dtype", "uint16"))
    options: dict[str, Any] = {
        "driver": choice.get("driver", "JP2OpenJPEG"),
        "width": samples.shape[1],
        "height": samples.shape[0],
        "count": choice.get("count", 1),
        "dtype": samples.dtype,
        "crs": choice.get("crs", profile["crs"]) if "crs" in choice else profile["crs"],
        "transform": Affine(side, 0, left + dx, 0, -side, top + dy),
    }
    if options["driver"] == "JP2OpenJPEG":
        lossless = {"quality": 100, "reversible": "YES", "ycbcr420": "NO"}
        options |= lossless | dict.fromkeys(("blockxsize", "blockysize"), choice.get("tile", 1024))
    file.unlink()
    with rasterio.open(file, "w", **options) as image:
        image.write(np.stack([samples] * options["count"]))
    Path(f"{file}.aux.xml").unlink(missing_ok=True)
    return f"{file.name} written again with {choice}"


def add_sidecar(product: Path, rng: Random) -> str:
    """Files that GDAL would read beside an image."""
    source, target = rng.sample(images(product), 2)
    suffix = rng.choice((".aux.xml", ".ovr", ".msk", "wld", "j2w"))
    if suffix in (".ovr", ".msk"):
        shutil.copy(source, f"{target}{suffix}")
        return f"{source.name} added as {target.name}{suffix}"
    if suffix == ".aux.xml":
        text = "<PAMDataset><GeoTransform>0,10,0,0,0,-10</GeoTransform></PAMDataset>"
        Path(f"{target}{suffix}").write_text(text)
    else:
        target.with_suffix(f".{suffix}").write_text("10\n0\n0\n-10\n5\n5\n")
    return f"{target.name} with a {suffix} beside it"


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *map(on_bytes, (cut, cut, flip_boxes, flip_headers, flip_headers, flip_data, flip_data)),
    *map(on_bytes, (drop_range, repeat_range, blank_range, append_garbage, bare_codestream)),
    *(swap_bands, copy_band, add_image, replace_by_other_kind, replace_by_other_kind),
    *(rewrite, rewrite, add_sidecar),
)
