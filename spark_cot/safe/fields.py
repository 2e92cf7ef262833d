"""Single fields of the two metadata files: read, checked, and held against each other."""

import re
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element

from spark_cot.errors import ProductError
from spark_cot.msi import BAND_IDS, SATELLITES
from spark_cot.safe import naming
from spark_cot.safe.reflectance import SpecialValues
from spark_cot.safe.strips import Strip
from spark_cot.safe.xml import Metadata, band_of, number, number_or_nan

#: Products from this processing baseline on carry radiometric offsets (ESA, "Copernicus
#: Sentinel-2 Processing Baseline", PB 04.00 of 25 January 2022).
FIRST_BASELINE_WITH_OFFSETS: Final = (4, 0)

#: Relative orbits of a Sentinel-2 satellite before its track repeats.
_ORBITS: Final = 143


def satellite(product: Metadata) -> str:
    """Short name of the satellite, such as S2A."""
    name = product.text("SPACECRAFT_NAME")
    if name not in SATELLITES:
        raise ProductError(
            f"satellite is {name!r}, known are {', '.join(SATELLITES)}", product.where
        )
    return SATELLITES[name]


def mgrs_tile(tile: Metadata, granule: str) -> str:
    """The tile, such as 31TCJ, on which TILE_ID and the name of the granule's folder agree."""
    text = tile.text("TILE_ID")
    stated, named = naming.TILE_ID.search(text), naming.TILE_ID.search(f"_{granule}")
    if stated is None:
        raise ProductError(f"<TILE_ID> is {text!r}, expected ..._T31TCJ_...", tile.where)
    if named is not None and named["tile"] != stated["tile"]:
        raise ProductError(
            f"<TILE_ID> states tile {stated['tile']}, the folder's name {named['tile']}",
            tile.where,
            "Download the product again",
        )
    return stated["tile"]


def baseline(product: Metadata) -> str:
    """Processing baseline, such as 05.10."""
    text = product.text("PROCESSING_BASELINE")
    if not re.fullmatch(r"\d\d\.\d\d", text, re.ASCII):
        raise ProductError(
            f"<PROCESSING_BASELINE> is {text!r}, expected a form like 05.10", product.where
        )
    return text


def time(product: Metadata, path: str) -> datetime:
    """A time in UTC, which is also meant where no zone is stated."""
    text = product.text(path)
    try:
        stated = datetime.fromisoformat(text)
        return stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ProductError(f"<{path}> is {text!r}, expected a time", product.where) from error


def datatake(product: Metadata) -> str:
    """Identifier of the datatake, such as GS2B_20240305T104819_036542_N05.10; empty if not given.

    Source: S2-PDGS-TAS-DI-PSD, section 3.2.
    """
    named = {e.get("datatakeIdentifier", "").strip() for e in product.elements("Datatake")}
    return named.pop() if len(named) == 1 else ""


def strip(tile: Metadata, datatake_start: datetime) -> Strip:
    """When the tile was sensed, and when its datastrip begins.

    Without a SENSING_TIME the datatake's start stands for it.
    """
    sensed = time(tile, "SENSING_TIME") if tile.find("SENSING_TIME") else datatake_start
    begins = naming.DATASTRIP_ID.search(tile.find("DATASTRIP_ID") or "")
    return Strip(sensed, _start_of(begins["begins"]) if begins else None)


