"""How options are declared: once, for the command line, YAML files and Python.

An option is a field of a frozen dataclass. Its annotation says what the option may be, and its
line of help; without a default it must be given::

    @dataclass(frozen=True, kw_only=True)
    class OvenOptions(Options):
        heat: Annotated[int, Range(50, 250), "Degrees Celsius."] = 220

    @dataclass(frozen=True, kw_only=True)
    class BakeOptions(OvenOptions):
        flour: Annotated[str, Argument()]
        shape: Annotated[Literal["round", "long"], "Of the bread."] = "round"
        seeds: Annotated[tuple[str, ...], "To put on it; repeatable."] = ()

Values are checked when the dataclass is made, wherever they come from. Text is taken for the value
that it says: ``heat="220"`` is 220.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, replace
from enum import Enum
from inspect import get_annotations
from operator import index
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from spark_cot.errors import SetupError

_Mark = TypeVar("_Mark")

_NOUNS: Final = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off"})


@dataclass(frozen=True)
class Argument:
    """Mark of an option that has no name on the command line, but a place."""


@dataclass(frozen=True)
class Range:
    """Mark of a number from ``low`` to ``high``, both included; None is no bound."""

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        low = "" if self.low is None else f" from {self.low}"
        return low if self.high is None else f"{low} to {self.high}"

    def __contains__(self, number: float) -> bool:
        low = -math.inf if self.low is None else self.low
        return low <= number <= (math.inf if self.high is None else self.high)


@dataclass(frozen=True)
class OneOf:
    """Mark of a value that is one of those that ``values`` gives when it is called."""

    values: Callable[[], Iterable[Any]]


@dataclass(frozen=True)
class Form:
    """Mark of a value that ``read`` makes of a text, or of such a value itself.

    Attributes
    ----------
    name : str
        What the text is, in words.
    read : callable
        It raises SetupError for a text of another form, TypeError for what cannot be one.
    """

    name: str
    read: Callable[[Any], Any]


@dataclass(frozen=True)
class Option:
    """One option, read from its declaration.

    Attributes
    ----------
    name : str
        Of the field.
    kind : type
        Of the value; of each of the values if there may be several.
    marks : tuple
        The other parts of the annotation.
    default : object
        ``dataclasses.MISSING`` where a value must be given.
    """

    name: str
    kind: type
    marks: tuple[Any, ...]
    default: Any

    @property
    def key(self) -> str:
        """Its name on the command line, without dashes in front, and in YAML files."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """How messages call it."""
        return self.name.upper() if self.positional else f"--{self.key}"

    @property
    def help(self) -> str:
        """The line of the help page."""
        return self._mark(str) or ""

    @property
    def positional(self) -> bool:
        """Whether it has a place on the command line, and no name."""
        return self._mark(Argument) is not None

    @property
    def repeatable(self) -> bool:
        """Whether it takes several values."""
        return tuple in self.marks

    @property
    def each(self) -> Option:
        """The option for each of its values."""
        return replace(self, marks=tuple(mark for mark in self.marks if mark is not tuple))

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    @property
    def range(self) -> Range | None:
        """Bounds of a number, if there are any."""
        return self._mark(Range)

    @property
    def form(self) -> Form | None:
        """How a text is read, if that takes more than its type."""
        return self._mark(Form)

    @property
    def choices(self) -> dict[str, Any]:
        """Values that it may have, by the text that says them; empty if there are others."""
        one_of = self._mark(OneOf)
        return {text(value): value for value in one_of.values()} if one_of else {}

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        if self.repeatable:
            return f"a list, each {self.each.expected}"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return self.form.name if self.form else f"{_NOUNS[self.kind]}{self.range or ''}"

    def take(self, value: Any) -> Any:
        """The value that ``value``, or a text, stands for.

        Raises
        ------
        SetupError
            It is no such value.
        """
        if value is None and self.default is None:
            return None
        if self.repeatable:
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise self._unfit(value)
            return tuple(self.each.take(item) for item in value)
        try:
            read = self._read(value)
        except (KeyError, TypeError, ValueError):
            raise self._unfit(value) from None
        if self.range and read not in self.range:
            raise self._unfit(value)
        return read

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value; None if nothing is."""
        try:
            self.take(value)
        except SetupError as error:
            return str(error).removeprefix(f"{self.flag}: ")
        return None

    def _read(self, value: Any) -> Any:
        if self.form:
            return self.form.read(value)
        if self.choices:
            return self.choices[text(value)]
        if self.kind is bool:
            return _truth(value)
        if self.kind is int:
            return int(value) if isinstance(value, str) else index(value)
        if self.kind is float:
            return float(value)
        if not isinstance(value, self.kind):
            raise TypeError
        return value

    def _unfit(self, value: Any) -> SetupError:
        return SetupError(f"found {value!r}, expected {self.expected}", self.flag)

    def _mark(self, kind: type[_Mark]) -> _Mark | None:
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options of commands; the docstring of each is its command's help page.

    Raises
    ------
    SetupError
        A value is not what its option takes.
    """

    def __post_init__(self) -> None:
        for option in declared(type(self)):
            object.__setattr__(self, option.name, option.take(getattr(self, option.name)))

    def given(self) -> dict[str, str]:
        """Options that have a value, as text by name; flags only if they are set."""
        values = {option.name: getattr(self, option.name) for option in declared(type(self))}
        return {
            name: text(value)
            for name, value in values.items()
            if value not in (None, ()) and value is not False
        }


def declared(options: type[Options]) -> tuple[Option, ...]:
    """Options of a command: its own first, then those of each base in turn."""
    hints = get_type_hints(options, include_extras=True)
    by_name = {field.name: field for field in fields(options)}
    order = dict.fromkeys(name for base in options.__mro__ for name in get_annotations(base))
    return tuple(_option(by_name[name], hints[name]) for name in order if name in by_name)


def text(value: object) -> str:
    """How a value is written on the command line."""
    if isinstance(value, tuple):
        return ", ".join(map(text, value))
    return str(value.value if isinstance(value, Enum) else value)


def _option(field: Field[Any], hint: Any) -> Option:
    *marks, kind = _parts(hint)
    return Option(field.name, kind, tuple(marks), field.default)


def _parts(hint: Any) -> Iterator[Any]:
    """What an annotation is made of: its marks, ``tuple`` where it is one, and the type last."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from hint.__metadata__
    elif origin is Literal:
        yield OneOf(lambda: get_args(hint))
        arguments = (type(arguments[0]),)
    elif origin is tuple:
        yield tuple
    elif isinstance(hint, type) and issubclass(hint, Enum):
        yield OneOf(lambda: hint)
    if not arguments:
        yield hint
        return
    yield from _parts(next(part for part in arguments if part is not NoneType))


def _truth(value: object) -> bool:
    word = text(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE
