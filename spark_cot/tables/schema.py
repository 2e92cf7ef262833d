"""The tables' schemas, each declared once: Arrow, Spark and the schema page follow from here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from spark_cot.errors import TableError
from spark_cot.msi import BANDS, REFLECTANCE_SCALE

if TYPE_CHECKING:
    from pyspark.sql.types import DataType, StructType


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its Arrow type and what a reader must know to use it.

    Attributes
    ----------
    name : str
    type : pyarrow.DataType
    description : str
    unit : str
        UCUM-like unit; ``1`` for pure numbers, empty for identifiers.
    scale : float
        Physical value = stored value x scale.
    nodata : float, optional
        What stands where there is no value.
    nullable : bool
        Whether null stands there; no column of pixels has nulls.
    """

    name: str
    type: pa.DataType
    description: str
    unit: str = ""
    scale: float = 1.0
    nodata: float | None = None
    nullable: bool = False

    @property
    def field(self) -> pa.Field:
        """Arrow field, with unit, scale, nodata and description in its metadata."""
        metadata = {"description": self.description}
        if self.unit:
            metadata |= {"unit": self.unit, "scale": f"{self.scale:g}"}
        if self.nodata is not None:
            metadata["nodata"] = f"{self.nodata:g}"
        return pa.field(self.name, self.type, self.nullable, metadata)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what it is, which columns it has, and how it comes to be.

    Attributes
    ----------
    name : str
        Its folder in the workspace.
    description : str
    columns : tuple[Column, ...]
    maker : str
        The command that makes it.
    version : int
        Raised when columns or their meaning change; files say which they have.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    maker: str
    version: int = 1

    @property
    def arrow(self) -> pa.Schema:
        """Arrow schema with the version and description in its key-value metadata."""
        metadata = {
            "spark_cot.table": self.name,
            "spark_cot.schema_version": str(self.version),
            "spark_cot.description": self.description,
        }
        if not any(column.nullable for column in self.columns):
            metadata["spark_cot.nodata"] = "rows exist for valid pixels only; no column holds nulls"
        return pa.schema([column.field for column in self.columns], metadata)

    @property
    def spark(self) -> StructType:
        """The same schema for Spark."""
        from pyspark.sql.types import StructType

        schema = StructType()
        for column in self.columns:
            schema.add(column.name, _spark_type(column.type), column.nullable)
        return schema

    def is_outdated(self, found: pa.Schema) -> bool:
        """Whether a file of schema ``found`` is of an older version, to be made anew."""
        version = self._version_of(found)
        return version is not None and version < self.version

    def check(self, found: pa.Schema, where: str) -> None:
        """Raise TableError for another version, or missing, unexpected and mistyped columns."""
        version = self._version_of(found)
        if version is not None and version != self.version:
            raise TableError(
                f"{self.name} table of schema version {version}, expected {self.version}",
                where,
                f"Run `{self.maker}` again, which makes it anew"
                if version < self.version
                else "Read it with the version of spark_cot that made it",
            )
        expected = {column.name: column.type for column in self.columns}
        present = {field.name: field.type for field in found}
        faults = [f"missing {name}" for name in expected if name not in present]
        faults += [f"unexpected {name}" for name in present if name not in expected]
        faults += [
            f"{name} is {present[name]}, expected {kind}"
            for name, kind in expected.items()
            if name in present and present[name] != kind
        ]
        if faults:
            raise TableError(
                f"not a spark_cot {self.name} table: {'; '.join(faults)}",
                where,
                "Write to a new folder, or read it with the version of spark_cot that made it",
            )

    def _version_of(self, found: pa.Schema) -> int | None:
        """The version that a file of this table says it has; None for other files."""
        metadata = found.metadata or {}
        version = metadata.get(b"spark_cot.schema_version")
        is_this = metadata.get(b"spark_cot.table") == self.name.encode()
        return int(version) if is_this and version is not None else None


def _spark_type(kind: pa.DataType) -> DataType:
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind)


_PIXEL_KEY: Final = (
    Column("scene_id", pa.string(), "Scene: satellite, tile and datatake sensing start"),
    Column("row", pa.int16(), "Row in the scene grid, from the north", "1"),
    Column("col", pa.int16(), "Column in the scene grid, from the west", "1"),
)