def _start_of(text: str) -> datetime | None:
    """The time in the identifier of a datastrip, such as 20240305T105512; None if it is none."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def orbit(product: Metadata) -> int:
    """Relative orbit, 1 to 143."""
    value = product.number("SENSING_ORBIT_NUMBER")
    if value not in range(1, _ORBITS + 1):
        raise ProductError(
            f"<SENSING_ORBIT_NUMBER> is {value:g}, expected 1 to {_ORBITS}", product.where
        )
    return int(value)


def quantification(product: Metadata) -> float:
    """QUANTIFICATION_VALUE: digital numbers per unit of reflectance."""
    value = product.number("QUANTIFICATION_VALUE")
    if value < 1:
        raise ProductError(
            f"<QUANTIFICATION_VALUE> is {value:g}, expected at least 1", product.where
        )
    return value


def special_values(product: Metadata) -> SpecialValues:
    """Digital numbers that are no measurements: those stated, and those that always are none.

    SATURATED is one of these; any other name is taken for nodata.

    Raises
    ------
    ProductError
        If a value is incomplete or no 16-bit number, or is stated as saturated and as nodata.
    """
    usual = SpecialValues()
    nodata, saturated = set(usual.nodata), set[int]()
    for element in product.elements("Special_Values"):
        name, index = (_single(element, f"SPECIAL_VALUE_{part}") for part in ("TEXT", "INDEX"))
        value = number_or_nan(index)
        if not name or not value.is_integer() or not 0 <= value <= max(usual.saturated):
            raise ProductError(
                f"special value {name!r} is {index!r}, expected a name and a number from 0 to "
                f"{max(usual.saturated)}",
                product.where,
                "Download the product again",
            )
        (saturated if name.upper() == "SATURATED" else nodata).add(int(value))
    both = nodata & saturated
    if both:
        raise ProductError(
            f"{min(both)} is stated as saturated and as nodata",
            product.where,
            "Download the product again",
        )
    return SpecialValues(frozenset(nodata), frozenset(saturated | (usual.saturated - nodata)))


def _single(element: Element, name: str) -> str:
    """Text of the child of this name; empty if there is none, or are several of two minds."""
    texts = {(child.text or "").strip() for child in element.findall(f"{{*}}{name}")}
    return texts.pop() if len(texts) == 1 else ""


def offsets(product: Metadata) -> tuple[float, ...]:
    """RADIO_ADD_OFFSET of B01 .. B12; zeros for a baseline below 04.00 that states none.

    The sensing date is no test: Collection 1 reprocessed old scenes with offsets.

    Raises
    ------
    ProductError
        If they are stated for some bands only, or more than once for one, or are none although
        the baseline demands them, or would move reflectance by more than 1.
    """
    stated = product.elements("RADIO_ADD_OFFSET")
    version = baseline(product)
    if not stated and tuple(map(int, version.split("."))) < FIRST_BASELINE_WITH_OFFSETS:
        return (0.0,) * len(BAND_IDS)
    found = {
        band_of(element, "band_id"): number(element.text or "", "RADIO_ADD_OFFSET", product.where)
        for element in stated
    }
    missing = [band for band in BAND_IDS if band not in found]
    if missing:
        raise ProductError(
            f"baseline {version} lacks the RADIO_ADD_OFFSET of {', '.join(missing)}; without it "
            "reflectance would be off by about 0.1",
            product.where,
            "Download the product again",
        )
    largest = max(map(abs, found.values()))
    if len(stated) != len(BAND_IDS) or largest > quantification(product):
        raise ProductError(
            f"found {len(stated)} RADIO_ADD_OFFSET of up to {largest:g}, expected one per band of "
            f"at most the quantification value, {quantification(product):g}",
            product.where,
            "Download the product again",
        )
    return tuple(found[band] for band in BAND_IDS)


def cloud_cover(product: Metadata, tile: Metadata) -> float:
    """Per cent, NaN if not stated.

    Of the granule if it states one: old products give the mean of all their granules beside it.
    """
    for metadata, path in (
        (tile, "CLOUDY_PIXEL_PERCENTAGE"),
        (product, "Cloud_Coverage_Assessment"),
    ):
        if metadata.states(path):
            value = metadata.number(path)
            if not 0 <= value <= 100:
                raise ProductError(f"<{path}> is {value:g}, expected 0 to 100", metadata.where)
            return value
    return float("nan")


def check_product_uri(product: Metadata, tile: str) -> None:
    """Hold the name the metadata give the product against what else they state.

    The last time in the name is left out: it need not be that of the generation (Products
    Specification Document, S2-PDGS-TAS-DI-PSD, section 3.4). Names in the old convention say
    nothing of the kind.

    Raises
    ------
    ProductError
        If satellite, start of the datatake, baseline, orbit or tile are not the same.
    """
    uri = naming.COMPACT_URI.fullmatch(product.find("PRODUCT_URI") or "")
    if uri is None:
        return
    stated = {
        "satellite": satellite(product),
        "start": f"{time(product, 'DATATAKE_SENSING_START'):%Y%m%dT%H%M%S}",
        "baseline": baseline(product).replace(".", ""),
        "orbit": f"{orbit(product):03d}",
        "tile": tile,
    }
    for name, value in stated.items():
        if uri[name] != value:
            raise ProductError(
                f"<PRODUCT_URI> is {uri[0]}, but the {name} stated elsewhere is {value}",
                product.where,
                "Download the product again",
            )
