"""Blocks of the synthetic table: pure functions of (seed, block), the same on every machine.

A table of n rows is the first n rows of an endless sequence per seed. Rows come in blocks of
:data:`~spark_cot.simulate.world.sampler.BLOCK_ROWS`; a partition is any set of whole blocks, so
rows are bit-identical for a seed whatever the number of partitions, workers or threads. (Another
processor or another build of the libraries may differ in the last bit of a float32.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_cot.errors import SimulationError
from spark_cot.msi import BAND_IDS
from spark_cot.simulate.bands import PLATFORMS
from spark_cot.simulate.column import simulate
from spark_cot.simulate.gas.atmosphere import PROFILES, atmospheres
from spark_cot.simulate.optics import load_optics
from spark_cot.simulate.schema import SYNTHETIC
from spark_cot.simulate.transfer.solver import PRODUCTION, Accuracy
from spark_cot.simulate.world.sampler import BLOCK_ROWS, SPLITS, draw_block
from spark_cot.simulate.world.states import CLOUD_TYPES, States
from spark_cot.simulate.world.surfaces import SNOW, WORLD, surface_library

#: Raised by hand when the rows of a seed would differ; no other change of the code makes a table
#: another one.
REVISION: Final = 1
#: What told revision 1 before there was such a number: hashes of the code and data of its day.
_FIRST: Final = {
    "spark_cot.optics": "fb48cf92959dc23b",
    "spark_cot.world": "39992724c8bc5f6d",
}


def block_count(rows: int) -> int:
    """Blocks that a table of ``rows`` rows consists of; the last one may be cut.

    Raises
    ------
    SimulationError
        When ``rows`` is less than 1.
    """
    if rows < 1:
        raise SimulationError(
            f"{rows} rows were asked for, expected at least 1", "rows", "Ask for 1 row or more"
        )
    return -(-rows // BLOCK_ROWS)


def simulate_block(
    seed: int, block: int, accuracy: Accuracy = PRODUCTION, region: str = WORLD
) -> pa.Table:
    """One whole block of the synthetic table.

    Parameters
    ----------
    seed : int
        Of the simulation, in [0, 2**63).
    block : int
        Index >= 0: rows ``block * BLOCK_ROWS`` to ``(block + 1) * BLOCK_ROWS - 1``.
    accuracy : Accuracy, optional
        Of the radiative transfer.
    region : str, optional
        Of `world.surfaces.REGIONS`: how often the surfaces are drawn.

    Returns
    -------
    pyarrow.Table
        :data:`~spark_cot.simulate.schema.SYNTHETIC`, :data:`BLOCK_ROWS` rows.

    Raises
    ------
    SimulationError
        When seed or block is out of range, or the region unknown.
    """
    if not 0 <= seed < 2**63:
        raise SimulationError(f"seed is {seed}, expected 0 <= seed < 2**63", "seed")
    if block < 0:
        raise SimulationError(f"block is {block}, expected block >= 0", "block")
    states = draw_block(seed, block, region)
    reflectance = simulate(states, load_optics(), accuracy)
    columns = _columns(states) | dict(zip(BAND_IDS, reflectance.T, strict=True))
    columns["row"] = np.arange(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
    columns["seed"] = np.full(BLOCK_ROWS, seed)
    arrays = [
        pa.array(_stored(columns[column.name], column.type), column.type)
        for column in SYNTHETIC.columns
    ]
    return pa.Table.from_arrays(arrays, schema=SYNTHETIC.arrow)


def simulate_rows(
    seed: int,
    rows: int,
    blocks: Iterable[int],
    accuracy: Accuracy = PRODUCTION,
    region: str = WORLD,
) -> Iterator[pa.Table]:
    """The blocks of one partition of a table of ``rows`` rows, one table per block.

    Raises
    ------
    SimulationError
        When ``rows`` is less than 1, or a block lies beyond them.
    """
    count = block_count(rows)
    for block in blocks:
        if block >= count:
            raise SimulationError(f"block is {block}, expected less than {count}", "blocks")
        yield simulate_block(seed, block, accuracy, region).slice(0, rows - block * BLOCK_ROWS)


def provenance(seed: int, accuracy: Accuracy = PRODUCTION, region: str = WORLD) -> dict[str, str]:
    """What decides the rows: compare it before adding to a table that exists."""
    return {
        "spark_cot.seed": str(seed),
        "spark_cot.region": region,
        "spark_cot.revision": str(REVISION),
        "spark_cot.accuracy": f"nodes {accuracy.nodes}, thin {accuracy.thin:g}, "
        f"modes {accuracy.modes}, tolerance {accuracy.tolerance:g}",
    }


def decides(facts: Mapping[str, str]) -> dict[str, str]:
    """Facts that a table was made with, as `provenance` would tell them today."""
    if not facts.items() >= _FIRST.items():
        return dict(facts)
    kept = {name: value for name, value in facts.items() if name not in _FIRST}
    return kept | {"spark_cot.revision": "1"}


def _stored(values: NDArray[Any], kind: pa.DataType) -> NDArray[Any]:
    return values.astype(np.float32) if pa.types.is_floating(kind) else values


def _columns(states: States) -> dict[str, NDArray[Any]]:
    """Columns of the table that the states hold, codes turned into words."""
    library = surface_library()
    columns: dict[str, NDArray[Any]] = dict(states._asdict())
    columns |= {
        "split": np.array(SPLITS)[states.split],
        "platform": np.array(PLATFORMS)[states.platform],
        "cloud_type": np.array(CLOUD_TYPES)[states.cloud_type],
        "profile": np.array(PROFILES)[states.profile],
        "surface_class": library.classes[states.surface],
        "surface_id": library.ids[states.surface],
        "second_surface_class": library.classes[states.second_surface],
        "second_surface_id": library.ids[states.second_surface],
        "snow_share": _snow_share(states),
        "cot": states.cot,
        "cot_in_cloud": states.cot_in_cloud,
        "water_vapour": _water_vapour(states),
    }
    return columns


def _snow_share(states: States) -> NDArray[np.float64]:
    """Share of the ground that is snow or ice."""
    snow = np.isin(surface_library().classes, SNOW)
    shares = states.surface_share, 1 - states.surface_share
    first, second = snow[states.surface], snow[states.second_surface]
    share: NDArray[np.float64] = first * shares[0] + second * shares[1]
    return share


def _water_vapour(states: States) -> NDArray[np.float64]:
    """Precipitable water above the ground, cm."""
    column = np.empty(states.surface_height.size)
    for index, atmosphere in enumerate(atmospheres()):
        mine = states.profile == index
        amount = atmosphere.layer_amount("h2o")[:, None]
        column[mine] = atmosphere.above(amount, states.surface_height[mine])[:, 0]
    return column * states.water_scale