PIXELS: Final = Table(
    "pixels",
    "Top-of-atmosphere reflectance of every pixel that is valid in all 13 bands",
    (
        *_PIXEL_KEY,
        *(
            Column(
                band.id,
                pa.int16(),
                f"TOA reflectance at {band.wavelength_nm:g} nm, saturating at 3.2767",
                "1",
                1 / REFLECTANCE_SCALE,
            )
            for band in BANDS
        ),
        Column("sun_zenith", pa.float32(), "Solar zenith angle", "deg"),
        Column("view_zenith", pa.float32(), "View zenith angle, mean of the bands", "deg"),
        Column(
            "relative_azimuth",
            pa.float32(),
            "Azimuth between the travel of incoming and outgoing light: 0 forward scattering, "
            "180 backscattering",
            "deg",
        ),
    ),
    maker="spark-cot ingest",
)

COT: Final = Table(
    "cot",
    "Cloud optical thickness at 550 nm, its uncertainty and class, of every valid pixel",
    (
        *_PIXEL_KEY,
        Column(
            "cot", pa.float32(), "Cloud optical thickness at 550 nm, >= 0", "1", nodata=math.nan
        ),
        Column(
            "cot_std",
            pa.float32(),
            "Standard uncertainty of cot: root mean square deviation of the true COT from it over "
            "the whole predictive distribution",
            "1",
            nodata=math.nan,
        ),
        Column(
            "p_thin",
            pa.int8(),
            "Probability that the COT is at or above spark_cot.thin_from",
            "%",
            nodata=-1,
        ),
        Column(
            "p_thick",
            pa.int8(),
            "Probability that the COT is at or above spark_cot.thick_from",
            "%",
            nodata=-1,
        ),
        Column("cloud_class", pa.int8(), "0 nodata, 1 clear, 2 thin, 3 thick", "1", nodata=0),
        Column(
            "outside",
            pa.bool_(),
            "Whether the pixel lay outside the range that the model was trained on and was "
            "evaluated at the nearest point inside; false for nodata",
        ),
    ),
    maker="spark-cot apply",
    version=2,
)

MASKED: Final = Table(
    "masked",
    "Reflectance, COT and class of the pixels with at most the COT in spark_cot.mask_above",
    (*PIXELS.columns, *COT.columns[len(_PIXEL_KEY) :]),
    maker="spark-cot products --mask-above COT",
    version=2,
)

_TIME: Final = pa.timestamp("us", tz="UTC")

#: Suffix and media type of the files of a scene product, by the asset's name.
_COG: Final = ("tif", "image/tiff; application=geotiff; profile=cloud-optimized")
ASSETS: Final = {
    "cot": _COG,
    "cot_std": _COG,
    "cloud_probability": _COG,
    "cloud_class": _COG,
    "outside": _COG,
    "reflectance_masked": _COG,
    "quicklook": ("png", "image/png"),
}
#: West, south, east and north of a box, as GeoParquet names them.
CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")


def _struct(names: Iterable[str], kind: pa.DataType) -> pa.DataType:
    return pa.struct([(name, kind) for name in names])


_LINK: Final = _struct(("rel", "href", "type"), pa.string())
_ASSET: Final = pa.struct(
    [("href", pa.string()), ("type", pa.string()), ("roles", pa.list_(pa.string()))]
)


def _cover(name: str, what: str) -> Column:
    return Column(name, pa.float64(), f"{what}; null without a product", "%", nullable=True)


