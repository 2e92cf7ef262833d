"""What must come of a product that was changed: an outcome, and for a refusal its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Truth:
    """Outcomes that are right.

    Attributes
    ----------
    outcomes : tuple[str, ...]
        Of `fuzz_safe.OUTCOMES`.
    cause : str
        Words that the message of a refusal must have.
    """

    outcomes: tuple[str, ...]
    cause: str = ""

    def allows(self, outcome: str, message: str) -> bool:
        """Whether this may come of the product."""
        return outcome in self.outcomes and (outcome != "refused" or self.cause in message)

    def __str__(self) -> str:
        return " or ".join(self.outcomes) + (f" for {self.cause!r}" if self.cause else "")


#: Nothing of it matters.
EXACT: Final = Truth(("unchanged",))
#: The metadata may say other numbers, and these hold.
STATED: Final = Truth(("unchanged", "as stated"))
#: Damage: all that is sure is that it is noticed or does no harm.
ANY: Final = Truth(("refused", "unchanged", "as stated", "undetected"))

Mutation = Callable[[Path, Random], str]
Told = tuple[str, Truth]
#: Changes a product in place; says what it did, and what must come of it.
Change = Callable[[Path, Random], Told]


def refused(cause: str) -> Truth:
    """It cannot be read, and the message says why."""
    return Truth(("refused",), cause)


def damaging(mutation: Mutation) -> Change:
    """A change of which anything but harm may come."""

    @wraps(mutation)
    def change(product: Path, rng: Random) -> Told:
        return mutation(product, rng), ANY

    return change
