"""What MkDocs does not do by itself for this site, see ``mkdocs.yml``.

Pages that stand elsewhere in the project (the README is the first page) are brought in, links
follow them, the map of the house is drawn, and each room gets a page of its docstrings.
"""

from __future__ import annotations

import importlib.util
import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.superfences import fence_code_format

ROOT: Final = Path(__file__).resolve().parents[1]
#: Where files outside ``docs/`` stand in the site.
BROUGHT_IN: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGES.md": "changes.md",
    "CITATION.cff": "CITATION.cff",
    "LICENSE": "LICENSE.txt",
    "conf/SCHEMA.md": "schema.md",
    ".readme/demo.png": "images/demo.png",
    ".readme/thickness.png": "images/thickness.png",
    ".readme/two-dates.png": "images/two-dates.png",
    ".readme/bias.png": "images/bias.png",
    ".readme/brightness.png": "images/brightness.png",
}
MAP_MARK: Final = "<!-- the map of the house: drawn here on the site -->"
MERMAID: Final = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}

_spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "house.py")
assert _spec and _spec.loader
house = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(house)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Diagrams in fences named mermaid; pages that are made here join the navigation."""
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [MERMAID]}
    rooms = [{room: f"code/{room}.md"} for room in reversed(house.ROOMS)]
    config.nav += [
        {"Tables' columns": "schema.md"},
        {"Contributing": "contributing.md"},
        {"Changes": "changes.md"},
        {"The code": rooms},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in what stands outside ``docs/``, and a page for every room."""
    for source, target in BROUGHT_IN.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    for room, purpose in house.ROOMS.items():
        files.append(File.generated(config, f"code/{room}.md", content=room_page(room, purpose)))
    return files


def room_page(room: str, purpose: str) -> str:
    """Docstrings of all modules of a room; of packages their own one, members follow in modules."""
    lines = [f"# {room}", f"{purpose[0].upper()}{purpose[1:]}."]
    for path in house.files():
        if house.room(path) == room and not path.stem.startswith("_"):
            lines.append(f"::: {dotted(path)}")
        elif house.room(path) == room:
            lines.append(f"::: {dotted(path.parent)}\n    options:\n      members: false")
    return "\n\n".join(lines) + "\n"


def dotted(path: Path) -> str:
    """Name of the module or package at ``path``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links to where their targets stand in the site, and draw the map."""
    here = page.file.src_uri
    outside = {target: source for source, target in BROUGHT_IN.items()}
    source = outside.get(here, f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        path, hash_, anchor = link[1].partition("#")
        if not path or "://" in path:
            return link[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target = BROUGHT_IN.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{hash_}{anchor})"

    markdown = re.sub(r"\]\(([^)\s]+)\)", moved, markdown)
    if MAP_MARK not in markdown:
        return markdown
    return markdown.replace(MAP_MARK, f"{house.drawing()}\n\n{room_table()}")


def room_table() -> str:
    """Rooms from the roof down, each with a link to its docstrings."""
    used = {room: [b for a, b in sorted(house.arrows()) if a == room] for room in house.ROOMS}
    lines = ["| room | purpose | uses |", "|---|---|---|"]
    for room, purpose in reversed(house.ROOMS.items()):
        lines.append(f"| [{room}](code/{room}.md) | {purpose} | {', '.join(used[room])} |")
    return "\n".join(lines) + "\n"
