"""Options live in the workspace: what is not given is as before, what differs must be meant."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spark_cot.archive.options import ProductsOptions, RunOptions
from spark_cot.archive.settings import in_effect, remembered
from spark_cot.commit.log import Log
from spark_cot.errors import WorkspaceError
from spark_cot.models.bundle import Bundle, save_bundle
from spark_cot.models.classes import Thresholds
from spark_cot.safe import Downsampling
from spark_cot.tables.workspace import Workspace


@pytest.fixture
def own(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A workspace made with ``--mask-above 1.0`` and the test's model, to be changed."""
    return Path(shutil.copytree(finished[1], tmp_path / "own"))


def files(root: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in sorted(root.rglob("*")) if p.is_file()}


def options(own: Path, **changes: object) -> RunOptions:
    return RunOptions(**{"archive": "archive", "out": own, **changes})  # type: ignore[arg-type]


def test_options_that_are_not_given_are_the_workspaces(
    own: Path, finished: tuple[Path, Path], model: Path, cot_command: Callable[..., tuple[int, str]]
) -> None:
    before = {path: time for path, time in files(own).items() if path.endswith("parquet")}
    code, text = cot_command("run", finished[0], "--out", own)
    assert code == 0, text
    for stage in ("ingest", "apply", "products"):
        assert f"{stage}: 0 done, 3 skipped, 0 failed" in text
    assert {path: time for path, time in files(own).items() if path in before} == before
    settled, changed = in_effect(options(own))
    assert (settled.downsampling, settled.mask, changed) == (Downsampling.EXACT, 1.0, [])
    assert settled.model == model


@pytest.mark.parametrize(
    ("command", "given", "change"),
    [
        ("products", ["--mask-above", "none"], "--mask-above 1.0, now --mask-above none"),
        ("products", ["--mask-above", "0.5"], "--mask-above 1.0, now --mask-above 0.5"),
        ("apply", ["--thin", "0.5"], "--thin 0.75, now --thin 0.5"),
        ("apply", ["--model", "student"], "now --model student ("),
        ("run", ["--thick", "2"], "--thick 1.25, now --thick 2.0"),
        (
            "reprocess",
            ["--downsampling", "level"],
            "--downsampling exact, now --downsampling level",
        ),
        ("ingest", ["--downsampling", "level"], "--downsampling exact, now --downsampling level"),
    ],
)
def test_other_options_are_refused_with_what_to_do(
    own: Path,
    finished: tuple[Path, Path],
    cot_command: Callable[..., tuple[int, str]],
    command: str,
    given: list[str],
    change: str,
) -> None:
    places = [own] if command in ("apply", "products") else [finished[0], "--out", own]
    before = files(own)
    code, text = cot_command(command, *places, *given)
    assert (code, "was made with other options: --" in text, change in text) == (2, True, True), (
        text
    )
    assert "add --change-options" in text
    assert files(own) == before


def test_a_dry_run_says_what_would_be_done_why_and_how_much(
    own: Path, finished: tuple[Path, Path], cot_command: Callable[..., tuple[int, str]]
) -> None:
    before, log = files(own), Log(Workspace.open(own))
    size = sum(entry.size for entry in log.entries("products").values())
    code, text = cot_command("run", finished[0], "--out", own, "--mask-above", "none", "--dry-run")
    assert code == 0
    assert "they need --change-options" in text
    assert re.search("3 +outdated-configuration +mask above 1.0, now none", text), text
    lines = [line.split() for line in text.splitlines()]
    assert ["apply", "0", "0", "0"] in lines
    assert ["products", "3", f"{size:,}", f"{size:,}"] in lines
    for command, given in (("apply", ["--thin", "0.5"]), ("products", ["--mask-above", "0.5"])):
        code, text = cot_command(command, own, *given, "--dry-run")
        assert (code, "outdated-configuration" in text) == (0, True), text
    code, text = cot_command("ingest", finished[0], "--out", own / "new", "--dry-run")
    assert (code, "no ingest yet" in text, "unknown" in text) == (0, True, True), text
    assert files(own) == before


def test_a_change_that_is_meant_is_made_and_remembered(
    own: Path, finished: tuple[Path, Path], cot_command: Callable[..., tuple[int, str]]
) -> None:
    given = ("--mask-above", "none", "--change-options")
    code, text = cot_command("products", own, *given, "--tile", "31TCJ")
    assert (code, "products: 2 done, 0 skipped" in text) == (0, True), text
    code, text = cot_command("run", finished[0], "--out", own)
    assert (code, "products: 1 done, 2 skipped" in text) == (0, True), text
    assert not list((own / "masked").rglob("*.parquet"))
    assert remembered(Workspace.open(own))["mask_above"] is None


@pytest.mark.parametrize("lost", ["options", "ledger"])
def test_lost_options_are_those_of_the_results(own: Path, lost: str, model: Path) -> None:
    known = remembered(Workspace.open(own))
    if lost == "options":
        (own / "_ledger" / "options.json").unlink()
    else:
        shutil.rmtree(own / "_ledger")
    assert known.pop("model") == str(model)  # results name it, and do not say where it lies
    assert remembered(Workspace.open(own)) == known
    with pytest.raises(WorkspaceError, match=r"--model brightness \(.*now --model student"):
        in_effect(options(own))
    assert in_effect(options(own, model=model))[0].mask == 1.0


def test_another_model_brings_its_own_thresholds(own: Path, bundle: Bundle, tmp_path: Path) -> None:
    other = replace(bundle, name="other", thresholds=Thresholds(0.5, 2.0))
    path = save_bundle(other, tmp_path / "other")
    settled, changed = in_effect(options(own, model=path, change_options=True))
    assert (settled.thin, settled.thick) == (0.5, 2.0)
    assert len(changed) == 3
    settled, _ = in_effect(options(own, model=path, thick=3, change_options=True))
    assert (settled.thin, settled.thick) == (0.5, 3.0)


def test_a_model_that_was_changed_in_its_place_is_another(own: Path, bundle: Bundle) -> None:
    path = own.parent / "model"
    settings = own / "_ledger" / "options.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model": str(path)}))
    save_bundle(bundle, path)
    assert in_effect(options(own))[1] == []
    shutil.rmtree(path)
    weights = {name: 2 * values for name, values in bundle.weights.items()}
    save_bundle(replace(bundle, weights=weights), path)
    with pytest.raises(WorkspaceError, match="--model brightness"):
        in_effect(options(own))


def test_a_command_minds_its_own_options_only(own: Path) -> None:
    settled, changed = in_effect(ProductsOptions(workspace=own))
    assert (settled.mask, changed) == (1.0, [])


def test_a_new_workspace_takes_any_options(tmp_path: Path) -> None:
    settled, changed = in_effect(options(tmp_path / "new", mask_above=2, thin=0.1))
    assert (settled.mask, settled.thin, changed) == (2.0, 0.1, [])
