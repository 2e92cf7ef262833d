"""All tables the simulator looks things up in, computed once and kept on disk.

They follow from the package's data tables and code alone and take about ten seconds to compute,
so nothing is downloaded and nothing large is shipped. The file's name carries a hash of data and
code: a changed table or formula is never read from an old file. A file is written beside its
final name and renamed, so many workers may start at once; it holds plain arrays, never pickles.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

import numpy as np

from spark_cot.simulate.bands import ozone_table, rayleigh_table, responses
from spark_cot.simulate.csvdata import content_hash
from spark_cot.simulate.gas.kdistribution import k_table
from spark_cot.simulate.gas.transmittance import fixed_table, water_table
from spark_cot.simulate.scattering.droplets import build_droplet_table
from spark_cot.simulate.scattering.ice import absorption_per_um

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

_DATA: Final = (
    "atmospheres",
    "gas_ch4",
    "gas_co2",
    "gas_h2o",
    "gas_o2",
    "gas_o3",
    "msi_srf",
    "refractive_index",
    "solar_irradiance",
)
_CODE: Final = (
    "gas/atmosphere",
    "bands",
    "scattering/droplets",
    "gas/transmittance",
    "scattering/ice",
    "gas/kdistribution",
    "scattering/mie",
    "numerics",
)


class Optics(NamedTuple):
    """Lookup tables; axes are platform, band and so on, in the order of the modules they name.

    Attributes
    ----------
    wavelength : float64 (platform, band)
        Centre, um.
    rayleigh : float64 (platform, band)
        Optical depth at 1013.25 hPa.
    ozone : float64 (platform, band)
        Absorption per atm-cm.
    ice_absorption : float64 (platform, band)
        um-1, :func:`~spark_cot.simulate.scattering.ice.absorption_per_um`.
    water_gas, fixed_gas : float64 (platform, profile, level, path, band)
        Absorbance, :mod:`spark_cot.simulate.gas.transmittance`.
    k_b09, k_b10 : float64 (platform, profile, level, term)
        Optical depths, :mod:`spark_cot.simulate.gas.kdistribution`.
    drop_extinction, drop_albedo : float64 (platform, band, radius)
    drop_moments : float64 (platform, band, radius, moment)
    drop_phase : float64 (platform, band, radius, angle)
        :class:`~spark_cot.simulate.scattering.droplets.DropletTable`.
    """

    wavelength: NDArray[np.float64]
    rayleigh: NDArray[np.float64]
    ozone: NDArray[np.float64]
    ice_absorption: NDArray[np.float64]
    water_gas: NDArray[np.float64]
    fixed_gas: NDArray[np.float64]
    k_b09: NDArray[np.float64]
    k_b10: NDArray[np.float64]
    drop_extinction: NDArray[np.float64]
    drop_albedo: NDArray[np.float64]
    drop_moments: NDArray[np.float64]
    drop_phase: NDArray[np.float64]


def build_optics() -> Optics:
    """Compute every table."""
    rayleigh = rayleigh_table()
    centres = np.array([band.centre for band in responses().values()])
    drops = build_droplet_table()
    return Optics(
        centres.reshape(rayleigh.shape) / 1000,
        rayleigh,
        ozone_table(),
        absorption_per_um(),
        water_table(),
        fixed_table(),
        k_table("B09"),
        k_table("B10"),
        drops.extinction,
        drops.albedo,
        drops.moments,
        drops.phase,
    )


def optics_hash() -> str:
    """Hash of the data and code the tables follow from; part of a synthetic table's identity."""
    digest = hashlib.sha256(content_hash(*_DATA).encode())
    folder = resources.files("spark_cot.simulate")
    for module in _CODE:
        digest.update((folder / f"{module}.py").read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """``$SPARK_COT_CACHE``, else ``spark_cot`` under ``$XDG_CACHE_HOME`` or ``~/.cache``.

    The system's folder for temporary files stands in for the home of a user who has none.
    """
    if own := os.environ.get("SPARK_COT_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "spark_cot"
    try:
        return Path.home() / ".cache" / "spark_cot"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "spark_cot"


@cache
def load_optics() -> Optics:
    """The tables, from the cache folder where they are, else computed and put there."""
    path = cache_folder() / f"optics-{optics_hash()}.npz"
    if (found := read_optics(path)) is not None:
        return found
    _log.info("computing the optics tables once; they will be kept in %s", path)
    optics = build_optics()
    try:
        write_optics(optics, path)
    except OSError as error:
        _log.warning(
            "the optics tables cannot be kept in %s (%s); set SPARK_COT_CACHE", path, error
        )
    return optics


def read_optics(path: Path) -> Optics | None:
    """The tables of a file; None when it is absent or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return Optics(*(stored[name] for name in Optics._fields))
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a damaged archive of arrays raises
        _log.warning("%s is damaged and made anew: %r", path, error)
        return None


def write_optics(optics: Optics, path: Path) -> None:
    """Write the tables and rename the file into place, so that a reader sees all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **optics._asdict())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
