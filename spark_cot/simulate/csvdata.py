"""Strict reading of the physical tables inside the package: exact header, finite figures."""

import csv
import hashlib
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from spark_cot.errors import SimulationError

_FOLDER = resources.files("spark_cot.simulate") / "data"


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.csv").read_text(encoding="utf-8")


def content_hash(*names: str) -> str:
    """SHA-256 (16 hexadecimal digits) of the named tables' bytes."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(_text(name).encode())
    return digest.hexdigest()[:16]


def parse(text: str, header: tuple[str, ...], where: str) -> dict[str, list[str]]:
    """Columns of a CSV text whose comments start with ``#`` and whose header must be ``header``.

    Raises
    ------
    SimulationError
        When the header differs or a line has another number of fields.
    """
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found, *rows = csv.reader(lines)
    cure = "Reinstall spark_cot: its data tables are damaged"
    if tuple(found) != header:
        raise SimulationError(
            f"header is {','.join(found)}, expected {','.join(header)}", where, cure
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise SimulationError(
                f"data row {number} has {len(row)} fields, expected {len(header)}", where, cure
            )
    return {
        name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)
    }


def numbers(column: list[str], where: str) -> NDArray[np.float64]:
    """A column as float64.

    Raises
    ------
    SimulationError
        When an entry is no number, infinite or NaN.
    """
    try:
        values = np.array(column, dtype=np.float64)
    except ValueError as error:
        raise SimulationError(f"{error}; expected numbers", where) from error
    if not np.isfinite(values).all():
        raise SimulationError("infinite or NaN entry; expected finite numbers", where)
    return values


def read_text_columns(name: str, header: tuple[str, ...]) -> dict[str, list[str]]:
    """Columns of the package table ``name`` as text."""
    return parse(_text(name), header, f"{name}.csv")


def read_columns(name: str, header: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """Columns of the package table ``name``, all numeric."""
    columns = read_text_columns(name, header)
    return {key: numbers(column, f"{name}.csv, {key}") for key, column in columns.items()}
