"""Metadata as other processors, tools and times write them: sound, or unsound in one plain way.

Each function does one kind, says what it did, and what must come of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final
from xml.etree.ElementTree import Comment, Element, ProcessingInstruction, SubElement, tostring

from defusedxml.ElementTree import fromstring
from mutate_xml import either, name_of, parent_of, pick, product_xml, tile_xml
from truth import EXACT, STATED, Change, Told, refused

BASELINES: Final = (
    *("00.01", "02.04", "02.06", "02.14", "03.00", "03.01"),
    *("04.00", "05.00", "05.09", "05.10", "05.11", "05.12", "99.99"),
)
SCHEMAS: Final = (
    *(f"https://psd-{version}.sentinel2.eo.esa.int/PSD/x.xsd" for version in (12, 13, 14, 15)),
    *("http://gs2.esa.int/DICO/1.0/PDGS/dimap/", "", "urn:other"),
)
#: Elements that some processors leave out, and of which the package needs none.
OPTIONAL: Final = (
    *("SENSING_TIME", "Special_Values", "PRODUCT_URI", "PRODUCT_START_TIME", "Query_Options"),
    *("Product_Organisation", "Spectral_Information_List", "Size", "PROCESSING_LEVEL"),
    *("CLOUDY_PIXEL_PERCENTAGE", "Cloud_Coverage_Assessment", "SENSING_ORBIT_DIRECTION"),
)
#: Elements whose text is one number, and what may stand for it.
NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "QUANTIFICATION_VALUE": ("+10000", "1e4", "1.0E+04", "010000", "10000.", "10000.000"),
    "RADIO_ADD_OFFSET": ("-1000.0", "-1e3", "-01000", "-1.0E+3", "-1000."),
    "SPECIAL_VALUE_INDEX": ("00", "+0", "0.0", "0e0"),
    "SENSING_ORBIT_NUMBER": ("051", "+51", "51.0", "5.1e1"),
    "ULX": ("+300000", "3e5", "0300000", "300000.00"),
    "ROW_STEP": ("+5000", "5e3", "05000", "5.000E+3"),
    "CLOUDY_PIXEL_PERCENTAGE": ("+0", "-0", "0e0", "00.00", ".0", "0."),
}
SPACES: Final = (" ", "\n", "\t", "\r\n    ", "\n\n")
NO_NUMBERS: Final = (
    "10 000",
    "10,000",
    "1_000",
    "0x10",
    "\uff11\uff10",
    "ten",
    "1e",
    "--1",
    "nan(1)",
)
#: Ways to write 10:48:19 of that day, and the next: the same time.
TIMES: Final = (
    *("2024-03-05T10:48:19Z", "2024-03-05T10:48:19", "2024-03-05T10:48:19.0Z"),
    *("2024-03-05T10:48:19.000000Z", "2024-03-05T10:48:19.000000000Z", "2024-03-05 10:48:19"),
    *("2024-03-05T10:48:19+00:00", "2024-03-05T10:48:19-00:00", "2024-03-05T12:48:19.000+02:00"),
    *("2024-03-05T05:48:19-0500", "2024-03-06T00:18:19+13:30", "20240305T104819Z"),
    *("20240305T104819.000", "2024-03-05T10:48:19,000Z", "\n  2024-03-05T10:48:19.000Z\n"),
)
NO_TIMES: Final = (
    *("05/03/2024 10:48:19", "2024-02-30T10:48:19Z", "2024-03-05T25:00:00Z", "1709635699"),
    *("2024-03-05T10:48:19Q", "Tue, 05 Mar 2024 10:48:19 GMT", "2024-065T10:48:19Z"),
)
NAMES_OF_NODATA: Final = (
    "NODATA",
    "NO_DATA",
    "NoData",
    "nodata",
    "DEFECTIVE",
    "FILL",
    "SATURATION",
)
NAMES_OF_SATURATED: Final = ("SATURATED", "Saturated", "saturated")

Edit = Callable[[Element, Random], Told]


def in_file(which: Callable[[Path, Random], Path], edit: Edit) -> Change:
    """A change of a product from one of the element tree of one of its files."""

    def change(product: Path, rng: Random) -> Told:
        file = which(product, rng)
        root = fromstring(file.read_bytes())
        what, truth = edit(root, rng)
        file.write_bytes(tostring(root, encoding="UTF-8", xml_declaration=True))
        return f"{file.name}: {what}", truth

    change.__name__ = edit.__name__
    return change


def of_product(edit: Edit) -> Change:
    return in_file(lambda product, _: product_xml(product), edit)


def of_tile(edit: Edit) -> Change:
    return in_file(lambda product, _: tile_xml(product), edit)


def of_either(edit: Edit) -> Change:
    return in_file(either, edit)


def named(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if name_of(element) == name]


def remove(root: Element, elements: list[Element]) -> None:
    for element in elements:
        parent_of(root, element).remove(element)


def baseline(root: Element, rng: Random) -> Told:
    """Baselines of all years: those before 04.00 with offsets, as Collection 1 has, or without."""
    [element], [uri] = named(root, "PROCESSING_BASELINE"), named(root, "PRODUCT_URI")
    element.text = rng.choice(BASELINES)
    uri.text = str(uri.text).replace("N0510", f"N{element.text.replace('.', '')}")
    keep = rng.random() < 0.5
    if not keep:
        remove(root, named(root, "RADIO_ADD_OFFSET"))
    fails = element.text >= "04.00" and not keep
    truth = refused(f"baseline {element.text} lacks the RADIO_ADD_OFFSET") if fails else STATED
    return f"baseline {element.text}, {'with' if keep else 'without'} offsets", truth


def baseline_of_another_name(root: Element, rng: Random) -> Told:
    """The name in the metadata and the metadata are of two minds."""
    [element] = named(root, "PROCESSING_BASELINE")
    element.text = rng.choice([b for b in BASELINES if b != element.text])
    return f"baseline {element.text} in one place", refused("the baseline stated elsewhere is")


def namespace(root: Element, rng: Random) -> Told:
    """Of another version of the specification, of none, or of each element another."""
    chosen = rng.sample(SCHEMAS, rng.randint(1, 2))
    for element in root.iter():
        schema = rng.choice(chosen)
        element.tag = f"{{{schema}}}{name_of(element)}" if schema else name_of(element)
    place = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
    root.set(place, f"{chosen[0]} /gpfs/dpc/app/schemas/x.xsd")
    return f"namespaces {chosen}", EXACT


def absent(root: Element, rng: Random) -> Told:
    there = sorted({name_of(element) for element in root.iter()} & set(OPTIONAL))
    name = rng.choice(there)
    remove(root, named(root, name))
    return f"no <{name}>", EXACT


def no_cloud_cover(product: Path, rng: Random) -> Told:
    """Stated nowhere, or only for the whole product."""
    both = rng.random() < 0.5
    names = ("CLOUDY_PIXEL_PERCENTAGE", "Cloud_Coverage_Assessment")[: 2 if both else 1]
    for file in (product_xml(product), tile_xml(product)):
        root = fromstring(file.read_bytes())
        for name in names:
            remove(root, named(root, name))
        file.write_bytes(tostring(root))
    return f"no {' and no '.join(names)}", STATED if both else EXACT


def _turn(values: Element, degrees: float) -> None:
    words = (float(word) + degrees for word in str(values.text).split())
    values.text = " ".join(f"{word:.4f}" for word in words)


def _split(grid: Element, detector: int, count: int, rng: Random) -> None:
    """Leave a grid what one of ``count`` detectors sees: columns side by side, with overlap."""
    for values in named(grid, "VALUES"):
        words = str(values.text).split()
        seen = [abs(i * (count - 1) / (len(words) - 1) - detector) < 1.2 for i in range(len(words))]
        values.text = " ".join(w if s else "NaN" for w, s in zip(words, seen, strict=True))
    grid.set("detectorId", rng.choice((f"{detector + 1}", f"0{detector + 1}")))


def detectors(root: Element, rng: Random) -> Told:
    """Several of each band, that see different columns, in any order, from different angles."""
    count = rng.randint(2, 6)
    for grid in named(root, "Viewing_Incidence_Angles_Grids"):
        parent = parent_of(root, grid)
        for detector in range(count):
            part = fromstring(tostring(grid))
            for values in named(part, "VALUES"):
                _turn(values, 0.1 * detector)
            _split(part, detector, count, rng)
            parent.insert(rng.randint(0, len(parent)), part)
        parent.remove(grid)
    return f"{count} detectors a band", STATED


def views_absent(root: Element, rng: Random) -> Told:
    """No angles of some bands; the bands look different ways."""
    grids = named(root, "Viewing_Incidence_Angles_Grids")
    for grid in grids:
        for values in named(grid, "VALUES"):
            words = (
                float(word) + 0.1 * int(str(grid.get("bandId")))
                for word in str(values.text).split()
            )
            values.text = " ".join(f"{word:.4f}" for word in words)
    gone = rng.sample(grids, rng.randint(1, len(grids)))
    remove(root, gone)
    if len(gone) == len(grids):
        return "no view angles", refused("<Viewing_Incidence_Angles_Grids> is missing")
    return f"no view angles of {len(gone)} bands", STATED


def unseen_nodes(root: Element, rng: Random) -> Told:
    """Nodes without a number, in the view of some bands, or of the sun off the image or on it."""
    word, on_sun = rng.choice(("NaN", "nan", "NAN")), rng.random() < 0.5
    if not on_sun:
        grids = named(root, "Viewing_Incidence_Angles_Grids")
        for grid in rng.sample(grids, rng.randint(1, len(grids) - 1)):
            _blank(grid, rng, word)
        return f"{word} in the view of some bands", STATED
    [sun] = named(root, "Sun_Angles_Grid")
    row, col = _blank(sun, rng, word)
    truth = EXACT if max(row, col) == 2 else refused("the sun angle grid lacks a node")
    return f"{word} for the sun at node {row}, {col}", truth


def _blank(grid: Element, rng: Random, word: str) -> tuple[int, int]:
    """Row and column of the node whose zenith or azimuth is ``word`` now."""
    [element] = named(grid, rng.choice(("Zenith", "Azimuth")))
    row, col = rng.randrange(3), rng.randrange(3)
    values = named(element, "VALUES")[row]
    words = str(values.text).split()
    words[col] = word
    values.text = " ".join(words)
    return row, col


def order(root: Element, rng: Random) -> Told:
    """Children in any order, but for the rows of a grid."""
    for parent in root.iter():
        if name_of(parent) != "Values_List":
            children = list(parent)
            rng.shuffle(children)
            parent[:] = children
    return "all children shuffled", EXACT


def more(root: Element, rng: Random) -> Told:
    """Elements and attributes that nobody knows."""
    for parent in rng.sample(list(root.iter()), 5):
        if rng.random() < 0.5:
            parent.set(rng.choice(("source", "{urn:x}unit", "since")), rng.choice(("", "1", "é")))
        elif name_of(parent) != "VALUES":
            child = SubElement(parent, rng.choice(("NEW_VALUE", "{urn:x}New", "Grid")), unit="m")
            child.text = rng.choice(("", "5", "NaN NaN", "<&>"))
    return "unknown elements and attributes", EXACT


def remarks(root: Element, rng: Random) -> Told:
    """Comments and processing instructions between elements."""
    for parent in rng.sample([e for e in root.iter() if len(e)], 4):
        remark = rng.choice(
            (Comment(" by hand <ULX>0</ULX> "), ProcessingInstruction("x", "y='1'"))
        )
        parent.insert(rng.randint(0, len(parent)), remark)
    return "comments and processing instructions", EXACT


def remarks_in_text(product: Path, rng: Random) -> Told:
    """Comments within a text, and texts as character data or references."""
    file = either(product, rng)
    content = file.read_text(encoding="utf-8")
    match = rng.choice(list(re.finditer(r"(?<=>)[^<>\s][^<>]*(?=<)", content)))
    text, at = match[0], rng.randrange(len(match[0]))
    written = rng.choice(
        (
            f"{text[:at]}<!-- here -->{text[at:]}",
            f"{text[:at]}<?x y?>{text[at:]}",
            f"<![CDATA[{text}]]>",
            f"{text[:at]}&#{ord(text[at])};{text[at + 1 :]}",
            f"{text[:at]}&#x{ord(text[at]):X};{text[at + 1 :]}",
        )
    )
    changed = content[: match.start()] + written + content[match.end() :]
    file.write_text(changed, encoding="utf-8")
    return f"{file.name}: {text[:40]!r} is {written[:60]!r}", EXACT


def numbers(root: Element, rng: Random) -> Told:
    """The same numbers written otherwise."""
    element = pick([e for e in root.iter() if name_of(e) in NUMBERS], rng)
    is_saturated = element.text == "65535"
    spelling = rng.choice((*NUMBERS[name_of(element)], str(element.text)))
    if is_saturated:
        spelling = rng.choice(("65535", "+65535", "065535", "65535.0", "6.5535e4"))
    before, after = rng.choice(("", *SPACES)), rng.choice(("", *SPACES))
    element.text = f"{before}{spelling}{after}"
    return f"<{name_of(element)}> is {element.text!r}", EXACT


def numbers_of_nodes(root: Element, rng: Random) -> Told:
    """The same angles written otherwise, a row over several lines."""
    values = rng.choice(named(root, "VALUES"))
    how = rng.choice(("+", "e", "0", ".", "space"))
    ways: dict[str, Callable[[float], str]] = {
        "+": lambda v: f"+{v:.8g}",
        "e": lambda v: f"{v:.8e}",
        "0": lambda v: f"00{v:.8g}",
        ".": lambda v: f"{v:.10f}",
        "space": lambda v: f"\n\t{v:.8g}  ",
    }
    values.text = " ".join(ways[how](float(word)) for word in str(values.text).split())
    return f"<VALUES> are {values.text[:50]!r}", EXACT


def numbers_of_bands(root: Element, rng: Random) -> Told:
    """The same numbers of bands written otherwise."""
    names = ("band_id", "bandId")
    element = rng.choice([e for e in root.iter() if any(e.get(name) for name in names)])
    name = next(name for name in names if element.get(name))
    index = str(element.get(name))
    element.set(name, rng.choice((f"0{index}", f" {index}", f"{index} ", f"\t{index}\n")))
    return f"{name} of <{name_of(element)}> is {element.get(name)!r}", EXACT


def no_numbers(root: Element, rng: Random) -> Told:
    """Texts that other programs take for numbers, or nobody."""
    known = {*NUMBERS, "VALUES"} - {"ROW_STEP"}
    element = pick([e for e in root.iter() if name_of(e) in known], rng)
    name, text = name_of(element), rng.choice(NO_NUMBERS)
    rest = str(element.text).split()[1:]
    element.text = " ".join((text.replace(" ", "'") if rest else text, *rest))
    causes = {"VALUES": "an angle grid is damaged", "SPECIAL_VALUE_INDEX": f"is {text!r}, expected"}
    return f"<{name}> is {element.text!r}", refused(causes.get(name, f"{name}> is {text!r}"))


def time(root: Element, rng: Random) -> Told:
    """The same time written otherwise."""
    name = rng.choice(("DATATAKE_SENSING_START", "GENERATION_TIME"))
    [element] = named(root, name)
    element.text = rng.choice(TIMES)
    return f"<{name}> is {element.text!r}", STATED if name == "GENERATION_TIME" else EXACT


def fraction(root: Element, rng: Random) -> Told:
    """Fractions of a second of any length."""
    [element] = named(root, "DATATAKE_SENSING_START")
    digits = rng.choice(("0", "024", "024000", "024999", "999999", "9999999"))
    element.text = f"2024-03-05T10:48:19.{digits}Z"
    return f"the datatake begins at {element.text}", STATED


def no_time(root: Element, rng: Random) -> Told:
    name = rng.choice(("DATATAKE_SENSING_START", "GENERATION_TIME"))
    [element] = named(root, name)
    element.text = rng.choice(NO_TIMES)
    return f"<{name}> is {element.text!r}", refused(f"<{name}> is {element.text!r}")


def scale(root: Element, rng: Random) -> Told:
    """Thousandths in place of ten-thousandths, as the first products had."""
    [quantification] = named(root, "QUANTIFICATION_VALUE")
    quantification.text = "1000"
    small = rng.random() < 0.7
    for element in named(root, "RADIO_ADD_OFFSET"):
        element.text = "-100" if small else "-1001"
    truth = STATED if small else refused("of at most the quantification value, 1000")
    return f"1000 counts of reflectance, offsets {'-100' if small else '-1001'}", truth


def offsets(root: Element, rng: Random) -> Told:
    """Another one for each band, in any order."""
    elements = named(root, "RADIO_ADD_OFFSET")
    for element in elements:
        element.text = str(-rng.randrange(2000))
    parent = parent_of(root, elements[0])
    parent[:] = rng.sample(elements, len(elements))
    return "offsets of the bands out of order", STATED


def specials(root: Element, rng: Random) -> Told:
    """Special values under other names, more of them, or one under two names."""
    for element in named(root, "SPECIAL_VALUE_TEXT"):
        is_nodata = element.text == "NODATA"
        element.text = rng.choice(NAMES_OF_NODATA if is_nodata else NAMES_OF_SATURATED)
    characteristics = parent_of(root, named(root, "Special_Values")[0])
    name, index = rng.choice(NAMES_OF_NODATA[:5]), rng.choice(("65534", "4000", "65535", "1"))
    special = SubElement(characteristics, "Special_Values")
    SubElement(special, "SPECIAL_VALUE_TEXT").text = name
    SubElement(special, "SPECIAL_VALUE_INDEX").text = index
    both = index == "65535"
    truth = refused("65535 is stated as saturated and as nodata") if both else STATED
    return f"{index} is {name}", truth


def satellite(root: Element, rng: Random) -> Told:
    [element] = named(root, "SPACECRAFT_NAME")
    element.text = rng.choice(("Sentinel-2A", "Sentinel-2C", "Sentinel-2Z", "SENTINEL-2B", "S2B"))
    known = element.text in ("Sentinel-2A", "Sentinel-2C")
    cause = "the satellite stated elsewhere" if known else f"satellite is {element.text!r}"
    return f"satellite {element.text}", refused(cause)


CHANGES: Final[tuple[Change, ...]] = (
    *map(of_product, (baseline, baseline, baseline_of_another_name, satellite)),
    *map(of_product, (time, time, fraction, no_time, scale, offsets, specials)),
    *map(of_tile, (detectors, detectors, views_absent, unseen_nodes, unseen_nodes)),
    *map(of_tile, (numbers_of_nodes,)),
    *map(of_either, (namespace, absent, absent, order, more, remarks)),
    *map(of_either, (numbers, numbers, numbers_of_bands, no_numbers)),
    *(no_cloud_cover, remarks_in_text, remarks_in_text),
)
