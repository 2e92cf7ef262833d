"""The 13 bands of the Sentinel-2 MultiSpectral Instrument: the one place that knows them.

Order everywhere: B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12, which is also the order of
``bandId`` 0..12 in the product metadata. Central wavelengths (nm, Sentinel-2A) and native
resolutions (m) are those of ``Spectral_Information_List`` in MTD_MSIL1C.xml.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Band:
    """One MSI band.

    Attributes
    ----------
    id : str
        ``B01`` .. ``B12``, ``B8A``.
    wavelength_nm : float
        Central wavelength of Sentinel-2A.
    resolution_m : int
        Native ground sampling distance. A cropped product may deviate: readers trust the JP2.
    common_name : str
        Name in the STAC ``eo`` extension.
    """

    id: str
    wavelength_nm: float
    resolution_m: int
    common_name: str

    @property
    def index(self) -> int:
        """Position in every band axis, and ``bandId`` in the product metadata."""
        return BAND_IDS.index(self.id)


BANDS: Final = (
    Band("B01", 442.7, 60, "coastal"),
    Band("B02", 492.7, 10, "blue"),
    Band("B03", 559.8, 10, "green"),
    Band("B04", 664.6, 10, "red"),
    Band("B05", 704.1, 20, "rededge071"),
    Band("B06", 740.5, 20, "rededge075"),
    Band("B07", 782.8, 20, "rededge078"),
    Band("B08", 832.8, 10, "nir"),
    Band("B8A", 864.7, 20, "nir08"),
    Band("B09", 945.1, 60, "nir09"),
    Band("B10", 1373.5, 60, "cirrus"),
    Band("B11", 1613.7, 20, "swir16"),
    Band("B12", 2202.4, 20, "swir22"),
)
BAND_IDS: Final = tuple(band.id for band in BANDS)

RESOLUTIONS_M: Final = (10, 20, 60)
SATELLITES: Final = {"Sentinel-2A": "S2A", "Sentinel-2B": "S2B", "Sentinel-2C": "S2C"}

#: Columns of the three angles beside the bands in every table; degrees.
ANGLES: Final = ("sun_zenith", "view_zenith", "relative_azimuth")

#: Reflectance is stored as int16 = rho x REFLECTANCE_SCALE, saturating.
REFLECTANCE_SCALE: Final = 10_000
