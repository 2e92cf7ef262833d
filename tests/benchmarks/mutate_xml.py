"""Damage to the metadata of a SAFE folder: each function does one kind, and says what it did."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final
from xml.etree.ElementTree import Element, tostring

from defusedxml.ElementTree import fromstring
from mutate_bytes import cut, drop_range, flip, repeat_range

NUMBERS: Final = (
    *("", "nan", "inf", "-inf", "1e999", "1e30", "-1e30", "1e-320", "0", "-0", "-1", "0x10"),
    *("1_000", "٣", "1,5", "12 13", "ten", "99999999999999999999", "-32768", "65536", "360.5"),
)
TEXTS: Final = ("", " ", "../../../../tmp/x", "/etc/passwd", "é" * 300, "٠١.٠٢", "A" * 100_000)
TIMES: Final = (
    *("0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2024-13-05T00:00:00Z"),
    *("20240305", "2024-03-05", "2024-03-05T10:48:19", "2024-03-05T10:48:19+02:00", "24:00"),
)
BASELINES: Final = ("02.04", "03.01", "04.00", "05.11", "99.99", "5.10", "00.00", "٠٥.١٠", "05.1O")
SYSTEMS: Final = ("EPSG:32632", "EPSG:4326", "EPSG:99999", "epsg:32631", "UTM 31", "", "EPSG:3857")
ENCODINGS: Final = (
    "latin-1",
    "utf-16",
    "cp037",
    "utf-7",
    "shift_jis",
    "nonsense-9",
    "ascii",
    "hex",
)
BOMB: Final = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)
OUTSIDE: Final = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/x">]>',
    '<!DOCTYPE x SYSTEM "/etc/passwd">',
    '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>',
)

Mutation = Callable[[Path, Random], str]


def product_xml(product: Path) -> Path:
    return next(product.glob("*MTD*.xml"))


def tile_xml(product: Path) -> Path:
    return next(product.glob("GRANULE/*/*MTD*.xml"))


def either(product: Path, rng: Random) -> Path:
    return rng.choice((product_xml(product), tile_xml(product)))


def on_bytes(change: Callable[[bytes, Random], tuple[bytes, str]]) -> Mutation:
    """A mutation of one of the two metadata files from one of bytes."""

    def mutation(product: Path, rng: Random) -> str:
        file = either(product, rng)
        content, what = change(file.read_bytes(), rng)
        file.write_bytes(content)
        return f"{file.name}: {what}"

    mutation.__name__ = change.__name__
    return mutation


def on_tree(change: Callable[[Element, Random], str]) -> Mutation:
    """A mutation of one of the two metadata files from one of element trees."""

    def mutation(product: Path, rng: Random) -> str:
        file = either(product, rng)
        root = fromstring(file.read_bytes())
        what = change(root, rng)
        file.write_bytes(tostring(root, encoding="UTF-8", xml_declaration=True))
        return f"{file.name}: {what}"

    mutation.__name__ = change.__name__
    return mutation


def name_of(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def pick(elements: list[Element], rng: Random) -> Element:
    """One of the elements; each name is as likely, however often it occurs."""
    name = rng.choice(sorted({name_of(e) for e in elements}))
    return rng.choice([e for e in elements if name_of(e) == name])


def parent_of(root: Element, child: Element) -> Element:
    return next(element for element in root.iter() if child in list(element))


def delete_element(root: Element, rng: Random) -> str:
    element = pick(list(root.iter())[1:], rng)
    parent_of(root, element).remove(element)
    return f"<{name_of(element)}> {element.attrib} deleted"


def duplicate_element(root: Element, rng: Random) -> str:
    element = pick(list(root.iter())[1:], rng)
    parent = parent_of(root, element)
    twin = fromstring(tostring(element))
    texts = [e for e in twin.iter() if (e.text or "").strip()]
    if texts and rng.random() < 0.5:
        rng.choice(texts).text = rng.choice(NUMBERS)
    parent.insert(rng.randint(0, len(parent)), twin)
    return f"<{name_of(element)}> doubled"


def reorder_elements(root: Element, rng: Random) -> str:
    parent = rng.choice([e for e in root.iter() if len(e) > 1])
    children = list(parent)
    rng.shuffle(children)
    parent[:] = children
    return f"children of <{name_of(parent)}> shuffled"


def move_element(root: Element, rng: Random) -> str:
    element = pick(list(root.iter())[1:], rng)
    parent_of(root, element).remove(element)
    target = rng.choice(list(root.iter()))
    target.append(element)
    return f"<{name_of(element)}> moved into <{name_of(target)}>"


def change_number(root: Element, rng: Random) -> str:
    def has_number(element: Element) -> bool:
        return any(c.isdigit() for c in element.text or "")

    element = pick([e for e in root.iter() if has_number(e)], rng)
    words = (element.text or "").split()
    index = rng.randrange(len(words))
    old = words[index]
    words[index] = rng.choice((*NUMBERS, f"{old}0", f"-{old}", old[1:], f"1{old}"))
    element.text = " ".join(words)
    return f"<{name_of(element)}> {old!r} to {words[index]!r}"


def change_text(root: Element, rng: Random) -> str:
    element = pick([e for e in root.iter() if (e.text or "").strip()], rng)
    old = (element.text or "").strip()
    at = rng.randrange(len(old))
    element.text = rng.choice(
        (*TEXTS, *TIMES, old[:at], old[:at] + old[at + 1 :], old[:at] + "7" + old[at + 1 :])
    )
    return f"<{name_of(element)}> {old[:60]!r} to {element.text[:60]!r}"


def change_attribute(root: Element, rng: Random) -> str:
    element = pick([e for e in root.iter() if e.attrib], rng)
    name = rng.choice(sorted(element.attrib))
    old = element.attrib.pop(name)
    new = rng.choice((None, *NUMBERS, "0", "5", "12", "13"))
    if new is not None:
        element.set(name, new)
    return f"{name} of <{name_of(element)}> {old!r} to {new!r}"


def change_namespaces(root: Element, rng: Random) -> str:
    target = rng.choice(("", "{http://example.org/other}"))
    for element in root.iter():
        element.tag = f"{target}{name_of(element)}"
    return f"all namespaces to {target!r}"


def rename_element(root: Element, rng: Random) -> str:
    element = pick(list(root.iter()), rng)
    old = name_of(element)
    element.tag = rng.choice((old.lower(), f"{old}_", "QUANTIFICATION_VALUE", "VALUES", "ULX"))
    return f"<{old}> renamed <{element.tag}>"


def nest_deeply(content: bytes, rng: Random) -> tuple[bytes, str]:
    depth = rng.choice((1_000, 50_000))
    end = content.rindex(b"</")
    return content[:end] + b"<a>" * depth + b"</a>" * depth + content[end:], f"{depth} levels deep"


def declare_document_type(content: bytes, rng: Random) -> tuple[bytes, str]:
    declaration = rng.choice((BOMB, *OUTSIDE))
    head, _, rest = content.partition(b"?>")
    text = rest.replace(b"10000", b"&a;").replace(b"5000", b"&a;")
    return head + b"?>" + declaration.encode() + text, declaration


def change_encoding(content: bytes, rng: Random) -> tuple[bytes, str]:
    encoding = rng.choice(ENCODINGS)
    _, _, rest = content.partition(b"?>")
    changed = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + rest
    if rng.random() < 0.3:
        bom = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
        return bom + changed, f"declares {encoding} after the mark {bom!r}"
    if rng.random() < 0.3:
        return changed.decode().encode("utf-16"), f"UTF-16 that declares {encoding}"
    return changed, f"declares {encoding}"


def inflate(product: Path, rng: Random) -> str:
    file = either(product, rng)
    size = rng.choice((1 << 20, 100 << 20, 1 << 40))
    os.truncate(file, size)
    return f"{file.name} stretched to {size} bytes of nothing"


def change_offsets(product: Path, rng: Random) -> str:
    """Offsets removed, miscounted, of other bands, or another number."""
    file = product_xml(product)
    root = fromstring(file.read_bytes())
    offsets = [e for e in root.iter() if name_of(e) == "RADIO_ADD_OFFSET"]
    chosen = rng.sample(offsets, rng.randint(1, len(offsets)))
    how = rng.choice(("deleted", "number", "band", "doubled", "all deleted, baseline lowered"))
    for element in offsets if how.startswith("all") else chosen:
        parent = parent_of(root, element)
        if how == "number":
            element.text = rng.choice((*NUMBERS, "-100", "0", "-1000.5", "1000"))
        elif how == "band":
            element.set("band_id", rng.choice(("0", "7", "13", "-1", "B02", "01", " 1", "")))
        elif how == "doubled":
            twin = fromstring(tostring(element))
            twin.text = rng.choice(("-1000", "0"))
            parent.append(twin)
        else:
            parent.remove(element)
    if how.startswith("all"):
        next(e for e in root.iter() if name_of(e) == "PROCESSING_BASELINE").text = "03.01"
    file.write_bytes(tostring(root))
    return f"offsets of {len(chosen)} bands: {how}"


def _set(file: Path, name: str, values: tuple[str, ...], rng: Random) -> str:
    root = fromstring(file.read_bytes())
    element = pick([e for e in root.iter() if name_of(e) == name], rng)
    old, element.text = element.text, rng.choice(values)
    file.write_bytes(tostring(root))
    return f"{file.name}: <{name}> {old!r} to {element.text!r}"


def change_key_value(product: Path, rng: Random) -> str:
    """One of the elements that decide what the numbers mean."""
    of_product, of_tile = product_xml(product), tile_xml(product)
    file, name, values = rng.choice(
        (
            (of_product, "PROCESSING_BASELINE", BASELINES),
            (of_product, "QUANTIFICATION_VALUE", NUMBERS),
            (of_product, "DATATAKE_SENSING_START", TIMES),
            (of_product, "GENERATION_TIME", TIMES),
            (of_product, "SPECIAL_VALUE_TEXT", ("SATURATED", "nodata", "DEFECTIVE", "")),
            (of_product, "SPECIAL_VALUE_INDEX", ("0", "65535", "3000", "65536", "-1", "1e3", "x")),
            (of_product, "SENSING_ORBIT_NUMBER", (*NUMBERS, "144", "52")),
            (of_product, "SPACECRAFT_NAME", ("Sentinel-2A", "Sentinel-2X", "sentinel-2b")),
            (of_tile, "HORIZONTAL_CS_CODE", SYSTEMS),
            (of_tile, "TILE_ID", ("x_T31TDJ_N05.10", "_T../../_", "_T٣١TCJ_", "T31TCJ")),
            (of_tile, "ULX", (*NUMBERS, "600000")),
            (of_tile, "ROW_STEP", (*NUMBERS, "500")),
            (of_tile, "CLOUDY_PIXEL_PERCENTAGE", (*NUMBERS, "101")),
        )
    )
    return _set(file, name, values, rng)


def change_angle_grid(product: Path, rng: Random) -> str:
    """Grids of another shape, of NaN, or without values."""
    file = tile_xml(product)
    root = fromstring(file.read_bytes())
    grids = [e for e in root.iter() if name_of(e) in ("Sun_Angles_Grid",) or e.get("detectorId")]
    grid = pick(grids, rng)
    rows = [e for e in grid.iter() if name_of(e) == "VALUES"]
    how = rng.choice(("row lost", "value lost", "column lost", "all NaN", "one NaN", "text", "row"))
    row = rng.choice(rows)
    words = (row.text or "").split()
    if how == "row lost":
        parent_of(grid, row).remove(row)
    elif how == "row":
        parent_of(grid, row).append(fromstring(tostring(row)))
    elif how == "text":
        row.text = "x " * len(words)
    elif how == "value lost":
        row.text = " ".join(words[1:])
    elif how == "one NaN":
        row.text = " ".join(["NaN", *words[1:]])
    else:
        for each in rows:
            values = (each.text or "").split()
            each.text = " ".join(values[:-1] if how == "column lost" else ["NaN"] * len(values))
    file.write_bytes(tostring(root))
    return f"<{name_of(grid)}> {grid.attrib}: {how}"


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *map(on_bytes, (cut, flip, flip, drop_range, repeat_range)),
    *map(on_bytes, (declare_document_type, change_encoding, nest_deeply)),
    *map(on_tree, (delete_element, duplicate_element, reorder_elements, move_element)),
    *map(on_tree, (change_number, change_number, change_text, change_attribute)),
    *map(on_tree, (change_namespaces, rename_element)),
    *(inflate, change_offsets, change_offsets, change_key_value, change_key_value),
    *(change_angle_grid,),
)
