"""Where commands say what they do: standard error."""

from typing import Final

from rich.console import Console

console: Final = Console(stderr=True)
