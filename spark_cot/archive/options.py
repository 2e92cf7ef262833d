"""Options of every command: what can be asked for, declared once.

The command line, YAML files and Python share them::

    from spark_cot.archive.options import RunOptions
    from spark_cot.archive.run import run

    run(spark, RunOptions(archive="archive", out=Path("workspace"), model="cot12"))

An option is one line here: name, type, what it may be, help and default (`archive.declare`).
Groups of options that commands share come first. Nothing heavy is loaded before it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from spark_cot.archive.declare import Argument, Form, OneOf, Options, Range, text
from spark_cot.errors import SetupError
from spark_cot.models.shipped import DEFAULT, SHIPPED, default_model, shipped_model
from spark_cot.msi import RESOLUTIONS_M
from spark_cot.safe.downsampling import Downsampling
from spark_cot.secrets import HIDDEN, is_secret

if TYPE_CHECKING:
    from spark_cot.models.bundle import Bundle
    from spark_cot.models.classes import Thresholds
    from spark_cot.plan.select import Selection


def _local_path(value: str | Path) -> Path:
    """A path of the file system, where a URL would become a folder named ``s3:``."""
    if "://" in str(value):
        raise SetupError(f"{value} is a URL; this option takes a path of the file system only")
    return Path(value)


def _place(value: str | Path) -> Path:
    from upath import UPath

    from spark_cot.storage import path_of

    if not isinstance(value, str | Path | UPath):
        raise TypeError(value)
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        raise SetupError("is no UTF-8, which tables need", str(value), "Rename it") from error
    return path_of(value)


def _bundle_folder(value: str | Path) -> Path:
    """A bundle's folder: the one of that name if there is one, else the model that ships."""
    place = _place(value)
    return shipped_model(str(value)) if str(value) in SHIPPED and not place.exists() else place


def _dates(value: str) -> str:
    """The same text, tried, so that a typing error is found before Spark starts."""
    from spark_cot.plan.select import Selection

    if not isinstance(value, str):
        raise TypeError(value)
    Selection.parse(dates=value)
    return value


def _recipes() -> Iterable[str]:
    from spark_cot.learn.recipe import RECIPES

    return RECIPES


def _regions() -> Iterable[str]:
    from spark_cot.simulate.world.cover import REGIONS

    return REGIONS


def _property(value: str) -> str:
    if "=" not in value:
        raise SetupError(f"{value!r} is no Spark property", "--conf", "Write KEY=VALUE")
    return value


def _cot_or_none(value: float | str) -> float | str:
    if value == NO_MASK:
        return NO_MASK
    number = float(value)
    if not number >= 0:
        raise ValueError(value)
    return number


LOCAL_PATH: Final = Form("path", _local_path)

#: Asks for no masked reflectance where a workspace has had it so far.
NO_MASK: Final = "none"

Cot = Annotated[float, Range(0)]
CotOrNone = Annotated[float | str, Form("a number from 0, or none", _cot_or_none)]
Resolution = Annotated[int, OneOf(lambda: RESOLUTIONS_M)]
Recipe = Annotated[str, OneOf(_recipes)]
Region = Annotated[str, OneOf(_regions)]
LocalPath = Annotated[Path, LOCAL_PATH]
Place = Annotated[Path, Form("path or url", _place)]
SparkProperty = Annotated[str, Form("KEY=VALUE", _property)]
Model = Annotated[str | Path, Form("name, path or url", _bundle_folder)]


@dataclass(frozen=True, kw_only=True)
class SparkOptions(Options):
    """How Spark is started; a function that is given a session does not look at them."""

    master: Annotated[str | None, "local[*] (default), spark://host:7077, k8s://..."] = None
    conf: Annotated[tuple[SparkProperty, ...], "Spark property KEY=VALUE; repeatable."] = ()

    @property
    def properties(self) -> dict[str, str]:
        """Spark properties by name."""
        return dict(pair.split("=", 1) for pair in self.conf)

    def given(self) -> dict[str, str]:
        """As `Options.given`, without the values of Spark properties that Spark would not show."""
        pattern = self.properties.get("spark.redaction.regex", "")
        shown = [
            f"{name}={HIDDEN if is_secret(name, pattern) else value}"
            for name, value in self.properties.items()
        ]
        return super().given() | ({"conf": text(tuple(shown))} if shown else {})


