"""Options of the command line, each declared once, and the files that give their defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Final

import click

from spark_cot.cli.configfile import read_options
from spark_cot.errors import SetupError
from spark_cot.models.shipped import DEFAULT, SHIPPED, shipped_model
from spark_cot.msi import RESOLUTIONS_M
from spark_cot.plan.select import Selection
from spark_cot.safe import Downsampling
from spark_cot.storage import path_of

Command = Callable[..., int]


class LocalPath(click.Path):
    """A path of the file system: where a URL would become a folder named ``s3:``."""

    def convert(
        self,
        value: str | os.PathLike[str],
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> Path:
        """The path itself."""
        if "://" in str(value):
            self.fail(f"{value} is a URL; this option takes a path of the file system only.")
        return Path(os.fsdecode(super().convert(value, parameter, context)))


class Place(click.ParamType[Path]):
    """A path, or the ``s3://`` URL of a place in an object store."""

    name = "path or url"

    def convert(
        self, value: str | Path, _parameter: click.Parameter | None, _context: click.Context | None
    ) -> Path:
        """The path itself, or one that stands for the URL."""
        return path_of(value)


class ModelPlace(Place):
    """The name of a model that ships, or the path or URL of a bundle; a folder goes first."""

    name = "name, path or url"

    def convert(
        self, value: str | Path, parameter: click.Parameter | None, context: click.Context | None
    ) -> Path:
        """The bundle's folder."""
        place = super().convert(value, parameter, context)
        if str(value) in SHIPPED and not place.exists():
            return shipped_model(str(value))
        return place


PATH: Final = LocalPath()
PLACE: Final = Place()
MODEL: Final = ModelPlace()
COT: Final = click.FloatRange(min=0)


def date_or_range(text: str) -> str:
    """Text that `Selection.parse` takes, so that a typing error is found before Spark starts."""
    try:
        Selection.parse(dates=text)
    except SetupError as error:
        raise click.BadParameter(f"{error.what}. {error.cure}") from error
    return text


def _read_config(
    context: click.Context, _parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Make the file's values the defaults of this command's options."""
    if path is not None:
        context.default_map = read_options(path, context.command)
    return path


def _options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order of the help page."""
    return lambda command: reduce(lambda inner, wrap: wrap(inner), reversed(decorators), command)


archive_options = _options(
    click.argument("archive"),
    click.option("--out", type=PLACE, required=True, help="Workspace folder; made if missing."),
    click.option(
        "--resolution",
        type=click.Choice([str(r) for r in RESOLUTIONS_M]),
        default="20",
        show_default=True,
        help="Pixel size of the tables, metres.",
    ),
    click.option(
        "--downsampling",
        type=click.Choice([d.value for d in Downsampling]),
        default=Downsampling.EXACT.value,
        show_default=True,
        help="Bands finer than the grid: mean of all samples, or JPEG 2000 levels, faster.",
    ),
)
model_options = _options(
    click.option(
        "--model",
        type=MODEL,
        default=DEFAULT,
        show_default=True,
        help=f"Bundle folder, or one that ships: {', '.join(SHIPPED)}.",
    ),
    click.option("--thin", type=COT, help="COT of thin cloud and up [default: the model's]"),
    click.option("--thick", type=COT, help="COT of thick cloud and up [default: the model's]"),
)
tile_date_options = _options(
    click.option("--tile", multiple=True, help="Only this MGRS tile; repeatable."),
    click.option("--date", type=date_or_range, help="Only YYYY-MM-DD, or FROM:TO, both included."),
)
selection_options = _options(
    click.argument("workspace", type=PLACE),
    tile_date_options,
    click.option("--scene", multiple=True, help="Only this scene_id; repeatable."),
)
mask_option = click.option(
    "--mask-above", type=COT, help="Also write reflectance of pixels of at most this COT."
)
spark_options = _options(
    click.option("--master", help="local[*] (default), spark://host:7077, k8s://..."),
    click.option("--conf", multiple=True, help="Spark property KEY=VALUE; repeatable."),
    click.option(
        "--config",
        type=PATH,
        callback=_read_config,
        is_eager=True,
        expose_value=False,
        help="YAML file with defaults for these options.",
    ),
)
job_options = _options(
    click.option(
        "--max-failure-ratio",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Exit with 2 if a larger share of the scenes fails.",
    ),
    spark_options,
)
