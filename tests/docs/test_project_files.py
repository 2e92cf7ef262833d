"""Files that other tools read: citation, hooks."""

import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
#: Required by the Citation File Format 1.2.0, of the file and of a reference.
CITATION_KEYS = {"authors", "cff-version", "message", "title"}
REFERENCE_KEYS = {"authors", "title", "type"}


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version() -> None:
    citation = read("CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation.keys() >= CITATION_KEYS
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    (paper,) = citation["references"]
    assert paper.keys() >= REFERENCE_KEYS
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(author["family-names"] in readme for author in paper["authors"])


def test_hooks_are_the_linters_of_make_lint() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\nlint:")[2].partition("\n\n")[0].splitlines()[1:]
    linters = [line.removeprefix("\t$(BIN)/").removesuffix(" .") for line in recipe]
    assert linters == entries
