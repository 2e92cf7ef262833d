"""Rows of the log as entries, made when they are asked for: many fit as rows, not as objects."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from spark_cot.commit.ledger import LedgerEntry

#: Entries made at once.
ROWS_AT_ONCE: Final = 4096


class Outlines(Mapping[str, LedgerEntry]):
    """Entries of a stage by name, in its order: rows of a table until they are asked for.

    Some thousand neighbours are made at once and the last ones kept, so asking in order is cheap.
    """

    def __init__(self, rows: pa.Table) -> None:
        rows = rows.sort_by("name").combine_chunks()
        facts = rows.column_names.index("facts")
        self._rows = rows.set_column(facts, "facts", rows["facts"].dictionary_encode())
        self._firsts = (
            self._rows["name"]
            .take(pa.array(range(0, len(rows), ROWS_AT_ONCE), pa.int64()))
            .to_pylist()
        )
        self._made: tuple[int, dict[str, LedgerEntry]] = (-1, {})

    def __getitem__(self, name: str) -> LedgerEntry:
        return self._block(bisect_right(self._firsts, name) - 1)[name]

    def __iter__(self) -> Iterator[str]:
        for batch in self._rows.select(["name"]).to_batches(max_chunksize=ROWS_AT_ONCE):
            yield from batch["name"].to_pylist()

    def __len__(self) -> int:
        return len(self._rows)

    def _block(self, number: int) -> dict[str, LedgerEntry]:
        if number != self._made[0]:
            rows = self._rows.slice(max(0, number) * ROWS_AT_ONCE, ROWS_AT_ONCE)
            self._made = number, {entry.name: entry for entry in entries_of(rows)}
        return self._made[1]


def entries_of(rows: pa.Table) -> Iterator[LedgerEntry]:
    """Rows of the log as entries, some at a time."""
    for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from map(LedgerEntry.from_row, batch.to_pylist())
