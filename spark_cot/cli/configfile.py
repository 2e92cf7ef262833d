"""Options from YAML files, judged by their declaration (`archive.declare`).

A value is taken as the text it is written as and read by its option, as if it stood on the
command line. So nothing is declared twice, and YAML's own ideas of dates, octal numbers and
``no`` change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from spark_cot.archive.declare import Option, Options, declared
from spark_cot.errors import SetupError

#: The key that names the command a file is for.
JOB_KEY: Final = "job"
_EMPTY: Final = ("", "~", "null")


class FileOption(NamedTuple):
    """One ``key: value`` of a file; the value is None if it is neither text nor a list of texts."""

    key: str
    value: str | list[str] | None
    line: int


def read_options(path: Path, job: str, options: type[Options]) -> dict[str, str | list[str]]:
    """Values for options of the command ``job``, by field name, as text.

    Parameters
    ----------
    path : Path
        YAML file: options as on the command line, without the dashes in front; a list where an
        option is repeatable; optionally ``job: NAME``. It need not be complete.
    job : str
    options : type
        Declaration of the options.

    Raises
    ------
    SetupError
        The file cannot be read, is for another job, or has options that are unknown, wrong or
        given twice; every one of them is named.
    """
    entries = _entries(path)
    found = _job(entries)
    if found not in (None, job):
        raise SetupError(f"is for job {found!r}, expected {job!r}", str(path))
    known = _by_key(options)
    _refuse(_problems(entries, known), path)
    values = {entry.key: entry.value for entry in entries if entry.value is not None}
    return {known[key].name: value for key, value in values.items() if key != JOB_KEY}


def check_job(path: Path, jobs: Mapping[str, type[Options]]) -> str:
    """Name of the job that the file describes completely.

    Raises
    ------
    SetupError
        As for `read_options`; or no job of ``jobs`` is named, or a required option is missing.
    """
    entries = _entries(path)
    job = _job(entries)
    if job is None:
        raise SetupError("names no job", str(path), f"Write job: one of {', '.join(sorted(jobs))}")
    if job not in jobs:
        raise SetupError(f"{job!r} is no job{_guess(job, jobs)}", str(path))
    known, given = _by_key(jobs[job]), {entry.key for entry in entries}
    missing = [
        f"{key}: missing, {job} needs it"
        for key, option in known.items()
        if option.required and key not in given
    ]
    _refuse(_problems(entries, known) + missing, path)
    return job


def _entries(path: Path) -> list[FileOption]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupError(f"cannot be read: {error}", str(path)) from error
    if not isinstance(root, yaml.MappingNode):
        raise SetupError("is no mapping of options to values", str(path), "Write OPTION: VALUE")
    return [
        FileOption(_dashed(str(k.value)), _value(v), k.start_mark.line + 1) for k, v in root.value
    ]


def _value(node: yaml.Node) -> str | list[str] | None:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        items = [item.value for item in node.value if isinstance(item, yaml.ScalarNode)]
        return items if len(items) == len(node.value) else None
    return None


def _job(entries: list[FileOption]) -> str | None:
    return next((str(entry.value) for entry in entries if entry.key == JOB_KEY), None)


def _problems(entries: list[FileOption], options: Mapping[str, Option]) -> list[str]:
    """A line for each entry that the command line would refuse."""
    seen, problems = set[str](), []
    for entry in entries:
        if entry.key in seen:
            problem: str | None = "given twice"
        elif entry.key in options:
            problem = _judge(entry.value, options[entry.key])
        elif entry.key != JOB_KEY:
            problem = f"unknown option{_guess(entry.key, options)}"
        else:
            problem = None
        seen.add(entry.key)
        if problem:
            problems.append(f"line {entry.line}, {entry.key}: {problem}")
    return problems


def _judge(value: str | list[str] | None, option: Option) -> str | None:
    """What is wrong with the value; None if nothing is."""
    if value is None:
        return f"found a nested mapping or list, expected {option.expected}"
    if value in _EMPTY:
        return f"has no value, expected {option.expected}; leave it out for the default"
    return option.problem(value)


def _by_key(options: type[Options]) -> dict[str, Option]:
    return {option.key: option for option in declared(options)}


def _guess(word: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(word, sorted(known), n=1)
    return f", did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _refuse(problems: list[str], path: Path) -> None:
    if len(problems) == 1:
        raise SetupError(problems[0], str(path))
    if problems:
        raise SetupError("\n  ".join([f"{len(problems)} problems", *problems]), str(path))


def _dashed(name: str) -> str:
    return name.replace("_", "-")
