"""Break a run at every write and every read, and compare with an undisturbed one what comes of it.

    python tests/benchmarks/faults.py [--kinds kill,power,read,backup] [--scenes 1] [--every 1]

The whole of `run` works in this process, with a plain loop in the place of Spark, on scenes of
32 x 32 pixels; what it decodes and draws is remembered, so that a case takes a tenth of a second.
All that it asks of the file system goes through a `Disk`, which counts, and

kill    ends the process before a write, for every write of a first run and of one that replaces
        everything: that is after every write too.
power   does the same and cuts the power: files that were not flushed are empty, or names that were
        not flushed in their folder are those of before.
read    fails one read, for every read of vacuum, verify, plan and of an idle run.
backup  takes random files of a finished workspace away.

Then `run` is called again. Bars: no error but those that say what is wrong, vacuum takes nothing
that is sound, and afterwards tables and products have the bytes of the undisturbed run, items but
for the time when they were made.
"""

from __future__ import annotations

import argparse
import builtins
import errno
import hashlib
import io
import itertools
import os
import random
import shutil
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from spark_cot.archive import ingest
from spark_cot.archive.options import ReprocessOptions, RunOptions
from spark_cot.archive.reprocess import reprocess
from spark_cot.archive.run import run
from spark_cot.commit import lock
from spark_cot.commit import log as logs
from spark_cot.commit.vacuum import vacuum
from spark_cot.commit.verify import verify
from spark_cot.errors import SparkCotError, reason
from spark_cot.grid import Window
from spark_cot.msi import BANDS
from spark_cot.products import scene as product
from spark_cot.products.stac import timeless
from spark_cot.safe import ProductSpec, native_shape, write_product
from spark_cot.tables.workspace import ITEM_NAME, Workspace

