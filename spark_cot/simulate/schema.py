"""Schema of the synthetic table: reflectance and everything that produced it."""

from typing import Final

import pyarrow as pa

from spark_cot.msi import BANDS
from spark_cot.tables.schema import Column, Table


def _value(name: str, description: str, unit: str = "1") -> Column:
    return Column(name, pa.float32(), description, unit)


def _label(name: str, description: str) -> Column:
    return Column(name, pa.string(), description)


SYNTHETIC: Final = Table(
    "synthetic",
    "Simulated top-of-atmosphere reflectance, noise-free, with the state that produced it. "
    "Quantities of a cloud whose optical thickness is 0 were drawn but have no effect",
    (
        Column("row", pa.int64(), "Row of the simulation; with the seed it says everything", "1"),
        Column("seed", pa.int64(), "Seed of the simulation", "1"),
        _label("split", "train, val or test"),
        _label("platform", "S2A, S2B or S2C"),
        *(_value(b.id, f"TOA reflectance at {b.wavelength_nm:g} nm") for b in BANDS),
        _value("sun_zenith", "Solar zenith angle", "deg"),
        _value("view_zenith", "View zenith angle", "deg"),
        _value(
            "relative_azimuth",
            "Azimuth between the travel of incoming and outgoing light: 0 forward scattering, "
            "180 backscattering",
            "deg",
        ),
        _value("cot", "Cloud optical thickness at 550 nm, mean of the pixel: the label"),
        _value("cot_in_cloud", "Cloud optical thickness at 550 nm of the covered part"),
        _value("cloud_fraction", "Share of the pixel under cloud"),
        _value(
            "cloud_gain",
            "Reflectance of thick cloud over that of a flat one: sides in sun and in shade; 1 flat",
        ),
        _value("water_cot", "Part of cot_in_cloud due to water droplets"),
        _value("ice_cot", "Part of cot_in_cloud due to ice"),
        _label("cloud_type", "clear, water, ice, ice_over_water or mixed_phase"),
        _value("effective_radius", "Effective radius of the droplets", "um"),
        _value("ice_diameter", "Effective diameter of the ice particles", "um"),
        _value("ice_asymmetry", "Asymmetry of scattering by ice without absorption"),
        _value("water_top", "Top of the water or mixed-phase cloud above sea level", "km"),
        _value("water_base", "Base of the water or mixed-phase cloud above sea level", "km"),
        _value("ice_top", "Top of the ice cloud above sea level", "km"),
        _value("ice_base", "Base of the ice cloud above sea level", "km"),
        _value("surface_height", "Height of the ground above sea level", "km"),
        _label("profile", "AFGL reference atmosphere"),
        _value("water_scale", "Factor on the water vapour of the profile"),
        _value("water_vapour", "Precipitable water above the ground", "cm"),
        _value("ozone", "Ozone column", "[DU]"),
        _value("aerosol_depth", "Aerosol optical depth at 550 nm"),
        _value("angstrom", "Angstrom exponent of the aerosol"),
        _value("aerosol_albedo", "Single-scattering albedo of the aerosol"),
        _value("aerosol_asymmetry", "Asymmetry of scattering by the aerosol"),
        _value(
            "plume_depth", "Optical depth at 550 nm of smoke or dust aloft; 0 where there is none"
        ),
        _value("plume_top", "Top of the smoke or dust aloft above sea level", "km"),
        _value("plume_angstrom", "Angstrom exponent of the smoke or dust aloft"),
        _value("plume_albedo", "Single-scattering albedo of the smoke or dust aloft"),
        _value("plume_asymmetry", "Asymmetry of scattering by the smoke or dust aloft"),
        _label("surface_class", "Class of the first surface"),
        _label("surface_id", "First surface of the library"),
        _label("second_surface_class", "Class of the second surface; of the first where pure"),
        _label("second_surface_id", "Second surface of the library; the first where pure"),
        _value("surface_share", "Share of the first surface in the cell of the bands of 10 m"),
        _value("surface_share_20m", "The same in the cell of the bands of 20 m"),
        _value("surface_share_60m", "The same in the cell of the bands of 60 m"),
        _value("snow_share", "Share of the ground that is snow or ice"),
        _value("surface_gain", "Factor on the surface reflectance, common to all bands"),
        _value("wind_speed", "Wind over water, which makes glint and foam", "m s-1"),
    ),
    maker="spark-cot simulate",
)