SCENES: Final = Table(
    "scenes",
    "One row per ingested scene, which is its STAC item as well",
    (
        Column("scene_id", pa.string(), "Scene: satellite, tile and datatake sensing start"),
        Column("product", pa.string(), "Name of the L1C product, the newest of several"),
        Column("source", pa.string(), "Path the product was read from"),
        Column(
            "sources",
            pa.list_(pa.string()),
            "Paths of all products that have a part of the scene, each from another datastrip, the "
            "newest first",
        ),
        Column(
            "datastrips",
            pa.list_(pa.string()),
            "Of each source: when the tile was sensed and, behind a slash, when the datastrip "
            "begins, if that is stated",
        ),
        Column("fingerprint", pa.string(), "Hash of the source's metadata and file identities"),
        Column("satellite", pa.string(), "S2A, S2B or S2C"),
        Column("tile", pa.string(), "MGRS tile, such as 31TCJ"),
        Column("sensing_time", _TIME, "When the tile was sensed, the first part of it"),
        Column("datatake", pa.string(), "Identifier of the datatake, empty if not stated"),
        Column("datatake_start", _TIME, "When the datatake begins, up to ten minutes earlier"),
        Column(
            "generation_time",
            _TIME,
            "When the product was made; null for scenes ingested by earlier versions",
            nullable=True,
        ),
        Column("baseline", pa.string(), "Processing baseline, such as 05.10"),
        Column("orbit", pa.int32(), "Relative orbit, 1 to 143", "1"),
        Column("crs", pa.string(), "Reference system of the grid, such as EPSG:32631"),
        Column("left", pa.float64(), "Outer west edge of column 0", "m"),
        Column("top", pa.float64(), "Outer north edge of row 0", "m"),
        Column("resolution", pa.int32(), "Pixel size", "m"),
        Column("rows", pa.int32(), "Rows of the grid", "1"),
        Column("cols", pa.int32(), "Columns of the grid", "1"),
        Column("offsets", pa.list_(pa.float64()), "RADIO_ADD_OFFSET, B01 .. B12", "1"),
        Column("quantification", pa.float64(), "QUANTIFICATION_VALUE", "1"),
        Column(
            "metadata_cloud_cover", pa.float64(), "Cloud cover by the producer, NaN if absent", "%"
        ),
        Column("valid_pixels", pa.int64(), "Rows of the scene in the pixel table", "1"),
        Column(
            "footprint",
            pa.string(),
            "WKT outline of the valid pixels, longitude latitude (EPSG:4326)",
        ),
        Column("ingested_at", _TIME, "When the scene was ingested"),
        Column("ingested_by", pa.string(), "Version of spark_cot that ingested it"),
        Column("type", pa.string(), "Feature"),
        Column("stac_version", pa.string(), "Version of STAC"),
        Column("stac_extensions", pa.list_(pa.string()), "Extensions of STAC in use"),
        Column("id", pa.string(), "The scene_id"),
        Column("collection", pa.string(), "STAC collection of the products"),
        Column("geometry", pa.binary(), "The footprint as WKB, longitude latitude"),
        Column(
            "bbox",
            _struct(CORNERS, pa.float64()),
            "Box around it; west > east across the antimeridian",
            "deg",
        ),
        Column("datetime", _TIME, "The sensing_time"),
        Column("links", pa.list_(_LINK), "The product's STAC item, from the index's folder"),
        Column(
            "assets",
            _struct(ASSETS, _ASSET),
            "The product's files, from the index's folder; null where there is none",
        ),
        _cover("eo:cloud_cover", "Thin and thick cloud of the valid pixels"),
        _cover("clear_cover", "Clear of the valid pixels"),
        _cover("thin_cover", "Thin cloud of the valid pixels"),
        _cover("thick_cover", "Thick cloud of the valid pixels"),
        _cover("outside_cover", "Valid pixels outside the range that the model was trained on"),
    ),
    maker="spark-cot run",
    version=3,
)

TABLES: Final = (PIXELS, SCENES, COT, MASKED)


def schema_page(tables: Iterable[Table]) -> str:
    """The schemas as a Markdown page, one section each: the page the README links to."""
    lines = ["# Table schemas", "", "Made from `spark_cot/tables/schema.py` by `make schema`."]
    for table in tables:
        lines += ["", f"## {table.name}", "", f"{table.description}.", ""]
        lines += ["| column | type | unit | scale | nodata | description |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [
            f"| {c.name} | {c.type} | {c.unit} | {f'{c.scale:g}' if c.unit else ''} "
            f"| {'' if c.nodata is None else f'{c.nodata:g}'} | {c.description} |"
            for c in table.columns
        ]
    return "\n".join(lines) + "\n"
