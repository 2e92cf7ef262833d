"""The outcome of a validation as data, Markdown and HTML."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One measured figure and the bar it is held against.

    Attributes
    ----------
    name : str
    measured : float
    least, most : float
        Inclusive bounds; infinite where there is none.
    """

    name: str
    measured: float
    least: float = -math.inf
    most: float = math.inf

    @property
    def passed(self) -> bool:
        """Whether the figure lies within its bounds; NaN never does."""
        return self.least <= self.measured <= self.most

    @property
    def bar(self) -> str:
        """The bounds in words."""
        if math.isinf(self.least):
            return f"<= {self.most:g}"
        if math.isinf(self.most):
            return f">= {self.least:g}"
        return f"{self.least:g} to {self.most:g}"

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Name, figure, bar and verdict as text."""
        return self.name, f"{self.measured:.3g}", self.bar, "pass" if self.passed else "FAIL"


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a validation."""

    checks: tuple[Check, ...]

    HEADER = ("check", "measured", "bar", "verdict")

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def markdown(self) -> str:
        """A Markdown table."""
        rows = [self.HEADER, ("---",) * len(self.HEADER), *(check.cells for check in self.checks)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"

    def html(self) -> str:
        """An HTML table."""

        def row(cells: tuple[str, ...], tag: str) -> str:
            inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        body = "\n".join(row(check.cells, "td") for check in self.checks)
        return f"<table>\n{row(self.HEADER, 'th')}\n{body}\n</table>\n"