@dataclass(frozen=True, kw_only=True)
class JobOptions(SparkOptions):
    """A job over scenes, of which some may fail."""

    max_failure_ratio: Annotated[
        float, Range(0, 1), "Exit with 2 if a larger share of ten or more scenes fails."
    ] = 0.5
    change_options: Annotated[
        bool, "Go over to other options than the workspace was made with so far."
    ] = False
    dry_run: Annotated[bool, "Print the plan, its scenes and bytes; write nothing."] = False


@dataclass(frozen=True, kw_only=True)
class DryRunOptions(Options):
    """A command that can say what it would write."""

    dry_run: Annotated[
        bool, "Print what would be written, where, and in place of what; write nothing."
    ] = False


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions(Options):
    """From an archive into a workspace."""

    archive: Annotated[str, Argument()]
    out: Annotated[Place, "Workspace folder; made if missing."]
    resolution: Annotated[
        Resolution | None, "Pixel size of the tables, metres [default: the workspace's, else 20]"
    ] = None
    downsampling: Annotated[
        Downsampling | None,
        "Bands finer than the grid: exact, mean of all samples, or level, JPEG 2000 levels, faster "
        "[default: the workspace's, else exact]",
    ] = None


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """A model."""

    model: Annotated[
        Model | None,
        f"Bundle folder, or one that ships: {', '.join(SHIPPED)} "
        f"[default: the workspace's, else {DEFAULT}]",
    ] = None

    @cached_property
    def bundle(self) -> Bundle:
        """The model, that of new workspaces where none is asked for; ModelError if it is unfit."""
        from spark_cot.models.bundle import load_bundle

        return load_bundle(default_model() if self.model is None else self.model)


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions(Options):
    """The COT from which a pixel is thin and thick cloud."""

    thin: Annotated[
        Cot | None, "COT of thin cloud and up [default: the workspace's, else the model's]"
    ] = None
    thick: Annotated[
        Cot | None, "COT of thick cloud and up [default: the workspace's, else the model's]"
    ] = None


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ModelOptions, ThresholdOptions):
    """A model, and the thresholds of its classes."""

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds asked for, the model's own where none are."""
        from spark_cot.models.classes import Thresholds

        own = self.bundle.thresholds
        return Thresholds(
            own.thin if self.thin is None else self.thin,
            own.thick if self.thick is None else self.thick,
        )


@dataclass(frozen=True, kw_only=True)
class MaskOptions(Options):
    """Reflectance of clear pixels."""

    mask_above: Annotated[
        CotOrNone | None,
        "Also write reflectance of pixels of at most this COT, or none "
        "[default: the workspace's, else none]",
    ] = None

    @property
    def mask(self) -> float | None:
        """The COT up to which reflectance is written; None for no such table."""
        return self.mask_above if isinstance(self.mask_above, float) else None


@dataclass(frozen=True, kw_only=True)
class StagesOptions(ArchiveOptions, ClassifyOptions, MaskOptions):
    """All stages over an archive."""


@dataclass(frozen=True, kw_only=True)
class TileDateOptions(Options):
    """Scenes of these tiles and dates."""

    tile: Annotated[tuple[str, ...], "Only this MGRS tile; repeatable."] = ()
    date: Annotated[
        str | None,
        Form("date or range", _dates),
        "Only YYYY-MM-DD, or FROM:TO, both included.",
    ] = None

    @property
    def selection(self) -> Selection:
        """The scenes asked for."""
        from spark_cot.plan.select import Selection

        return Selection.parse(self.tile, self.date)


@dataclass(frozen=True, kw_only=True)
class WorkspaceOptions(Options):
    """A workspace that is there."""

    workspace: Annotated[Place, Argument()]


@dataclass(frozen=True, kw_only=True)
class SceneOptions(Options):
    """Scenes by name."""

    scene: Annotated[tuple[str, ...], "Only this scene_id; repeatable."] = ()


@dataclass(frozen=True, kw_only=True)
class IndexedOptions(WorkspaceOptions, TileDateOptions, SceneOptions):
    """Scenes in the index of a workspace."""

    @property
    def selection(self) -> Selection:
        """The scenes asked for."""
        from spark_cot.plan.select import Selection

        return Selection.parse(self.tile, self.date, self.scene)


