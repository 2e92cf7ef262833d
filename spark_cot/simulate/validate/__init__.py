"""Validation of the simulator: every figure it is held to, measured and reported.

Bars follow from published solutions, independent packages and what real scenes hold. Fast ones
are also tests. The whole takes some ten minutes on one core, most of it PythonicDISORT and the
rows for the rank correlation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa

from spark_cot.simulate.validate.learning import learning_checks
from spark_cot.simulate.validate.lookups import gas_checks, mie_checks
from spark_cot.simulate.validate.reference import convergence_checks, disort_checks
from spark_cot.simulate.validate.report import Check, Report
from spark_cot.simulate.validate.rows import (
    determinism_check,
    ensemble_checks,
    generate,
    statistics_checks,
    throughput_check,
)
from spark_cot.simulate.validate.transfer import transfer_checks

__all__ = ["Check", "Report", "validate"]

#: Rows that leave more than 20,000 snow-free ones in the benchmark stratum.
ROWS: Final = 36_000


def validate(
    *,
    table: pa.Table | None = None,
    rows: int = ROWS,
    seed: int = 7,
    disort_cases: int = 100,
    convergence_cases: int = 60,
    ensemble: Path | None = None,
    learn: bool = False,
    judge: Callable[[pa.Table], list[Check]] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure everything the simulator is held to.

    Parameters
    ----------
    table : pyarrow.Table, optional
        A synthetic table to take statistics from; else ``rows`` rows of ``seed`` are simulated.
    rows, seed : int
    disort_cases : int
        Columns to compare with PythonicDISORT, half of them with Mie clouds; 0 leaves it out.
    convergence_cases : int
        Columns to compare with 20 nodes.
    ensemble : pathlib.Path, optional
        Weights of the published ensemble (npz); its checks are left out without them.
    learn : bool
        Train a small network on the rows, of which there should be 80,000 (two more minutes).
    judge : callable, optional
        Further checks of the rows, such as those of a model, of which this room knows none.
    progress : callable, optional
        Told what is being measured.

    Raises
    ------
    SetupError
        When miepython, or PythonicDISORT where asked for, is not installed.
    """
    progress("solver against published solutions")
    checks = transfer_checks()
    progress("solver against 20 nodes")
    checks += convergence_checks(convergence_cases)
    if disort_cases:
        progress("solver against DISORT")
        checks += disort_checks(disort_cases)
    progress("gas and droplets")
    checks += [*gas_checks(), *mie_checks()]
    progress("determinism and speed")
    checks += [determinism_check(seed), throughput_check(seed)]
    progress("statistics of rows")
    sample = generate(rows, seed) if table is None else table
    checks += statistics_checks(sample)
    if ensemble is not None:
        checks += ensemble_checks(sample, ensemble)
    if learn:
        progress("a network trained on rows")
        checks += learning_checks(sample)
    if judge is not None:
        progress("a model on rows")
        checks += judge(sample)
    return Report(tuple(checks))
