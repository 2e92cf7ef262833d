"""Scenes of a demo archive: L1C products by the simulator, with the thickness that made them.

Pixels are independent columns: no cloud throws a shadow, and no light wanders from pixel to pixel.
Towering clouds have sides in sun and shade, as a stated allowance (`demo.sides`). The sensor is
perfect but for its digital numbers and the size of its pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spark_cot.demo.fractal import CLOUD_SLOPE, cloud_thickness, fractal_field
from spark_cot.demo.landscape import landscape
from spark_cot.demo.sides import sunlit, top_heights
from spark_cot.grid import Grid
from spark_cot.msi import BAND_IDS, BANDS
from spark_cot.products import rasters
from spark_cot.products.cog import write_cog
from spark_cot.safe import ProductSpec, write_product
from spark_cot.safe.angles import directions, relative_azimuth
from spark_cot.simulate.bands import PLATFORMS
from spark_cot.simulate.column import side_factor
from spark_cot.simulate.optics import load_optics
from spark_cot.simulate.sky import Sky
from spark_cot.simulate.world.states import ICE, ICE_OVER_WATER, WATER, States, standard_states

#: Side of a scene, metres: a multiple of every band's pixel.
EXTENT_M: Final = 5100

_FINEST_M: Final = 10

TRUTH: Final = replace(
    rasters.COT,
    name="cot_true",
    title="True cloud optical thickness",
    description="Cloud optical thickness at 550 nm that the scene was simulated with, pixel mean",
)


@dataclass(frozen=True, slots=True)
class Cloud:
    """A fractal cloud.

    Attributes
    ----------
    kind : int
        Cloud type of `simulate.world.states`.
    cover, mean, spread : float
        As in `fractal.cloud_thickness`.
    ice_share : float
        Part of the thickness due to ice.
    slope, largest : float
        As in `fractal.fractal_field`; pixels of 10 m.
    rise : float
        As in `sides.top_heights`; 0 is a flat top without sides.
    """

    kind: int
    cover: float
    mean: float
    spread: float
    ice_share: float = 0.0
    slope: float = CLOUD_SLOPE
    largest: float = np.inf
    rise: float = 0.0

    def thickness(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
        """Optical thickness of pixels of 10 m, ``shape``; equal states of ``rng``, equal cloud."""
        field = fractal_field(shape, rng, self.slope, self.largest)
        return cloud_thickness(field, self.cover, self.mean, self.spread)

    def sides(
        self, cot: NDArray[np.float64], sun: tuple[ArrayLike, ArrayLike]
    ) -> NDArray[np.float64]:
        """Factor on the reflectance of pixels of 10 m, ``(ny, nx)``, for sides in sun and shade."""
        return side_factor(sunlit(top_heights(cot, self.rise), _FINEST_M, sun), cot)


@dataclass(frozen=True, slots=True)
class DemoScene:
    """A scene of the archive.

    Attributes
    ----------
    title : str
        Name of the scene, for people.
    shows : str
        What is to be seen, in plain words.
    spec : ProductSpec
        With one sun and one view direction.
    cloud : Cloud
    snow : float
        Share of the ground under snow.
    state : Mapping[str, float]
        Fields of `simulate.world.states.States` that differ from a standard scene.
    zipped : bool
        A zip file instead of a folder.
    """

    title: str
    shows: str
    spec: ProductSpec
    cloud: Cloud
    snow: float = 0.0
    state: Mapping[str, float] = field(default_factory=dict)
    zipped: bool = False

    @property
    def scene_id(self) -> str:
        """Name of the scene in every table."""
        spec = self.spec
        return f"{spec.satellite}_T{spec.tile}_{spec.sensing_time:%Y%m%dT%H%M%S}"

    def product(self, archive: Path) -> Path:
        """Where its L1C product lies in an archive."""
        return archive / f"{self.spec.name}{'.zip' if self.zipped else '.SAFE'}"

    @property
    def atmosphere(self) -> States:
        """One row: geometry, atmosphere and cloud, thickness 1."""
        sun, view = (
            directions(*(np.reshape(angle, (1, 1)) for angle in pair)).astype(np.float32)
            for pair in (self.spec.sun, self.spec.view)
        )
        return standard_states(
            1,
            platform=PLATFORMS.index(self.spec.satellite),
            cloud_type=self.cloud.kind,
            water_cot=1 - self.cloud.ice_share,
            ice_cot=self.cloud.ice_share,
            sun_zenith=np.asarray(self.spec.sun[0]),
            view_zenith=np.asarray(self.spec.view[0]),
            relative_azimuth=relative_azimuth(sun, view)[0, 0],
            **self.state,
        )


def _spec(
    satellite: str, tile: str, time: str, sun: tuple[float, float], baseline: str
) -> ProductSpec:
    start = datetime.fromisoformat(time)
    return ProductSpec(
        satellite=satellite,
        tile=tile,
        sensing_time=start,
        generation_time=start + timedelta(hours=3),
        baseline=baseline,
        sun=sun,
        view=(4.5, 104.0),
        left={"31TCJ": 365_000.0, "31TDH": 452_000.0}[tile],
        top={"31TCJ": 4_830_000.0, "31TDH": 4_730_040.0}[tile],
    )


#: Lowland and mountain, summer and winter, from nearly clear to overcast, and from cloud that lets
#: the ground shine through to towers brighter than a white sheet.
SCENES: Final = (
    DemoScene(
        "nearly clear",
        "Lakes, forest, fields and towns that should read 0, and a few thin scraps of cloud.",
        _spec("S2A", "31TCJ", "2024-07-11T10:50:31+00:00", (25.0, 141.0), "05.11"),
        Cloud(WATER, cover=0.03, mean=1.5, spread=0.8, slope=2.2, largest=60),
    ),
    DemoScene(
        "broken cumulus",
        "Separate clouds, thin at their edges.",
        _spec("S2B", "31TCJ", "2024-06-06T10:50:29+00:00", (24.5, 140.0), "05.10"),
        Cloud(WATER, cover=0.42, mean=9.0, spread=0.7, slope=2.2, largest=110),
        state={"water_top": 2.2, "water_base": 1.2, "profile": 1, "water_scale": 1.2},
    ),
    DemoScene(
        "overcast stratocumulus",
        "No ground to be seen: thickness has to come from brightness alone.",
        _spec("S2A", "31TCJ", "2019-03-21T10:50:21+00:00", (46.0, 156.0), "02.07"),
        Cloud(WATER, cover=1.0, mean=13.0, spread=0.5),
        state={"water_top": 1.4, "water_base": 1.0, "effective_radius": 9.0},
    ),
    DemoScene(
        "thin cirrus",
        "Ice high above the ground: hard to see in true colour, plain in the cirrus band.",
        _spec("S2C", "31TDH", "2025-08-20T10:40:41+00:00", (32.0, 148.0), "05.11"),
        Cloud(ICE, cover=0.85, mean=0.7, spread=0.6, ice_share=1.0, slope=2.2),
        state={"ice_top": 11.0, "ice_base": 9.5, "surface_height": 1.1, "profile": 1},
        zipped=True,
    ),
    DemoScene(
        "cumulus over snow",
        "White cloud over white ground: only the short-wave infrared tells them apart.",
        _spec("S2B", "31TDH", "2018-02-05T10:42:19+00:00", (61.5, 159.0), "02.06"),
        Cloud(WATER, cover=0.35, mean=7.0, spread=0.7, slope=2.2, largest=150),
        snow=0.45,
        state={"water_top": 2.8, "water_base": 2.2, "surface_height": 1.1, "profile": 2},
    ),
    DemoScene(
        "a front: ice over water",
        "Two layers, whose thicknesses add up.",
        _spec("S2A", "31TDH", "2024-11-03T10:42:31+00:00", (60.0, 165.0), "05.11"),
        Cloud(ICE_OVER_WATER, cover=0.7, mean=16.0, spread=0.5, ice_share=0.3, slope=2.4),
        state={"water_top": 3.5, "water_base": 2.0, "surface_height": 1.1, "aerosol_depth": 0.05},
    ),
    DemoScene(
        "thin low cloud",
        "Forest and fields shine through ragged stratocumulus. It scatters much like brighter "
        "ground and lies too low for the cirrus band: the hardest cloud to read.",
        _spec("S2B", "31TCJ", "2023-05-03T10:50:19+00:00", (30.4, 152.6), "05.09"),
        Cloud(WATER, cover=0.94, mean=1.5, spread=0.5),
        state={"water_top": 1.8, "water_base": 1.5, "effective_radius": 8.0, "profile": 1},
    ),
    DemoScene(
        "towering cumulus",
        "Sides in the sun reflect more than a white sheet would, sides in the shade less than a "
        "flat cloud: brightness and thickness part company. A model must not lose such cloud.",
        _spec("S2A", "31TCJ", "2023-10-15T10:50:41+00:00", (53.4, 162.7), "05.09"),
        Cloud(WATER, cover=0.45, mean=28.0, spread=0.45, slope=2.4, largest=250, rise=70),
        state={"water_top": 2.8, "water_base": 1.2, "effective_radius": 12.0, "profile": 1},
    ),
)


def write_demo_scene(
    scene: DemoScene, archive: Path, truth: Path, seed: int, resolution: int, extent: int = EXTENT_M
) -> bool:
    """Simulate a scene; write its true thickness and then its L1C product.

    Parameters
    ----------
    scene : DemoScene
    archive : Path
        Folder of the product; made if missing.
    truth : Path
        GeoTIFF of the thickness.
    seed : int
        Of ground and cloud; the ground of a tile is the same at all dates.
    resolution : int
        Pixel size of the true thickness, metres: the mean over its pixels of 10 m.
    extent : int
        Side of the scene, metres, a multiple of 60.

    Returns
    -------
    bool
        False if the product was there already.
    """
    spec = replace(scene.spec, cloud_cover=100 * scene.cloud.cover)
    if scene.product(archive).exists():
        return False
    shape = (extent // _FINEST_M,) * 2
    ground = landscape(shape, _generator(seed, spec.tile), scene.snow)
    cot = scene.cloud.thickness(shape, _generator(seed, scene.scene_id))
    sides = scene.cloud.sides(cot, spec.sun)
    side = extent // resolution
    grid = Grid(spec.crs, spec.left, spec.top, resolution, (side, side))
    true = cell_means(cot, resolution // _FINEST_M).astype(np.float32)
    write_cog(truth, TRUTH, [true], grid)
    sky = Sky.of(scene.atmosphere, load_optics())

    def image(band: str) -> NDArray[np.float64]:
        index = BAND_IDS.index(band)
        rho = sides * sky.reflectance(index, ground[index], cot)
        return cell_means(rho, BANDS[index].resolution_m // _FINEST_M)

    write_product(archive, image, spec, zipped=scene.zipped)
    return True


def cell_means(image: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Means of cells of ``factor`` x ``factor`` pixels, (ny, nx) to (ny / factor, nx / factor)."""
    ny, nx = image.shape
    cells = image.reshape(ny // factor, factor, nx // factor, factor)
    return np.asarray(cells.mean(axis=(1, 3)))


def _generator(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one named thing, independent of all others."""
    return np.random.default_rng([seed, crc32(name.encode())])