@dataclass(frozen=True, kw_only=True)
class LimitOptions(Options):
    """How much of a plan is carried out."""

    order: Annotated[Literal["newest", "oldest"], "Which scenes come first."] = "newest"
    max_scenes: Annotated[int | None, Range(0), "Work on this many at most."] = None
    retry_failed: Annotated[
        int, Range(0), "How often what failed is tried again while nothing changes."
    ] = 3


@dataclass(frozen=True, kw_only=True)
class DemoOptions(ModelOptions, DryRunOptions, SparkOptions):
    """Show the whole story on simulated scenes of known thickness; a few minutes, no network.

    Simulates a table and trains a small model on it, simulates an archive, applies a model to it,
    and reports how near its maps come to the truth. Run again, it keeps what is there.
    """

    out: Annotated[LocalPath, "Folder of the demo; made if missing."]
    seed: Annotated[int, Range(0), "Of all draws."] = 7


@dataclass(frozen=True, kw_only=True)
class RunOptions(StagesOptions, JobOptions):
    """Ingest ARCHIVE, apply a model and write products: the main job, with a report.

    ARCHIVE is a folder tree, a glob, a list file, or one L1C product (.SAFE or .zip).
    """


@dataclass(frozen=True, kw_only=True)
class IngestOptions(ArchiveOptions, JobOptions):
    """Bring the L1C products of ARCHIVE into the pixel table and the scene index.

    ARCHIVE is a folder tree, a glob, a list file, or one L1C product (.SAFE or .zip).
    """


@dataclass(frozen=True, kw_only=True)
class ApplyOptions(IndexedOptions, ClassifyOptions, JobOptions):
    """Give every pixel in the pixel table of WORKSPACE a COT, its uncertainty and a class."""


@dataclass(frozen=True, kw_only=True)
class ProductsOptions(IndexedOptions, MaskOptions, JobOptions):
    """Write COGs, quicklook and STAC item of the scenes in WORKSPACE that have a COT."""


@dataclass(frozen=True, kw_only=True)
class ReprocessOptions(StagesOptions, TileDateOptions, LimitOptions, JobOptions):
    """Process what is new, changed, outdated or unfinished in ARCHIVE: the job for a schedule.

    ARCHIVE is a folder tree, a glob, a list file, or one L1C product (.SAFE or .zip).
    """


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(WorkspaceOptions, SparkOptions):
    """Check WORKSPACE against its log and index; the exit code is 1 if something is wrong."""

    quick: Annotated[bool, "Compare sizes and footers, no checksums."] = False
    repair: Annotated[
        bool, "Set aside what commits missing or damaged results: the next run makes them anew."
    ] = False


@dataclass(frozen=True, kw_only=True)
class RepairOptions(WorkspaceOptions):
    """Make the log and the scene index of WORKSPACE anew from what its tables and products say.

    Without --yes it shows what it would do, and the exit code is 1 if there is anything to do.
    Tables and products stay as they are.
    """

    yes: Annotated[bool, "Do it."] = False
    json: Annotated[bool, "Print JSON."] = False


@dataclass(frozen=True, kw_only=True)
class VacuumOptions(WorkspaceOptions, SparkOptions):
    """Remove from WORKSPACE what no commit owns: orphans, and what killed runs left behind.

    Symbolic links stay, with what is behind them. Nothing is removed while an owner of files
    cannot be read.
    """

    older_than: Annotated[
        float, Range(0), "Remove only what has not been written to for so many days."
    ] = 7.0
    max_share: Annotated[
        float, Range(0, 1), "Refuse to remove a larger share of the bytes of the tables."
    ] = 0.2
    force: Annotated[bool, "Remove a larger share too."] = False
    dry_run: Annotated[bool, "Print what would be removed, remove nothing."] = False


@dataclass(frozen=True, kw_only=True)
class StatusOptions(WorkspaceOptions):
    """Print what WORKSPACE holds: coverage, failures, models, disk used, last runs."""

    json: Annotated[bool, "Print JSON."] = False


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(DryRunOptions, SparkOptions):
    """Make the synthetic table of reflectances under clouds of known thickness."""

    rows: Annotated[int, "Rows of the table."]
    seed: Annotated[int, Range(0), "Of all draws."] = 7
    region: Annotated[Region, "Land cover that the ground is drawn from."] = "world"
    out: Annotated[LocalPath, "Folder of the table; made if missing."]
    plot: Annotated[bool, "Also draw the rows and the physics, in OUT.simulation/plots."] = False


