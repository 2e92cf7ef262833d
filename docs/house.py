"""The map of the house, read from its imports: `python docs/house.py` prints it.

Rooms are the modules and folders directly below ``spark_cot/``, listed here from the ground up.
Every import leads from a room to itself or to one that stands before it in the list.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1] / "spark_cot"

#: What each room is for, from the ground up.
ROOMS: Final = {
    "errors": "the one base of all errors: cause and cure",
    "msi": "the 13 bands",
    "grid": "pixel grids and rectangles of them",
    "progress": "bars on a terminal, log lines elsewhere",
    "style": "how reflectance and thickness are shown to people",
    "storage": "file systems and object stores: publish, list, read in ranges",
    "safe": "Sentinel-2 L1C products: discover, parse, read calibrated blocks, write",
    "tables": "schemas, the workspace's layout, scenes, row groups",
    "models": "what a trained model is: bundle, shape, target, classes, importers, those that ship",
    "commit": "how a table comes to be and stays whole: parts, ledger, lock, verify, vacuum",
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


def arrows() -> Counter[tuple[str, str]]:
    """How many modules of one room import from another, by (from, to)."""
    return Counter((room(path), used) for path in files() for used in rooms_used(path))


def upward() -> list[tuple[str, str]]:
    """Arrows that lead to a room that does not stand before their own: there should be none."""
    order = list(ROOMS)
    return [(a, b) for a, b in arrows() if order.index(b) >= order.index(a)]


def mermaid() -> str:
    """The map as a diagram, the roof on top; of the arrows those that no longer way replaces."""
    direct = {name: {b for a, b in arrows() if a == name} for name in ROOMS}
    lines = ["flowchart TD"]
    for name, below in direct.items():
        reached = {end for step in below for end in reach(step, direct)}
        lines += [f"  {name} --> {end}" for end in sorted(below - reached)]
    return "\n".join(lines)


def reach(start: str, direct: dict[str, set[str]]) -> set[str]:
    """Rooms below ``start``."""
    return direct[start].union(*(reach(step, direct) for step in direct[start]))


def main() -> None:
    """Print each room with its purpose and the rooms it uses, from the roof down."""
    found = arrows()
    for name in reversed(ROOMS):
        below = [f"{b} ({n})" for (a, b), n in sorted(found.items()) if a == name]
        print(f"{name:9} {ROOMS[name]}\n{'':9} -> {', '.join(below) or 'nothing'}")
    print(f"{len(found)} arrows, {len(upward())} of them upward: {upward() or 'none'}")


if __name__ == "__main__":
    main()
