"""Commands: light until they run, and what they say of a bad request."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import get_type_hints

import click
import pytest
from click.testing import CliRunner

from spark_cot.archive.options import RunOptions, SimulateOptions
from spark_cot.cli import cli
from spark_cot.cli.commands import Command

#: What no help page needs.
HEAVY = (
    "torch",
    "pyspark",
    "rasterio",
    "pyarrow",
    "numba",
    "pandas",
    "scipy",
    "matplotlib",
    "rich",
)


def loaded(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``code``."""
    script = f"import sys\n{code}\nprint('loaded', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split("loaded ")[1].split()}


def help_page(*words: str) -> str:
    """Code that shows a help page and goes on."""
    return (
        "from spark_cot.cli import main\n"
        f"try: main({[*words, '--help']})\n"
        "except SystemExit as end: assert end.code == 0\n"
    )


def commands(group: click.Group = cli) -> Iterator[Command]:
    for command in group.commands.values():
        if isinstance(command, Command):
            yield command
        if isinstance(command, click.Group):
            yield from commands(command)


every_command = pytest.mark.parametrize("command", list(commands()), ids=lambda c: c.code)


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded("import spark_cot").isdisjoint({*HEAVY, "numpy", "click", "yaml"})


def test_the_help_page_of_all_commands_loads_nothing_heavy() -> None:
    assert loaded(help_page()).isdisjoint({*HEAVY, "numpy", "yaml"})


@pytest.mark.parametrize("words", ["run", "reprocess", "status", "demo", "simulate", "model show"])
def test_the_help_page_of_a_command_loads_nothing_heavy(words: str) -> None:
    assert loaded(help_page(*words.split())).isdisjoint({*HEAVY, "numpy", "yaml"})


def test_what_the_package_offers_is_there_when_asked_for() -> None:
    code = (
        "import spark_cot.safe.search\n"
        "from spark_cot import __version__\n"
        "from spark_cot.safe import discover\n"
        "from spark_cot.models import load_bundle\n"
        "assert __version__ and callable(discover) and callable(load_bundle)\n"
    )
    assert {"spark_cot", "safetensors"} <= loaded(code)
    with pytest.raises(ImportError, match="load_nothing"):
        from spark_cot.models import load_nothing  # type: ignore[attr-defined]  # noqa: F401


@every_command
def test_the_code_of_a_command_takes_its_options_and_gives_an_exit_code(command: Command) -> None:
    module, _, name = command.code.partition(":")
    hints = get_type_hints(getattr(import_module(module), name))
    assert hints == {"options": command.options, "return": int}


def run(*arguments: str) -> str:
    """What a bad request is answered."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    return result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--resolution 30",
            "Invalid value for '--resolution': '30' is not one of '10', '20', '60'",
        ),
        ("--thin -1", "Invalid value for '--thin': -1.0 is not in the range x>=0"),
        ("--thin x", "Invalid value for '--thin': 'x' is not a valid float range"),
        (
            "--out ftp://x",
            "Invalid value for '--out': ftp://x: is no path and no s3:// URL. Give s3",
        ),
        (
            "--config s3://x/y",
            "'--config': s3://x/y is a URL; this option takes a path of the file",
        ),
        ("--thik 1", "No such option '--thik'"),
        ("", "Missing option '--out'"),
    ],
)
def test_a_bad_request_names_the_option(options: str, message: str) -> None:
    assert message in run("run", "archive", *options.split())


def test_a_date_is_read_before_anything_starts() -> None:
    message = "Invalid value for '--date': '2024-13' is no date or range of dates. Write 2024-03-05"
    assert message in run("apply", "workspace", "--date", "2024-13")


def test_simulate_needs_its_options_unless_a_sub_command_is_called() -> None:
    assert "Give --rows and --out, or the sub-command validate." in run("simulate", "--rows", "9")
    assert CliRunner().invoke(cli, ["simulate", "validate", "--help"]).exit_code == 0


def test_flags_and_repeated_options_reach_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("spark_cot.cli.scenes.run", seen.append)
    monkeypatch.setattr("spark_cot.cli.simulate.simulate", seen.append)
    line = "run archive --out w --resolution 10 --conf a=b --conf c=d --mask-above 2"
    assert CliRunner().invoke(cli, line.split()).exit_code == 0
    line = "simulate --rows 9 --out table --plot"
    assert CliRunner().invoke(cli, line.split()).exit_code == 0
    assert seen == [
        RunOptions(archive="archive", out="w", resolution=10, conf=("a=b", "c=d"), mask_above=2),
        SimulateOptions(rows=9, out="table", plot=True),
    ]


def test_the_version_is_the_installed_one() -> None:
    from spark_cot import __version__

    assert CliRunner().invoke(cli, ["--version"], prog_name="spark-cot").output == (
        f"spark-cot, version {__version__}\n"
    )


def test_a_model_is_judged_with_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_cot.simulate.dataset import simulate_block
    from spark_cot.simulate.validate import Report

    def rows_alone(**options: object) -> Report:
        return Report(tuple(options["judge"](simulate_block(3, 0))))  # type: ignore[operator]

    monkeypatch.setattr("spark_cot.cli.simulate.validate_simulator", rows_alone)
    result = CliRunner().invoke(cli, ["simulate", "validate", "--model", "student"])
    lines = [
        line for line in result.output.splitlines() if "student, water cloud of COT 1-2" in line
    ]
    assert [line.split(": ")[1].split(" | ")[0] for line in lines] == [
        "median estimate over truth",
        "errors within one cot_std",
    ]