@dataclass(frozen=True, kw_only=True)
class ValidateOptions(Options):
    """Measure the simulator against published solutions and other codes; about ten minutes.

    The comparisons need the packages of the dev extra.
    """

    table: Annotated[LocalPath | None, "Synthetic table to judge; else rows are made."] = None
    rows: Annotated[int, "Rows to make."] = 36_000
    columns: Annotated[int, "Compared with DISORT."] = 100
    ensemble: Annotated[LocalPath | None, "Published ensemble's .npz, for rank correlation."] = None
    learn: Annotated[bool, "Also train a small network on the rows."] = False
    model: Annotated[Model | None, "Model to judge by kind of cloud, on the test rows."] = None
    out: Annotated[LocalPath | None, "Markdown file for the report, besides the terminal."] = None


@dataclass(frozen=True, kw_only=True)
class TrainOptions(DryRunOptions, SparkOptions):
    """Train a model on TABLE, a folder with split=train, split=val and split=test.

    Starts --ranks processes on this machine; under torchrun it is one of the ranks itself.
    Checkpoint, metrics and curves go to OUT.training.
    """

    table: Annotated[str, Argument()]
    out: Annotated[LocalPath, "Bundle folder to write."]
    recipe: Annotated[Recipe, "Model."] = "cot12"
    bands: Annotated[str | None, "Train on these bands, B02,B03,... [default: the recipe's]"] = None
    members: Annotated[int | None, Range(1), "Networks of the ensemble [the recipe's]"] = None
    steps: Annotated[int | None, Range(1), "Steps of the optimiser [the recipe's]"] = None
    batch_rows: Annotated[int | None, Range(1), "Rows per step [the recipe's]"] = None
    seed: Annotated[int, Range(1), "Of all draws."] = 1
    teacher: Annotated[Model | None, "Bundle whose predictions are learned."] = None
    unlabelled: Annotated[str | None, "Pixel table that the teacher labels beside TABLE."] = None
    ranks: Annotated[int, Range(1), "Processes."] = 1
    spark: Annotated[bool, "Start the ranks on the executors of a Spark cluster."] = False
    resume: Annotated[bool, "Go on from the last checkpoint, if there is one."] = False
    checkpoint_every: Annotated[int, Range(1), "Steps."] = 500
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], "Of matrix products; auto is bf16 on GPUs that have it."
    ] = "auto"
    compile: Annotated[bool, "Fuse the model with torch.compile."] = False
    threads: Annotated[int | None, Range(1), "CPU threads per rank [a fair share]"] = None
    stream: Annotated[
        Literal["petastorm", "pyarrow"],
        "What reads TABLE; the batches are the same, and pyarrow needs no Petastorm.",
    ] = "petastorm"


@dataclass(frozen=True, kw_only=True)
class ImportOptions(DryRunOptions):
    """Turn published weights into a bundle; nothing pickled is executed.

    SOURCE is the ensemble's .npz file, or its PyTorch checkpoints, or their folder.
    """

    source: Annotated[tuple[LocalPath, ...], Argument()]
    out: Annotated[LocalPath, "Bundle folder to write."]
    name: Annotated[str | None, "Name of the model [default: from SOURCE]"] = None


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Options):
    """Print what BUNDLE, a folder or a model that ships, is: inputs, thresholds, scores, hash."""

    bundle: Annotated[Model, Argument()]


@dataclass(frozen=True, kw_only=True)
class CardOptions(DryRunOptions):
    """Write the card of BUNDLE, a folder or a model that ships, as one HTML page.

    It says what the model is, and how it reads clouds of known thickness over known grounds.
    """

    bundle: Annotated[Model, Argument()]
    out: Annotated[LocalPath, "HTML file to write."]
    table: Annotated[LocalPath | None, "Synthetic table; its test rows show where it errs."] = None


@dataclass(frozen=True, kw_only=True)
class CheckOptions(Options):
    """Say of each FILE whether it describes a whole job; the exit code is 2 if one does not.

    A file names its command, ``job: run``, and gives its options as on the command line.
    """

    file: Annotated[tuple[LocalPath, ...], Argument()]
