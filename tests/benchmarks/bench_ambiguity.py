"""How sure anyone can be of a thin cloud: the posterior of simulated rows over one kind of ground.

Rows of a prior (grounds of a group, half of them with another of it beside, the cloud table's law
of thickness, a quarter clear, water tops at 1, 2 and 4 km, ice tops at 7 and 11 km, sun at 30
degrees) are weighted by their likelihood under a noise of 3 % per band, given the spectrum of a
cloud of `evaluate.two_dates`. What the posterior holds for clear, no model with these bands can
tell from clear ground. Prints, for cloud, bands and true COT: probability of clear, median COT,
effective number of rows; a small number says little.

    python tests/benchmarks/bench_ambiguity.py --rows 60000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from spark_cot.evaluate.two_dates import CLOUDS, GROUNDS, reflectance, sky
from spark_cot.models.bundle import load_bundle
from spark_cot.models.shipped import shipped_model
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.optics import load_optics
from spark_cot.simulate.sky import Sky
from spark_cot.simulate.world.sampler import (
    LOGARITHMIC_SHARE,
    MAX_COT,
    MIN_COT,
    NEIGHBOUR_SHARE,
)
from spark_cot.simulate.world.states import standard_states
from spark_cot.simulate.world.surfaces import GROUPS, class_shares, surface_library

TOPS_KM = (("water", 1.0), ("water", 2.0), ("water", 4.0), ("ice", 7.0), ("ice", 11.0))
MODELS = ("cot12", "cot11", "cot6")
GAIN, FLOOR, SUN = 0.03, 0.001, 30.0
THICKNESS = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0])
#: Groups of grounds that may be there, as often as in the world that models are trained on.
LAND = ("forest", "crop_grass", "bare", "urban")
MEMBERS = {
    "forest": LAND,
    "grass": LAND,
    "soil": ("bare", "crop_grass"),
    "snow": ("snow",),
    "sea": ("water", "bare"),
}


def skies() -> list[Sky]:
    """One for each of TOPS_KM; layers are 0.8 km thick."""
    states = (
        CLOUDS[kind] | {f"{kind}_top": top, f"{kind}_base": top - 0.8} for kind, top in TOPS_KM
    )
    return [Sky.of(standard_states(1, sun_zenith=SUN, **state), load_optics()) for state in states]


def prior(ground: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Thickness (rows,) and reflectance (rows, 13) of the prior."""
    rng = np.random.default_rng(0)
    library = surface_library()
    shares = {name: class_shares()[name] for group in MEMBERS[ground] for name in GROUPS[group]}
    first, second = (
        library.reflectance[library.draw(shares, *rng.random((2, rows)))] for _ in range(2)
    )
    share = np.where(rng.random((rows, 1)) < NEIGHBOUR_SHARE, rng.random((rows, 1)), 1)
    gain = rng.lognormal(0, 0.1, (rows, 1))
    albedo = np.clip((share * first + (1 - share) * second) * gain, 0, 0.99)
    u = rng.random(rows)
    logarithmic = MIN_COT * (MAX_COT / MIN_COT) ** u
    cot = np.where(rng.random(rows) < LOGARITHMIC_SHARE, logarithmic, MAX_COT * u)
    cot[rng.random(rows) < 0.25] = 0
    which = rng.integers(0, len(TOPS_KM), rows)
    rho = np.empty((rows, len(BAND_IDS)))
    for place, above in enumerate(skies()):
        mine = which == place
        for band in range(len(BAND_IDS)):
            rho[mine, band] = above.reflectance(band, albedo[mine, band], cot[mine])
    return cot, rho


def posterior(seen: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Weight of every row of the prior, given one spectrum."""
    distance = ((rho - seen) / (GAIN * seen + FLOOR)) ** 2
    logarithm = -0.5 * distance.sum(axis=1)
    weight = np.exp(logarithm - logarithm.max())
    return np.asarray(weight / weight.sum())


def lines(ground: str, rows: int) -> Iterator[str]:
    """A line for every cloud and model."""
    cot, rho = prior(ground, rows)
    order = np.argsort(cot)
    for cloud in CLOUDS:
        spectra = reflectance(sky(cloud, SUN), GROUNDS[ground], THICKNESS)
        for name in MODELS:
            bands = [BAND_IDS.index(b) for b in load_bundle(shipped_model(name)).bands]
            cells = []
            for true, seen in zip(THICKNESS, spectra[:, bands], strict=True):
                weight = posterior(seen, rho[:, bands])
                median = cot[order][np.searchsorted(np.cumsum(weight[order]), 0.5)]
                clear, effective = weight[cot == 0].sum(), 1 / (weight**2).sum()
                cells.append(f"{true:g}: {clear:.2f} {median:.2f} ({effective:.0f})")
            yield f"{cloud} over {ground}, {name:6s} " + "; ".join(cells)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    for kind in MEMBERS:
        for line in lines(kind, parser.parse_args().rows):
            print(line)
