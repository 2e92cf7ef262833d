"""Configuration files are judged by the declarations of options, and nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from click.testing import CliRunner

from spark_cot.archive.declare import Argument, Options, Range, declared
from spark_cot.archive.options import ApplyOptions
from spark_cot.cli import cli, main
from spark_cot.cli.config import jobs
from spark_cot.cli.configfile import check_job, read_options
from spark_cot.errors import SetupError

JOBS = sorted((Path(__file__).parents[2] / "conf" / "jobs").glob("*.yaml"))


@dataclass(frozen=True, kw_only=True)
class BakeOptions(Options):
    """One option of each kind."""

    flour: Annotated[str, Argument()]
    heat: Annotated[int, Range(50, 250)]
    share: Annotated[float | None, Range(0, 1)] = None
    shape: Literal["round", "long"] = "round"
    seed: tuple[str, ...] = ()
    dry_run: bool = False


@pytest.fixture
def write(tmp_path: Path):
    def write_(text: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_


def problem(path: Path) -> str:
    with pytest.raises(SetupError) as error:
        check_job(path, {"bake": BakeOptions})
    return str(error.value)


WHOLE = "job: bake\nflour: rye\nheat: 220\n"


def test_a_whole_job_is_good(write) -> None:
    text = WHOLE + "share: 0.5\nshape: long\nseed: [poppy, 2024-01-01, no]\ndry-run: yes\n"
    path = write(text)
    assert check_job(path, {"bake": BakeOptions}) == "bake"
    assert read_options(path, "bake", BakeOptions) == {
        "flour": "rye",
        "heat": "220",
        "share": "0.5",
        "shape": "long",
        "seed": ["poppy", "2024-01-01", "no"],
        "dry_run": "yes",
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shape: square", "line 4, shape: found 'square', expected one of round, long"),
        ("share: 1.5", "line 4, share: found '1.5', expected a number from 0 to 1"),
        ("share: -1", "line 4, share: found '-1', expected a number from 0 to 1"),
        ("share: much", "line 4, share: found 'much', expected a number from 0 to 1"),
        ("share:", "line 4, share: has no value, expected a number from 0 to 1"),
        ("share: null", "line 4, share: has no value, expected a number from 0 to 1"),
        ("dry-run: perhaps", "line 4, dry-run: found 'perhaps', expected true or false"),
        ("seed: poppy", "line 4, seed: found 'poppy', expected a list, each text"),
        ("shape: [round]", "line 4, shape: found ['round'], expected one of round, long"),
        (
            "shape: {a: round}",
            "line 4, shape: found a nested mapping or list, expected one of round, long",
        ),
        ("shap: long", "line 4, shap: unknown option, did you mean shape?"),
        ("x: 1", "line 4, x: unknown option; known are dry-run, flour, heat, seed, shape, share"),
        ("config: a.yaml", "line 4, config: unknown option"),
        ("heat: 200", "line 4, heat: given twice"),
    ],
)
def test_a_message_names_file_line_key_found_and_expected(write, line: str, message: str) -> None:
    path = write(WHOLE + line)
    assert problem(path).startswith(f"{path}: {message}")


def test_every_problem_of_a_file_is_named(write) -> None:
    path = write("job: bake\nheat: 20\nshape: square\n")
    assert problem(path).splitlines() == [
        f"{path}: 3 problems",
        "  line 2, heat: found '20', expected a whole number from 50 to 250",
        "  line 3, shape: found 'square', expected one of round, long",
        "  flour: missing, bake needs it",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heat: 220", "names no job. Write job: one of bake"),
        ("job: bale", "'bale' is no job, did you mean bake?"),
        ("- job: bake", "is no mapping of options to values. Write OPTION: VALUE"),
        ("", "is no mapping of options to values. Write OPTION: VALUE"),
        ("job: [bake", "cannot be read: while parsing a flow sequence"),
    ],
)
def test_a_file_that_is_no_job_says_so(write, text: str, message: str) -> None:
    path = write(text)
    assert problem(path).startswith(f"{path}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.yaml") in problem(tmp_path / "none.yaml")


def test_a_file_for_another_job_is_refused(write) -> None:
    with pytest.raises(SetupError, match="is for job 'roast', expected 'bake'"):
        read_options(write("job: roast"), "bake", BakeOptions)


def test_the_command_line_wins_over_the_file(write, monkeypatch) -> None:
    """Both reach the command as the same types, which are those of Python users."""
    text = "workspace: a\nmodel: m\nthin: 0.25\nthick: 2\ntile: [31TCJ, 32TLR]\ndate: 2024-03-05\n"
    seen: list[ApplyOptions] = []
    monkeypatch.setattr("spark_cot.cli.scenes.apply", seen.append)
    arguments = ["apply", "--config", str(write(text)), "--thick", "3", "b"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert seen == [
        ApplyOptions(
            workspace=Path("b"),
            model="m",
            thin=0.25,
            thick=3.0,
            tile=("31TCJ", "32TLR"),
            date="2024-03-05",
        )
    ]


def test_config_check_judges_each_file_and_exits_with_2_if_one_is_wrong(write, capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["config", "check", *map(str, JOBS)])
    capsys.readouterr()
    wrong = write("job: ingest\narchive: a\nout: w\nresolution: 30\n")
    with pytest.raises(SystemExit, match="2"):
        main(["config", "check", str(JOBS[0]), str(wrong)])
    printed = capsys.readouterr().err
    assert f"good  {JOBS[0]}: apply" in printed
    assert f"wrong {wrong}: line 4, resolution: found '30', expected one of 10, 20, 60" in printed


def test_there_is_a_file_for_every_job() -> None:
    assert {path.stem for path in JOBS} == set(jobs()) - {"demo"}  # nobody schedules that


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_a_job_file_shows_every_option_and_its_comments_are_valid(path: Path, write) -> None:
    """An option is set, or stands there as a comment that can be switched on."""
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = {f"{option.key}:" for option in declared(jobs()[path.stem])}
    switched_on = [line.removeprefix("# ") for line in lines]
    options = [line for line in switched_on if line.split(" ")[0] in keys | {"job:"}]
    assert {line.split(" ")[0] for line in options} == keys | {"job:"}
    assert check_job(write("\n".join(options)), jobs()) == path.stem
