"""The map of the house, read from its imports: `python docs/house.py` prints it.

Rooms are the modules and folders directly below ``spark_cot/``, listed here from the ground up.
Every import leads from a room to itself or to one that stands before it in the list.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1] / "spark_cot"

#: Of the drawing: its width, the distance of two floors, the size of a room.
_WIDTH, _STEP, _BOX = 900, 80, (96, 30)

#: What each room is for, from the ground up.
ROOMS: Final = {
    "secrets": "what no message, log, report or table may tell",
    "errors": "the one base of all errors: cause and cure",
    "msi": "the 13 bands",
    "grid": "pixel grids and rectangles of them",
    "progress": "bars on a terminal, log lines elsewhere",
    "style": "how reflectance and thickness are shown to people",
    "storage": "file systems and object stores: publish durably, list, read in ranges, remove",
    "safe": "Sentinel-2 L1C products: discover, parse, read calibrated blocks, write",
    "tables": "schemas, the workspace's layout, scenes, row groups",
    "models": "what a trained model is: bundle, shape, target, classes, importers, those that ship",
    "commit": "how a table comes to be and stays whole: parts, log, lock, verify, vacuum",
    "infer": "bundle to array function to Spark functions",
    "simulate": "physics: gas, scattering, transfer, world; the synthetic table on top",
    "products": "COG, STAC item, quicklook, masked reflectance",
    "evaluate": "scores and calibration against truth",
    "learn": "streams of rows, recipes, the training loop",
    "report": "pages about runs",
    "plan": "what there is to do",
    "engine": "how Spark does it",
    "analysis": "workspace and models for analysts: Arrow, pandas, xarray, Spark; predict",
    "archive": "the stages and commands over whole archives",
    "demo": "the story on simulated scenes",
    "cli": "one command line",
}


def files() -> list[Path]:
    """All modules of the package that belong to a room."""
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or "__" not in p.name]


def room(path: Path) -> str:
    """The room a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Modules that a file imports at run time; what only type checkers see is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    return {name for node in ast.walk(tree) if node not in unseen for name in _imported(node)}


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module


def rooms_used(path: Path) -> set[str]:
    """Other rooms that a module imports from."""
    used = {name.split(".")[1] for name in imports(path) if name.startswith("spark_cot.")}
    return used - {room(path)}


@cache
def arrows() -> Counter[tuple[str, str]]:
    """How many modules of one room import from another, by (from, to)."""
    return Counter((room(path), used) for path in files() for used in rooms_used(path))


def upward() -> list[tuple[str, str]]:
    """Arrows that lead to a room that does not stand before their own: there should be none."""
    order = list(ROOMS)
    return [(a, b) for a, b in arrows() if order.index(b) >= order.index(a)]


def main_arrows() -> dict[str, set[str]]:
    """Rooms that each room uses, without those that it reaches through another one."""
    direct = {name: {b for a, b in arrows() if a == name} for name in ROOMS}
    return {
        name: below - {end for step in below for end in reach(step, direct)}
        for name, below in direct.items()
    }


def reach(start: str, below: dict[str, set[str]]) -> set[str]:
    """Rooms that ``start`` leads down to, directly or through others."""
    return below[start].union(*(reach(step, below) for step in below[start]))


def drawing() -> str:
    """The map as an SVG picture: the roof on top, every arrow down."""
    below = main_arrows()
    floors: list[list[str]] = []
    for name in ROOMS:
        floor = max((_floor(floors, step) + 1 for step in below[name]), default=0)
        floors += [[] for _ in range(floor + 1 - len(floors))]
        floors[floor].append(name)
    places = {
        name: (_WIDTH * (2 * index + 1) / (2 * len(floor)), _STEP * (len(floors) - height - 0.5))
        for height, floor in enumerate(floors)
        for index, name in enumerate(floor)
    }
    lines = [_line(places[a], places[b]) for a, ends in below.items() for b in sorted(ends)]
    boxes = [_box(name, *place) for name, place in places.items()]
    size = f'viewBox="0 0 {_WIDTH} {_STEP * len(floors)}" width="100%"'
    style = 'font-family="sans-serif" font-size="14" fill="none" stroke="#5a6b7b"'
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {style}>{''.join(lines + boxes)}</svg>"


def _floor(floors: list[list[str]], name: str) -> int:
    return next(height for height, rooms in enumerate(floors) if name in rooms)


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    y, to_y = y + _BOX[1] / 2, to_y - _BOX[1] / 2
    bend = 0.5 * (to_y - y)
    return f'<path d="M{x} {y} C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"/>'


def _box(name: str, x: float, y: float) -> str:
    width, height = _BOX
    corner = f'x="{x - width / 2}" y="{y - height / 2}"'
    text = (
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#1f2933" stroke="none">{name}</text>'
    )
    return f'<rect {corner} width="{width}" height="{height}" rx="5" fill="#eef2f5"/>{text}'


def main() -> None:
    """Print each room with its purpose and the rooms it uses, from the roof down."""
    found = arrows()
    for name in reversed(ROOMS):
        below = [f"{b} ({n})" for (a, b), n in sorted(found.items()) if a == name]
        print(f"{name:9} {ROOMS[name]}\n{'':9} -> {', '.join(below) or 'nothing'}")
    print(f"{len(found)} arrows, {len(upward())} of them upward: {upward() or 'none'}")


if __name__ == "__main__":
    main()