EXTENT = 1920
KINDS = ("kill", "power", "read", "backup")
COMPARED = ("pixels", "cot", "masked", "products")


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Disk:
    """What is asked of the file system below a folder, and what goes wrong.

    Attributes
    ----------
    top : Path
    kill_at : int
        Number of the write, from 1, before which the process dies; 0 for none.
    fail_at : int
        Number of the read, from 1, that fails; 0 for none.
    writes, reads : list[str]
        What was asked, in order.
    flushed : set[int]
        Inodes of files whose content a power cut leaves as it is: those that were there from the
        beginning, and those that were flushed and not opened for writing again.
    unnamed : list
        Changes of names that a power cut takes back: their folder, and how.
    """

    top: Path
    kill_at: int = 0
    fail_at: int = 0
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    flushed: set[int] = field(default_factory=set)
    unnamed: list[tuple[Path, Callable[[], object]]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.flushed |= {path.stat().st_ino for path in self.top.rglob("*") if path.is_file()}

    def holds(self, path: object) -> bool:
        """Whether a path lies on this disk."""
        if not isinstance(path, str | os.PathLike):
            return False
        name, top = str(path), str(self.top)
        return name == top or name.startswith(f"{top}/")

    def write(self, what: str, path: Path) -> None:
        """Count a write, or die before it; the dead write nothing."""
        with self._lock:
            self.writes.append(f"{what} {path.relative_to(self.top)}")
            if 0 < self.kill_at <= len(self.writes):
                raise Killed

    def read(self, what: str, path: Path) -> None:
        """Count a read, or fail."""
        with self._lock:
            self.reads.append(f"{what} {path.relative_to(self.top)}")
            if self.fail_at == len(self.reads):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def opened(self, path: Path) -> None:
        """Note that a file is about to get other content."""
        with suppress(FileNotFoundError):
            self.flushed.discard(_stat(path).st_ino)

    def changed(self, path: Path, undo: Callable[[], object]) -> None:
        """Note how to take a change of a name back."""
        self.unnamed.append((path.parent, undo))

    def flush(self, descriptor: int, path: Path) -> None:
        """Note that content, or the names in a folder, are on the disk."""
        self.flushed.add(os.fstat(descriptor).st_ino)
        self.unnamed = [(folder, undo) for folder, undo in self.unnamed if folder != path]

    def stash(self, path: Path) -> Path | None:
        """Another name, beside the disk, for a file that is about to lose its own.

        It keeps its inode, too, from being given to another file.
        """
        try:
            is_file = stat.S_ISREG(_stat(path).st_mode)
        except FileNotFoundError:
            return None
        if not is_file:
            return None
        kept = self.top.with_name(f"{self.top.name}.stash-{next(self._numbers)}")
        _link(path, kept)
        return kept

    def cut_power(self, names: bool) -> None:
        """Take back what was not flushed: content, or with ``names`` names."""
        for _, undo in reversed(self.unnamed if names else []):
            undo()
        for path in self.top.rglob("*"):
            if path.is_file() and path.stat().st_ino not in self.flushed:
                os.truncate(path, 0)


_link, _replace, _stat = os.link, os.replace, os.stat


@contextmanager
def watched(disk: Disk) -> Iterator[Disk]:
    """Let all that Python asks of the file system go through ``disk``."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stat", "lstat", "listdir"):
            patch.setattr(os, name, _reading(disk, name, getattr(os, name)))
        patch.setattr(os, "scandir", partial(_scandir, disk, os.scandir))
        for name in ("unlink", "remove", "rmdir", "mkdir"):
            patch.setattr(os, name, _changing(disk, name, getattr(os, name)))
        for name in ("replace", "rename", "link"):
            patch.setattr(os, name, _naming(disk, name, getattr(os, name)))
        patch.setattr(os, "fsync", partial(_fsync, disk))
        opening = _opening(disk, builtins.open)
        patch.setattr(builtins, "open", opening)
        patch.setattr(io, "open", opening)
        patch.setattr(logs, "DeltaTable", _delta_read(disk, logs.DeltaTable))
        patch.setattr(logs, "write_deltalake", _delta_write(disk, logs.write_deltalake))
        patch.setattr(pq.ParquetFile, "__init__", _parquet(disk, False, pq.ParquetFile.__init__))
        patch.setattr(pq.ParquetWriter, "__init__", _parquet(disk, True, pq.ParquetWriter.__init__))
        yield disk


def _reading(disk: Disk, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if disk.holds(path):
            disk.read(name, Path(path))
        return function(path, *arguments, **options)

    return call


class _Entries:
    """An `os.scandir` whose entries are looked at through the disk."""

    def __init__(self, disk: Disk, entries: Any) -> None:
        self.disk, self.entries = disk, entries

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.entries.close()

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> _Entry:
        return _Entry(self.disk, next(self.entries))

    def close(self) -> None:
        self.entries.close()


class _Entry:
    def __init__(self, disk: Disk, entry: os.DirEntry[str]) -> None:
        self.disk, self.entry = disk, entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self.entry, name)

    def __fspath__(self) -> str:
        return self.entry.path

    def stat(self, **options: bool) -> os.stat_result:
        self.disk.read("entry", Path(self.entry.path))
        return self.entry.stat(**options)


def _scandir(disk: Disk, function: Callable[..., Any], path: Any = ".") -> Any:
    if not disk.holds(path):
        return function(path)
    disk.read("scandir", Path(path))
    return _Entries(disk, function(path))


def _changing(disk: Disk, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if not disk.holds(path):
            return function(path, *arguments, **options)
        path = Path(path)
        disk.write(name, path)
        kept = disk.stash(path)
        done = function(path, *arguments, **options)
        if name == "mkdir":
            disk.changed(path, partial(shutil.rmtree, path, ignore_errors=True))
        elif kept is not None:
            disk.changed(path, partial(_restore, kept, path))
        return done

    return call


def _naming(disk: Disk, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(source: Any, target: Any, **options: Any) -> Any:
        if not disk.holds(target):
            return function(source, target, **options)
        source, target = Path(source), Path(target)
        disk.write(name, target)
        kept = disk.stash(target)
        done = function(source, target, **options)
        disk.changed(target, partial(_restore, kept, target))
        return done

    return call


def _restore(kept: Path | None, path: Path) -> None:
    """The name leads to what it led to before; what has lost its folder too stays lost."""
    path.unlink(missing_ok=True)
    if kept is not None and path.parent.is_dir():
        _replace(kept, path)


def _fsync(disk: Disk, descriptor: int) -> None:
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    if disk.holds(path):
        disk.write("fsync", path)
        disk.flush(descriptor, path)


def _opening(disk: Disk, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if disk.holds(path):
            if set(mode) & set("wax+"):
                disk.write("open", Path(path))
                disk.opened(Path(path))
            else:
                disk.read("open", Path(path))
        return function(path, mode, *arguments, **options)

    return call


def _delta_read(disk: Disk, function: Callable[..., Any]) -> Callable[..., Any]:
    """The log is read and written below Python too."""

    def call(place: str, **options: Any) -> Any:
        disk.read("delta", Path(place))
        return function(place, **options)

    return call


def _delta_write(disk: Disk, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        disk.write("delta", disk.top / "_ledger" / "state")
        return function(*arguments, **options)

    return call


def _parquet(disk: Disk, writes: bool, function: Callable[..., None]) -> Callable[..., None]:
    """Arrow opens files below Python."""

    def call(self: Any, where: Any, *arguments: Any, **options: Any) -> None:
        if disk.holds(where):
            if writes:
                disk.write("parquet", Path(where))
                disk.opened(Path(where))
            else:
                disk.read("parquet", Path(where))
        function(self, where, *arguments, **options)

    return call


class Loop:
    """A Spark session that does one task after the other, here."""

    defaultParallelism = 1  # noqa: N815

    master = "local[1]"

    def __init__(self) -> None:
        self.sparkContext = self
        self.environment: dict[str, str] = {}

    def parallelize(self, tasks: Iterable[Any], _: int) -> Any:
        def mapped(function: Callable[[Any], Any]) -> Any:
            return SimpleNamespace(collect=lambda: [function(task) for task in tasks])

        return SimpleNamespace(map=mapped)

    def broadcast(self, value: Any) -> Any:
        return SimpleNamespace(value=value, destroy=lambda: None)

    def setJobGroup(self, *_: str) -> None: ...  # noqa: N802

    def setLocalProperty(self, *_: str) -> None: ...  # noqa: N802

    def statusTracker(self) -> Any:  # noqa: N802
        return SimpleNamespace(getJobIdsForGroup=lambda _: [])


def in_a_loop(_: str, tasks: Sequence[Any], function: Callable[[Any], Any]) -> list[Any]:
    """As `Loop`, for who asks for no session."""
    return [function(task) for task in tasks]


class Remembered:
    """Results of slow functions by what they are of: pixels, COGs and pictures."""

    def __init__(self) -> None:
        self.results: dict[Any, Any] = {}

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.results:
            self.results[key] = make()
        return self.results[key]

    def value(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of a scene, remembered by the scene and the window."""

        def call(strips: Any, *arguments: Any) -> Any:
            windows = [argument for argument in arguments if isinstance(argument, Window)]
            key = (function.__name__, strips[0].scene_id, *windows)
            return self.once(key, partial(function, strips, *arguments))

        return call

    def file(self, function: Callable[..., Any], of: Callable[..., Any]) -> Callable[..., Any]:
        """The function that writes a file, remembered by what ``of`` makes of its arguments."""

        def call(path: Path, *arguments: Any) -> None:
            def make() -> bytes:
                function(path, *arguments)
                return path.read_bytes()

            path.write_bytes(self.once((path.name, of(*arguments)), make))

        return call

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the stages use it, in two blocks a scene; and let each run be the only process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingest, "blocks", _two_blocks)
            patch.setattr(ingest, "check_images", lambda scene: None)
            for name in ("read_mosaic", "common_grid"):
                patch.setattr(ingest, name, self.value(getattr(ingest, name)))
            cog = self.file(product.write_cog, lambda raster, bands, grid, tags: str(tags))
            picture = self.file(product.write_quicklook, lambda overview, caption: str(caption))
            patch.setattr(product, "write_cog", cog)
            patch.setattr(product, "write_quicklook", picture)
            patch.setattr(lock, "_is_alive", lambda pid: False)
            patch.setattr(os, "fsync", lambda descriptor: None)  # slow, and the power stays on
            yield


