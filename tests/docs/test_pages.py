"""Every command and snippet of the README and the pages runs, in order, as a reader would run it.

They all run in one reader's folder, so that a page may rely on what an earlier one has made.
"""

import os
import pkgutil
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from pathlib import Path

import duckdb
import numpy as np
import pytest

from spark_cot.msi import BANDS
from spark_cot.safe import ProductSpec, native_shape, write_product

ROOT = Path(__file__).parents[2]
#: In the order of the site; what a page relies on is made by one before it.
NAVIGATION = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
PAGES = ["README.md", *(f"docs/{name}" for name in NAVIGATION[1:]), "CONTRIBUTING.md"]
#: How commands begin that are not run here, and why.
NOT_RUN = {
    "make ": "tests are run by whoever runs this one; tests/demo/ runs the demo in small",
    "uv pip install": "the environment is there already, and tests have no network",
    "pip install": "the same",
    "python -m pip install": "the same",
    "pre-commit": "what its hooks run is `make lint`; tests/docs/test_project_files.py reads them",
    "sbatch": "needs Slurm; tests/integration/test_slurm_script.py runs the script",
    "kubectl": "needs Kubernetes; tests/conf/test_manifests.py validates the files",
    "docker/build.sh": "needs Docker and the network; tests/docker/ reads the recipe",
    "TORCH_INDEX=": "the same",
    "APPTAINER=": "the same",
}
#: The same commands with less to do.
SMALLER = {
    "train TABLE --out MODEL": "train synthetic --out one-more-model",
    "--rows 200000": "--rows 8192",
    "train synthetic": "train synthetic --steps 20 --batch-rows 256",
    "train.py synthetic": "train.py synthetic --steps 20 --batch-rows 256",
    "simulate validate": "simulate validate --rows 2000 --columns 4",
}
#: Pages about simulated rows and training; theirs and the other pages' commands share no more than
#: the archive.
TRAINING = ("docs/simulator.md", "docs/models.md", "docs/environments.md")
#: What snippets may need beyond the package's own requirements.
OPTIONAL = {"geopandas", "polars", "rioxarray", "xarray"}
FIRST_SCENE = "S2B_T31TCJ_20240305T104819"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(language: str, page: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    lines = "".join(blocks("sh", page)).replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"\s*#.*", "", line).strip() for line in lines) if line]


def run_here() -> list[str]:
    """Commands of all pages in order, each once."""
    found = dict.fromkeys(command for page in PAGES for command in commands(page))
    return [command for command in found if not command.startswith(tuple(NOT_RUN))]


def smaller(command: str) -> str:
    return reduce(lambda text, pair: text.replace(*pair), SMALLER.items(), command)


def pages_with(language: str) -> list[str]:
    return [page for page in PAGES if blocks(language, page)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: an archive, the published weights' file, and what the pages name."""
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(5)
    first = ProductSpec(tile="31TCJ")
    later = timedelta(days=10)
    second = replace(
        first,
        sensing_time=first.sensing_time + later,
        generation_time=first.generation_time + later,
    )
    for spec in (first, second):
        bands = {b.id: rng.uniform(0.05, 0.6, native_shape(b.id, 960)) for b in BANDS}
        write_product(folder / "archive", bands, spec)
    shapes = [(64, 12), (64, 64), (64, 64), (64, 64), (1, 64)]
    weights = {}
    for member in range(10):
        for layer, (fan_out, fan_in) in enumerate(shapes, start=1):
            weight = rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)
            weights[f"m{member}_lin{layer}_weight"] = weight.astype(np.float32)
            weights[f"m{member}_lin{layer}_bias"] = np.full(fan_out, 0.1, np.float32)
    np.savez(folder / "cot_mlp5_12band_ensemble.npz", **weights)
    for name in ("jobs", "conf", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def ran(reader: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every command's result, run in order: those of training beside those of all other pages."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}

    def run(series: list[str]) -> dict[str, subprocess.CompletedProcess[str]]:
        return {
            command: subprocess.run(
                smaller(command),
                shell=True,
                cwd=reader,
                env=environment,
                capture_output=True,
                text=True,
            )
            for command in series
        }

    training = {command for page in TRAINING for command in commands(page)}
    others = [command for command in run_here() if command not in training]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(run, (others, [c for c in run_here() if c in training]))
    return first | second


@pytest.mark.parametrize("command", run_here())
def test_commands_run(command: str, ran: dict[str, subprocess.CompletedProcess[str]]) -> None:
    result = ran[command]
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("page", pages_with("sql"))
def test_sql_runs(page: str, ran: object, reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reader)
    for query in blocks("sql", page):
        with duckdb.connect() as connection:
            rows = connection.sql(query).fetchall()
        assert [row[0] for row in rows] == ["31TCJ", "31TCJ"]
        assert [row[2] for row in rows] == [48 * 48, 48 * 48]


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page: str, ran: object, reader: Path) -> None:
    script = "\n".join(blocks("python", page))
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=reader, capture_output=True, text=True
    )
    missing = re.search(r"ModuleNotFoundError: No module named '(\w+)", result.stderr)
    if missing and missing[1] in OPTIONAL:
        pytest.skip(f"{page} needs {missing[1]}, which this environment does not have")
    assert result.returncode == 0, result.stderr[-3000:]
    if page == "docs/tables.md":
        assert result.stdout.count(FIRST_SCENE) == 3, result.stdout


def test_the_notebook_runs(ran: object, reader: Path) -> None:
    """As it is committed, but for the workspace's path; its four figures are drawn."""
    for module in ("nbclient", "ipykernel", "xarray"):
        pytest.importorskip(module, reason=f"the notebook needs {module}")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert code[0].source == 'WORKSPACE = "demo/workspace"'
    code[0].source = f'WORKSPACE = "{reader / "workspace"}"'
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(reader)}}).execute()
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4


@pytest.mark.parametrize("page", PAGES)
def test_what_pages_name_exists(page: str) -> None:
    """Files, modules and their members, targets of make, between backticks or in commands."""
    named = "\n".join([*re.findall(r"`([^`\n]+)`", text_of(page)), *commands(page)])
    folders = r"(?:\.readme|conf|docker|docs|jobs|spark_cot|tests)"
    for path in re.findall(rf"(?<![\w./]){folders}/[\w./*-]*[\w/]", named):
        if "NAME" not in path:
            assert any(ROOT.glob(path.rstrip("/"))), path
    for name in re.findall(r"(?<![\w./])spark_cot(?:\.\w+)+", named):
        if not name.endswith((".py", ".zip")):
            pkgutil.resolve_name(name)
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", named)) <= set(targets)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", [*PAGES, "CHANGES.md"])
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_navigation() -> None:
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == set(NAVIGATION[1:])


def test_the_readme_is_a_shop_window() -> None:
    assert len(text_of("README.md").splitlines()) <= 200


def test_figures_of_the_readme_stand_on_their_page() -> None:
    (table,) = re.findall(r"^## Figures\n(.*?)^## ", text_of("README.md"), re.DOTALL | re.MULTILINE)
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    known = set(re.findall(r"\d[\d.,]*", text_of("docs/figures.md")))
    for row in rows:
        assert set(re.findall(r"\d[\d.,]*", row)) <= known, row
