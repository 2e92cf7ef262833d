"""A dry run says what would be written, and where, and writes nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_cot.archive.declare import declared
from spark_cot.archive.options import TrainOptions
from spark_cot.archive.simulate import SyntheticTable, simulate_part
from spark_cot.archive.writes import trained
from spark_cot.cli import COMMANDS
from spark_cot.cli.train import _run
from spark_cot.models.bundle import save_bundle
from spark_cot.storage import sizes

Command = Callable[..., tuple[int, str]]

#: Commands that write nothing, or show it by themselves until they are told to.
HARMLESS = {"verify", "repair", "status", "validate", "show", "check"}


def numbers(text: str, what: str) -> list[str]:
    """The row of what would be written, as words of three columns."""
    row = next(line for line in text.splitlines() if line.startswith(f"{what} "))
    return re.split(r"\s{2,}", row.strip())


def test_every_command_that_writes_has_a_dry_run() -> None:
    commands = [c for known in COMMANDS for c in (known, *getattr(known, "commands", {}).values())]
    writing = [c for c in commands if hasattr(c, "options") and c.name not in HARMLESS]
    assert len(writing) >= 11
    for command in writing:
        assert "dry_run" in {option.name for option in declared(command.options)}, command.name


def test_simulate_tells_what_is_left(cot_command: Command, tmp_path: Path) -> None:
    out = tmp_path / "table"
    options = ("simulate", "--rows", 5000, "--out", out, "--plot", "--dry-run")
    code, text = cot_command(*options)
    assert code == 0
    assert numbers(text, "table") == [
        "table",
        "5,000 of 5,000 rows, 2 of 2 parts",
        "1,175,000",
        "0",
    ]
    assert f"table  {out}" in text
    assert f"pictures  {out}.simulation/plots" in text
    assert list(tmp_path.iterdir()) == []

    plan = SyntheticTable.of(out, 5000, 7)
    plan.marker.parent.mkdir()
    plan.marker.write_text(json.dumps(plan.facts))
    assert simulate_part(plan, 0).state == "done"
    before = sizes(tmp_path)
    code, text = cot_command(*options)
    assert numbers(text, "table")[1] == "904 of 5,000 rows, 1 of 2 parts"
    code, text = cot_command("simulate", "--rows", 4000, "--out", out, "--dry-run")
    assert (code, "rows is 5000, asked for 4000" in text) == (2, True)
    assert sizes(tmp_path) == before


def test_train_tells_rows_weights_and_what_goes(
    cot_command: Command, synthetic: Path, brightness_bundle, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    options = ("train", synthetic, "--out", out, "--steps", 40, "--members", 2, "--dry-run")
    code, text = cot_command(*options)
    assert code == 0, text
    assert re.search(r"40 steps over rows [\d,]+ train, [\d,]+ val, [\d,]+ test", text)
    assert f"training  {out}.training" in text
    assert list(tmp_path.iterdir()) == []

    save_bundle(brightness_bundle, out)
    (tmp_path / "model.training").mkdir()
    (tmp_path / "model.training" / "checkpoint.safetensors").write_bytes(bytes(1000))
    run = _run(TrainOptions(table=str(synthetic), out=out))
    assert [write.replaced for write in trained(run)] == [sum(sizes(out).values()), 1000]
    goes_on = trained(_run(TrainOptions(table=str(synthetic), out=out, resume=True)))[1]
    assert goes_on.replaced == 0
    assert goes_on.amount.startswith("goes on, ")

    code, text = cot_command("train", tmp_path / "none", "--out", out, "--dry-run")
    assert (code, "split=train: holds no rows" in text) == (2, True)
    (out / "notes.txt").write_text("mine")
    code, text = cot_command(*options)
    assert (code, "is not a model bundle" in text) == (2, True)


def test_a_card_would_replace_a_page(cot_command: Command, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    page.write_text("older")
    code, text = cot_command("model", "card", model, "--out", page, "--dry-run")
    assert (code, numbers(text, "card")) == (0, ["card", "1 page", "unknown", "5"])
    assert page.read_text() == "older"


@pytest.mark.parametrize("there", [False, True])
def test_the_demo_tells_its_parts(
    cot_command: Command, brightness_bundle, tmp_path: Path, there: bool
) -> None:
    out = tmp_path / "demo"
    if there:
        save_bundle(brightness_bundle, out / "small")
    before = sizes(tmp_path)
    code, text = cot_command("demo", "--out", out, "--dry-run")
    assert code == 0, text
    assert numbers(text, "table")[1] == "24,576 of 24,576 rows, 6 of 6 parts"
    assert re.search(r"archive +(\d+) of \1 scenes", text)
    assert ("\nmodel " in text) is not there
    assert sizes(tmp_path) == before
