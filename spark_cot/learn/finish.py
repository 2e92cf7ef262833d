"""From trained weights to a bundle that can be judged: uncertainty, thresholds, scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from spark_cot.evaluate.scores import Sample, best_thresholds, model_scores
from spark_cot.infer.predictor import Predictor
from spark_cot.learn.noise import Noise
from spark_cot.learn.stream import load
from spark_cot.models.architecture import Float32
from spark_cot.models.bundle import Bundle
from spark_cot.simulate.world.surfaces import SNOW
from spark_cot.tables.rowgroups import ParquetTable

#: Rows that uncertainty and thresholds are fitted on.
FIT_ROWS: Final = 50_000
_SURFACES: Final = ("surface_class", "second_surface_class")
#: Share of errors within one standard deviation of a normal distribution.
ONE_SIGMA: Final = math.erf(math.sqrt(0.5))

THRESHOLD_RULE: Final = (
    "Youden's index on validation rows under the training noise: thin parts COT 0 from 0.75 and "
    "more, thick parts below 1.25 from the rest"
)


def finished_bundle(raw: Bundle, noise: Noise, validation: str, test: str) -> Bundle:
    """The bundle with calibrated uncertainty, thresholds of its own, and scores.

    Parameters
    ----------
    raw : Bundle
    noise : Noise
        That the model was trained under; uncertainty and thresholds are fitted under it.
    validation, test : str
        Tables with the bundle's inputs and ``cot``.

    Raises
    ------
    TableError
        A table cannot be read.
    """
    seen = _sample(raw, validation, FIT_ROWS)
    seen = replace(seen, features=_under(noise, raw, seen))
    bundle = calibrated(raw, seen) if raw.architecture.predicts_error else raw
    thresholds = best_thresholds(Predictor(bundle)(seen.features).cot, seen.cot)
    bundle = replace(bundle, thresholds=thresholds)
    held_out = _sample(raw, test)
    scores = model_scores(Predictor(bundle), held_out, _snow_free(test, len(held_out.cot)))
    scores |= {"threshold_rule": THRESHOLD_RULE}
    if bundle.architecture.members > 1:
        alone = model_scores(
            Predictor(member(bundle, 0)), held_out, np.ones(len(held_out.cot), bool)
        )
        scores |= {"mae_of_one_member": alone["mae"]}
    return replace(bundle, metrics=scores)


def calibrated(bundle: Bundle, sample: Sample) -> Bundle:
    """The bundle with its predicted errors scaled so that 68.3 % of the rows' errors are smaller.

    The scale goes into the bias of the second output, a logarithm, so a bundle needs no further
    number for it.
    """
    low, high = math.log(0.01), math.log(100.0)
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        said = Predictor(_shifted(bundle, middle))(sample.features)
        if (np.abs(said.cot - sample.cot) <= said.cot_std).mean() < ONE_SIGMA:
            low = middle
        else:
            high = middle
    return _shifted(bundle, high)


def member(bundle: Bundle, index: int) -> Bundle:
    """One network of an ensemble, as a bundle."""
    weights = {name: tensor[index : index + 1].copy() for name, tensor in bundle.weights.items()}
    return replace(bundle, architecture=replace(bundle.architecture, members=1), weights=weights)


def _shifted(bundle: Bundle, amount: float) -> Bundle:
    name = f"layer{bundle.architecture.layers}.bias"
    bias = bundle.weights[name].copy()
    bias[:, 1] += np.float32(amount)
    return replace(bundle, weights=bundle.weights | {name: bias})


def _sample(bundle: Bundle, table: str, rows: int | None = None) -> Sample:
    matrix = load(table, (*bundle.inputs, "cot"), rows).numpy()
    return Sample(np.ascontiguousarray(matrix[:, :-1]), matrix[:, -1], len(bundle.bands))


def _under(noise: Noise, bundle: Bundle, sample: Sample) -> Float32:
    generator = torch.Generator().manual_seed(0)
    features = torch.from_numpy(sample.features)
    rho, means = features[:, : sample.bands], torch.tensor(bundle.means[: sample.bands])
    noisy = noise.apply(rho, bundle.bands, means, generator)
    result: Float32 = torch.cat([noisy, features[:, sample.bands :]], dim=1).numpy()
    return result


def _snow_free(table: str, rows: int) -> NDArray[np.bool_]:
    """Rows whose ground is free of snow, ``(rows,)``; all of them where nothing is known of it."""
    free = []
    for path in ParquetTable(table, ["cot"]).files.values():
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            known = [name for name in _SURFACES if name in parquet.schema_arrow.names]
            classes = parquet.read(columns=known).to_pandas()
        free.append(~classes.isin(SNOW).any(axis=1).to_numpy())
    return np.concatenate(free) if known else np.ones(rows, bool)