def _two_blocks(_: Any, grid: Any) -> list[Window]:
    rows, cols = grid.shape
    return [Window(0, 0, rows // 2, cols), Window(rows // 2, 0, rows - rows // 2, cols)]


@dataclass
class Bench:
    """An archive, what an undisturbed run makes of it, and the cases.

    Attributes
    ----------
    folder : Path
        For everything; made anew.
    scenes : int
    every : int
        Of the writes and reads only each so manieth is a case.
    """

    folder: Path
    scenes: int = 1
    every: int = 1
    cases: Counter[str] = field(default_factory=Counter)
    remembered: Remembered = field(default_factory=Remembered)

    def __post_init__(self) -> None:
        self.archive = make_archive(self.folder / "archive", self.scenes)
        with self.remembered.used():
            self.old, self.calm = self.folder / "old", self.folder / "calm"
            self.job(self.old, mask_above=None)
            self.job(self.calm)
        self.expected = digests(self.calm)

    def options(self, out: Path, mask_above: float | None = 1.25) -> dict[str, Any]:
        return {
            "archive": str(self.archive),
            "out": out,
            "resolution": 60,
            "model": "cot6",
            "mask_above": mask_above,
            "change_options": True,
        }

    def job(self, out: Path, mask_above: float | None = 1.25) -> None:
        """The main job; SparkCotError if a scene of it fails."""
        results = run(Loop(), RunOptions(**self.options(out, mask_above)))  # type: ignore[arg-type]
        reasons = [o.reason for r in results for o in r.outcomes if o.state == "failed"]
        if reasons:
            raise SparkCotError("; ".join(reasons))

    def plan(self, out: Path) -> None:
        """Plan, and demand that nothing is due."""
        due: list[str] = []
        options = ReprocessOptions(**self.options(out), dry_run=True)
        reprocess(Loop(), options, lambda plan: due.extend(s.name for s in plan.scenes))  # type: ignore[arg-type]
        if due:
            raise AssertionError(f"planned anew: {due}")

    def faults(self, kinds: Iterable[str] = KINDS, seed: int = 0) -> Iterator[str]:
        """What was not as it should be, case by case; the cases are counted as they go on."""
        matrix = {
            "kill": partial(self._kills, ("",)),
            "power": partial(self._kills, ("content", "names")),
            "read": self._reads,
            "backup": partial(self._backups, seed),
        }
        with self.remembered.used():
            for kind in kinds:
                for name, case in matrix[kind]():
                    self.cases[kind] += 1
                    out = self.folder / "out"
                    try:
                        found = list(case(out))
                    except Exception as error:
                        found = [reason(error)]
                    yield from (f"{kind} {name}: {fault}" for fault in found)
                    for left in self.folder.glob("out*"):
                        shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _kills(self, cuts: Iterable[str]) -> Iterator[tuple[str, Callable[[Path], Iterator[str]]]]:
        for begin in (None, self.old):
            out = self.folder / "out"
            with watched(Disk(out)) as disk:
                self._begin(begin, out)
                disk.writes.clear()
                self.job(out)
            shutil.rmtree(out)
            for number in range(1, len(disk.writes) + 1, self.every):
                for cut in cuts:
                    name = f"{disk.writes[number - 1]} ({number}, {cut or 'no cut'})"
                    yield name, partial(self._killed, begin, number, cut)

    def _killed(self, begin: Path | None, number: int, cut: str, out: Path) -> Iterator[str]:
        self._begin(begin, out)
        disk = Disk(out, kill_at=number)
        with watched(disk):
            try:
                self.job(out)
            except Killed:
                pass
            else:
                yield "was not killed"
        if cut:
            disk.cut_power(names=cut == "names")
        self.job(out)
        yield from self._differences(out)

    def _reads(self) -> Iterator[tuple[str, Callable[[Path], Iterator[str]]]]:
        commands: dict[str, Callable[[Path], object]] = {
            "vacuum": lambda out: vacuum(Workspace.open(out), older_than=0, force=True),
            "verify": lambda out: verify(Workspace.open(out), spread=in_a_loop),
            "plan": self.plan,
            "run": self.job,
        }
        for command, function in commands.items():
            out = self.folder / "out"
            self._begin(self.calm, out)
            with watched(Disk(out)) as disk:
                function(out)
            shutil.rmtree(out)
            for number in range(1, len(disk.reads) + 1, self.every):
                name = f"{command}, {disk.reads[number - 1]} ({number})"
                yield name, partial(self._unread, function, number)

    def _unread(self, function: Callable[[Path], object], number: int, out: Path) -> Iterator[str]:
        self._begin(self.calm, out)
        litter = [out / "pixels" / "copy.parquet", out / "_parts" / "ingest" / "00000.part"]
        for path in litter:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"litter")
        with watched(Disk(out, fail_at=number)):
            try:
                function(out)
            except (SparkCotError, OSError) as error:
                if reason(error).startswith("unexpected"):
                    yield reason(error)
        litter[0].unlink(missing_ok=True)
        yield from self._differences(out)
        self.job(out)
        yield from self._differences(out)

    def _backups(self, seed: int) -> Iterator[tuple[str, Callable[[Path], Iterator[str]]]]:
        for number in range(seed, seed + 160 // self.every):
            yield str(number), partial(self._restored, number)

    def _restored(self, seed: int, out: Path) -> Iterator[str]:
        """Half of a backup: some files, or whole folders, are not there."""
        rng = random.Random(seed)
        self._begin(self.calm, out)
        files = sorted(out.rglob("*"))
        for path in rng.sample(files, rng.randint(1, len(files) // 2)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
        sound = {path for path in digests(out) if _is_sound(out, path)}
        try:
            vacuum(Workspace.open(out), older_than=0, force=True)
        except SparkCotError as error:
            if reason(error).startswith("unexpected"):
                yield reason(error)
        yield from (f"vacuum took {path}" for path in sorted(sound - set(digests(out))))
        self.job(out)
        yield from self._differences(out)

    def _begin(self, begin: Path | None, out: Path) -> None:
        if begin is not None:
            shutil.copytree(begin, out)

    def _differences(self, out: Path) -> Iterator[str]:
        found = digests(out)
        for path in sorted(self.expected.keys() | found.keys()):
            if found.get(path) != self.expected.get(path):
                yield f"differs: {path}"


def make_archive(folder: Path, scenes: int) -> Path:
    """Small textured scenes of as many tiles."""
    for number in range(scenes):
        rng = np.random.default_rng(number)
        bands = {b.id: rng.uniform(0.05, 0.6, native_shape(b.id, EXTENT)) for b in BANDS}
        write_product(folder, bands, ProductSpec(tile=f"31T{chr(65 + number)}J"))
    return folder


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file of tables and products, items without their time, by its path."""
    files = [p for name in COMPARED for p in (out / name).rglob("*") if p.is_file()]
    return {
        str(path.relative_to(out)): hashlib.sha256(timeless(path.read_bytes())).hexdigest()
        for path in files
        if path.suffix not in (".tmp", ".damaged")  # of the dead, and set aside
    }


def _is_sound(out: Path, path: str) -> bool:
    """A table's file is; one of a product if the item is there that makes it whole."""
    return not path.startswith("products/tile") or (out / path).with_name(ITEM_NAME).exists()


def main() -> int:
    """Break as asked; the exit code says whether all ended well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--scenes", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started, bad = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.scenes, arguments.every)
        for fault in bench.faults(arguments.kinds.split(","), arguments.seed):
            bad += 1
            print(fault, flush=True)
    seconds = time.monotonic() - started
    print(f"{dict(bench.cases)}: {bench.cases.total()} cases in {seconds:.0f} s, {bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
