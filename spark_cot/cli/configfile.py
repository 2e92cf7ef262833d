"""Options from YAML files, judged by the commands that declare them.

A value is taken as the text it is written as and read by its option's own type, as if it stood
on the command line. So nothing is declared twice, and YAML's own ideas of dates, octal numbers
and ``no`` change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import yaml

from spark_cot.errors import SetupError

#: The key that names the command a file is for.
JOB_KEY: Final = "job"
_EMPTY: Final = ("", "~", "null")
_NOUNS: Final = {"integer": "a whole number", "float": "a number", "boolean": "true or false"}


class FileOption(NamedTuple):
    """One ``key: value`` of a file; the value is None if it is neither text nor a list of texts."""

    key: str
    value: str | list[str] | None
    line: int


def read_options(path: Path, command: click.Command) -> dict[str, str | list[str]]:
    """Values for options of ``command``, by parameter name.

    Parameters
    ----------
    path : Path
        YAML file: options as on the command line, without the dashes in front; a list where an
        option is repeatable; optionally ``job: NAME``. It need not be complete.
    command : click.Command

    Raises
    ------
    SetupError
        The file cannot be read, is for another job, or has options that are unknown, wrong or
        given twice; every one of them is named.
    """
    entries = _entries(path)
    job = _job(entries)
    if job not in (None, command.name):
        raise SetupError(f"is for job {job!r}, expected {command.name!r}", str(path))
    _refuse(_problems(entries, command), path)
    options = _settable(command)
    values = {entry.key: entry.value for entry in entries if entry.value is not None}
    return {options[key].name: value for key, value in values.items() if key != JOB_KEY}


def check_job(path: Path, jobs: Mapping[str, click.Command]) -> str:
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
    given = {entry.key for entry in entries}
    missing = [
        f"{key}: missing, {job} needs it"
        for key, option in _settable(jobs[job]).items()
        if option.required and key not in given
    ]
    _refuse(_problems(entries, jobs[job]) + missing, path)
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


def _problems(entries: list[FileOption], command: click.Command) -> list[str]:
    """A line for each entry that the command line would refuse."""
    options, seen, problems = _settable(command), set[str](), []
    for entry in entries:
        if entry.key in seen:
            problem: str | None = "given twice"
        elif entry.key in options:
            problem = _judge(entry.value, options[entry.key], click.Context(command))
        elif entry.key != JOB_KEY:
            problem = f"unknown option{_guess(entry.key, options)}"
        else:
            problem = None
        seen.add(entry.key)
        if problem:
            problems.append(f"line {entry.line}, {entry.key}: {problem}")
    return problems


def _judge(
    value: str | list[str] | None, option: click.Parameter, context: click.Context
) -> str | None:
    """What was found and what is expected, or None where they agree."""
    expected = f"expected {'a list, each ' if option.multiple else ''}{_expected(option.type)}"
    if value is None:
        return f"found a nested mapping or list, {expected}"
    if value in _EMPTY:
        return f"has no value, {expected}; leave it out for the default"
    if isinstance(value, list) == option.multiple:
        try:
            option.process_value(context, value)
        except click.BadParameter:
            return f"found {value!r}, {expected}"
        return None
    return f"found {value!r}, {expected}"


def _expected(kind: click.ParamType[Any]) -> str:
    """What the type takes, in words."""
    if isinstance(kind, click.Choice):
        return f"one of {', '.join(kind.choices)}"
    if isinstance(kind, click.IntRange | click.FloatRange):
        low = f" {'above' if kind.min_open else 'from'} {kind.min}" if kind.min is not None else ""
        high = f" {'below' if kind.max_open else 'to'} {kind.max}" if kind.max is not None else ""
        return f"{_NOUNS[kind.name.split()[0]]}{low}{high}"
    return _NOUNS.get(kind.name, kind.name.replace("_", " "))


def _settable(command: click.Command) -> dict[str, click.Parameter]:
    """Arguments and options by the name they have on the command line."""
    shown = (parameter for parameter in command.params if parameter.expose_value)
    return {_dashed(max(p.opts, key=len).lstrip("-")): p for p in shown}


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
