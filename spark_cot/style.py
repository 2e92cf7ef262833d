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
