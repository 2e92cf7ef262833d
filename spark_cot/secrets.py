"""What must not be told: passwords, keys and tokens, wherever a text may have taken one up.

Reports, logs, messages and the state of a workspace are read by more people than may sign in to a
store. Names are judged as Spark judges those of its properties (``spark.redaction.regex``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

#: Stands where a secret stood. Source of the word: Spark's configuration, "spark.redaction.regex".
HIDDEN: Final = "*********(redacted)"

_NAME: Final = r"secret|passw|token|access[._-]?key|credential|signature|account[._-]?key|\bsig\b"
_SECRET: Final = re.compile(_NAME, re.I)

#: ``scheme://user:password@host``: what stands before the @.
_OF_URL: Final = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
#: ``name=value``, ``name:value`` and ``"name": "value"``, in a query or anywhere else; a colon
#: before a space is one of a sentence.
_PAIR: Final = re.compile(
    rf"""([\w.\-]*(?:{_NAME})[\w.\-]*(?:\s*=\s*['"]?|:|['"]\s*:\s*['"]))([^\s'",;&<>]+)""", re.I
)

#: Shorter values of the environment occur by chance.
_SHORTEST: Final = 8


def is_secret(name: str, pattern: str = "") -> bool:
    """Whether a property or variable of this name holds a secret; ``pattern`` names more."""
    return bool(_SECRET.search(name) or (pattern and re.search(pattern, name)))


def hiding() -> Callable[[str], str]:
    """A function that hides secrets in a text, those that the environment holds now among them."""
    values = [value for name, value in os.environ.items() if is_secret(name) and _hides(value)]
    longest_first = sorted(values, key=len, reverse=True)
    known = re.compile("|".join(map(re.escape, longest_first))) if values else None

    def hide(text: str) -> str:
        text = known.sub(HIDDEN, text) if known else text
        return _PAIR.sub(rf"\g<1>{HIDDEN}", _OF_URL.sub(HIDDEN, text))

    return hide


def _hides(value: str) -> bool:
    """Whether the value of a variable is a secret itself, not the path of one."""
    return len(value) >= _SHORTEST and not value.startswith(("/", "~"))


def hidden(text: str) -> str:
    """The text without secrets."""
    return hiding()(text)


def hidden_in(value: Any, hide: Callable[[str], str] | None = None) -> Any:
    """JSON values without secrets: texts, and values whose name says that they are one."""
    hide = hide or hiding()
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(v, str) and is_secret(name) else hidden_in(v, hide)
            for name, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [hidden_in(item, hide) for item in value]
    return value
