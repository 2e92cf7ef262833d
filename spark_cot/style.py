"""How reflectance and thickness are shown to people, the same in every picture."""

from typing import Final

#: True colour: TOA reflectance 0 is black, WHITE and above is white, with a gamma that lifts land.
WHITE: Final = 0.5
GAMMA: Final = 2.0

#: Thickness scale: linear below LINEAR, where thin cloud lies, logarithmic above, up to THICKEST.
LINEAR: Final = 0.3
THICKEST: Final = 50.0
COT_TICKS: Final = (0, 0.1, 0.3, 1, 3, 10, 30, 50)
COT_COLOURS: Final = "viridis"

NODATA_COLOUR: Final = "#b8bec5"

#: Text and lines of figures, and the colours of curves that stand side by side.
INK, FAINT = "#1f2933", "#66727f"
CURVES: Final = ("#2f6f8f", "#c8662b", "#6a4c93", "#2e7d5b", "#b3352c", "#8a6d1f")
