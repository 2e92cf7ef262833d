"""The pages build as a site, without a warning, with what the hooks add."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from defusedxml import ElementTree

ROOT = Path(__file__).parents[2]
for _module in ("mkdocs", "material", "mkdocstrings"):
    pytest.importorskip(_module, reason=f"the site needs {_module}: pip install '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a dead link, a page left out or a bad docstring is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


def test_the_readme_is_the_first_page(site: Path) -> None:
    page = (site / "index.html").read_text()
    for link in ("archives.html", "schema.html", "images/demo.png", "tour.ipynb"):
        assert f'"{link}"' in page
        assert (site / link).is_file()


def test_the_map_of_the_house_is_drawn(site: Path) -> None:
    page = (site / "developers.html").read_text()
    drawing = ElementTree.fromstring(re.search(r"<svg xmlns='.*?</svg>", page, re.DOTALL)[0])
    drawn = {text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert drawn >= {"archive", "engine", "tables"}
    assert '<a href="code/archive.html">archive</a>' in page


def test_every_room_has_a_page_of_its_docstrings(site: Path) -> None:
    assert 'id="spark_cot.safe.read.read_block"' in (site / "code" / "safe.html").read_text()
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "spark_cot").iterdir()}
    rooms -= {"py.typed"} | {name for name in rooms if name.startswith("__")}
    assert {page.stem for page in (site / "code").glob("*.html")} == rooms


def test_nothing_is_fetched_to_read_a_page(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert '<script src="http' not in text, page
        assert "fonts.googleapis" not in text, page
