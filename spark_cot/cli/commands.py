"""Click commands from the declarations of their options.

A help page is made from the declaration alone. The code of a command, and all that it needs, is
loaded when the command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from spark_cot.archive.declare import Form, Option, Options, declared, text
from spark_cot.archive.options import LOCAL_PATH, SparkOptions

_TYPES: Final[Mapping[type, click.ParamType[Any]]] = {
    str: click.STRING,
    int: click.INT,
    float: click.FLOAT,
    bool: click.BOOL,
}
_RANGES: Final[Mapping[type, Callable[..., click.ParamType[Any]]]] = {
    int: click.IntRange,
    float: click.FloatRange,
}


class _Form(click.ParamType[Any]):
    """Values of an option that reads texts of its own form."""

    def __init__(self, option: Option, form: Form) -> None:
        self.option, self.name = option, form.name

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """The value that the text stands for."""
        if problem := self.option.problem(value):
            self.fail(problem, parameter, context)
        return self.option.take(value)

    def shell_complete(
        self, _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of files."""
        return [CompletionItem(incomplete, type="file")]


class Command(click.Command):
    """A command whose parameters are those of a declaration, made when they are first needed.

    Parameters
    ----------
    name : str
    options : type
        Declaration of its options.
    code : str
        ``module:function`` that takes the options and returns the exit code.
    """

    def __init__(self, name: str, options: type[Options], code: str, **settings: Any) -> None:
        super().__init__(name, help=options.__doc__, callback=self.run, **settings)
        self.options, self.code = options, code

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """Arguments and options, and ``--help``."""
        self.params = self.params or _parameters(self.options)
        return super().get_params(context)

    def run(self, **values: Any) -> int:
        """Exit code of the command with these values of its options."""
        module, _, function = self.code.partition(":")
        code: int = getattr(import_module(module), function)(self.options(**values))
        return code


class CommandGroup(Command, click.Group):
    """A command that has sub-commands as well, which need none of its options."""

    def __init__(
        self, name: str, options: type[Options], code: str, commands: list[click.Command]
    ) -> None:
        super().__init__(name, options, code, commands=commands, invoke_without_command=True)

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """Its own parameters, of which none must be given when a sub-command is."""
        parameters = super().get_params(context)
        for parameter in parameters:
            if isinstance(parameter, click.Option) and parameter.required:
                parameter.required = False
                parameter.help = f"{parameter.help}  [required]"
        return parameters

    def run(self, **values: Any) -> int:
        """Exit code of the command itself; 0 where it is the sub-command's turn."""
        if click.get_current_context().invoked_subcommand:
            return 0
        needed = [option for option in declared(self.options) if option.required]
        if any(values[option.name] is None for option in needed):
            flags = " and ".join(option.flag for option in needed)
            raise click.UsageError(
                f"Give {flags}, or the sub-command {' or '.join(self.commands)}."
            )
        return super().run(**values)


def _parameters(options: type[Options]) -> list[click.Parameter]:
    config = [_config(options)] if issubclass(options, SparkOptions) else []
    return [*map(_parameter, declared(options)), *config]


def _parameter(option: Option) -> click.Parameter:
    kind = _type(option.each)
    if option.positional:
        count = -1 if option.repeatable else 1
        return click.Argument([option.name], type=kind, nargs=count, required=option.required)
    settings: dict[str, Any] = {"help": option.help, "required": option.required}
    if option.kind is bool:
        settings |= {"is_flag": True}
    elif option.repeatable:
        settings |= {"type": kind, "multiple": True}
    elif option.default in (MISSING, None):
        settings |= {"type": kind}
    else:
        settings |= {"type": kind, "default": text(option.default), "show_default": True}
    return click.Option([f"--{option.key}", option.name], **settings)


def _type(option: Option) -> click.ParamType[Any]:
    if option.choices:
        return click.Choice(list(option.choices))
    if option.form:
        return _Form(option, option.form)
    if option.range:
        return _RANGES[option.kind](option.range.low, option.range.high)
    return _TYPES[option.kind]


def _config(options: type[Options]) -> click.Option:
    """``--config FILE``: the file's values are the defaults of the other options."""

    def read(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        from spark_cot.cli.configfile import read_options

        if path is not None:
            context.default_map = read_options(path, str(context.command.name), options)

    file = Option("config", Path, (LOCAL_PATH, "YAML file with defaults for these options."), None)
    return click.Option(
        ["--config"],
        type=_type(file),
        callback=read,
        is_eager=True,
        expose_value=False,
        help=file.help,
    )
