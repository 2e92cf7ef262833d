"""Where commands say what they do: standard error."""

from typing import Final

from rich.console import Console

#: Paths hold what they like, also ``:cloud:``. What is not ours is printed without markup.
console: Final = Console(stderr=True, emoji=False)
