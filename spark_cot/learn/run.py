"""A training run: recipe, table, and where to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from spark_cot.learn.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What to train, on what, and where to.

    Attributes
    ----------
    recipe : Recipe
    table : str
        Folder or URL with ``split=train``, ``split=val`` and ``split=test``, columns as in the
        synthetic table.
    out : Path
        Bundle to write; checkpoint, metrics, curves and the trained weights go to
        ``<out>.training`` beside it.
    teacher : Path, optional
        Bundle whose predictions are learned in place of the labels.
    unlabelled : str, optional
        Pixel table whose rows the teacher also labels, as many as labelled ones.
    resume : bool
        Go on from the checkpoint, if there is one.
    checkpoint_every : int
        Steps between checkpoints.
    precision : {"auto", "fp32", "bf16"}
        Of the matrix products; auto is bf16 on GPUs that have it.
    compile : bool
        Let torch.compile fuse the model; needs a C++ compiler on CPUs.
    threads : int, optional
        CPU threads per rank; by default the cores are shared out.
    stream : {"petastorm", "pyarrow"}
        What reads the rows; they come in the same batches.
    """

    recipe: Recipe
    table: str
    out: Path
    teacher: Path | None = None
    unlabelled: str | None = None
    resume: bool = False
    checkpoint_every: int = 500
    precision: str = "auto"
    compile: bool = False
    threads: int | None = None
    stream: str = "petastorm"

    @property
    def folder(self) -> Path:
        """Folder of checkpoint, metrics, curves and trained weights."""
        return self.out.with_name(f"{self.out.name}.training")

    @property
    def checkpoint(self) -> Path:
        """File that the run goes on from."""
        return self.folder / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """Bundle that training ends with; its thresholds are none of its own yet."""
        return self.folder / "weights"

    def split(self, name: str) -> str:
        """Location of a split of the table."""
        return f"{self.table.rstrip('/')}/split={name}"

    def absolute(self) -> TrainingRun:
        """The same run for processes with another working folder."""
        return replace(
            self,
            table=_absolute(self.table),
            out=self.out.absolute(),
            teacher=self.teacher and self.teacher.absolute(),
            unlabelled=self.unlabelled and _absolute(self.unlabelled),
        )


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).absolute())
