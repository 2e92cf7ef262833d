"""Odd products: each must be refused with a clear message, or give exactly the right numbers.

    python tests/benchmarks/fuzz_safe.py [--mutations 2000] [--seed 0] [--kinds xml jp2 zip ...]

A case is a copy of one small product, damaged in one way, or sound and put into an odd place
(names, links, permissions, lists, zip files of other tools), in other encodings or compression
methods, or with metadata as other processors write them. It is read whole in a process of its
own, with limits on time and memory and without the powers of root. ``--only N`` repeats case N of
a seed and leaves its product in place. ``--ingest N`` puts the first N products that were refused
or read unchanged, and a sound one, into one archive and ingests it.

Exit code 1 if any case is a finding: another exception than the package's own, a crash, a hang, a
message that does not name the product, a product passed over without a word, a file written
beside the product, a wrong number that could have been noticed, or another outcome, or cause of a
refusal, than the change is known to have (`truth`).

Two outcomes are neither refusals nor the undamaged numbers. *As stated*: the metadata say another
plausible thing, and the numbers follow it (`safe_oracle.stated`). *Undetected*: samples of an
image have changed in a way that decodes, which nothing in the file gives away.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final
from xml.etree.ElementTree import ParseError

import mutate_archive
import mutate_encoding
import mutate_jp2
import mutate_method
import mutate_place
import mutate_variant
import mutate_xml
import numpy as np
import psutil
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from safe_oracle import NODATA, NOTHING, Observation, observe, same, same_reflectance, stated
from truth import Change, damaging

from spark_cot.msi import BAND_IDS, BANDS, RESOLUTIONS_M
from spark_cot.safe import Downsampling, ProductSpec, native_shape, write_product

SECONDS: Final = 10.0
MEMORY: Final = 2 << 30
SIDE_M: Final = 480
TILE: Final = 32

KINDS: Final[dict[str, tuple[Change, ...]]] = {
    "xml": tuple(map(damaging, mutate_xml.MUTATIONS)),
    "jp2": tuple(map(damaging, mutate_jp2.MUTATIONS)),
    "zip": tuple(map(damaging, mutate_archive.ZIP_MUTATIONS)),
    "name": tuple(map(damaging, mutate_archive.NAME_MUTATIONS)),
    "place": tuple(map(damaging, mutate_place.PLACE_MUTATIONS)),
    "encoding": mutate_encoding.CHANGES,
    "method": mutate_method.CHANGES,
    "variant": mutate_variant.CHANGES,
}
#: Kinds in which metadata are changed, so that they may say other numbers.
OF_METADATA: Final = ("xml", "variant")
#: How `stated` fails on metadata that say nothing.
MEANINGLESS: Final = (
    *(ValueError, TypeError, LookupError, ArithmeticError, OSError, MemoryError),
    *(ParseError, StopIteration),
)
FINDINGS: Final = ("untrue", "wrong", "exception", "crash", "hang", "unnamed", "lost", "wrote")
OUTCOMES: Final = ("refused", "unchanged", "as stated", "undetected", *FINDINGS)


@dataclass(frozen=True, slots=True)
class Setting:
    """How a case is read."""

    resolution: int
    downsampling: Downsampling


@dataclass(frozen=True, slots=True)
class Case:
    """What was done and what came of it."""

    index: int
    kind: str
    mutation: str
    what: str
    outcome: str
    detail: str
    seconds: float


def small_product(folder: Path) -> Path:
    """A product of 480 m with nodata, saturated samples, angle grids that vary, and small tiles."""
    rng = np.random.default_rng(5)
    zenith, azimuth = np.arange(9.0).reshape(3, 3), 3 * np.arange(9.0).reshape(3, 3)

    def image(band_id: str) -> NDArray[np.uint16]:
        y, x = np.indices(native_shape(band_id, SIDE_M)) / native_shape(band_id, SIDE_M)[0]
        smooth = 3000 + 2000 * np.sin(3 * y + BAND_IDS.index(band_id)) * np.cos(2 * x)
        dn = (smooth + rng.normal(0, 20, y.shape)).astype(np.uint16)
        dn[: dn.shape[0] // 4, : dn.shape[1] // 4] = 0
        dn[-1, 0], dn[0, -1], dn[-1, -2:] = 65_535, 32_767, 65_534
        return dn

    spec = ProductSpec(
        sun=(50 + zenith / 9, 150 + azimuth / 9), view=(2 + zenith / 9, 200 - azimuth)
    )
    product = write_product(folder, image, spec)
    for file in mutate_jp2.images(product):
        with rasterio.open(file) as source:
            samples, profile = source.read(1), source.profile
        profile |= {"quality": 100, "reversible": "YES", "ycbcr420": "NO"}
        profile |= {"blockxsize": TILE, "blockysize": TILE}
        with rasterio.open(file, "w", **profile) as target:
            target.write(samples, 1)
    return product


def digital_numbers(product: Path) -> dict[str, NDArray[np.uint16]]:
    """Samples of all bands, by plain rasterio."""
    numbers = {}
    for band in BANDS:
        [file] = product.glob(f"GRANULE/*/IMG_DATA/*_{band.id}.jp2")
        with rasterio.open(file) as image:
            numbers[band.id] = image.read(1)
    return numbers


class Fuzzer:
    """Cases of one seed on copies of one product.

    Parameters
    ----------
    product : Path
        SAFE folder that is sound.
    scratch : Path
        Folder for the copies.
    seed : int
    """

    def __init__(self, product: Path, scratch: Path, seed: int) -> None:
        self.product, self.scratch, self.seed = product, scratch, seed
        self.numbers = digital_numbers(product)
        self.settings = [Setting(r, d) for r in RESOLUTIONS_M for d in Downsampling]
        self.expected = {s: self._undamaged(s) for s in self.settings}

    def _undamaged(self, setting: Setting) -> Observation:
        [seen] = observe(self.product, setting.resolution, setting.downsampling)
        assert isinstance(seen, Observation), seen
        if setting.downsampling is Downsampling.EXACT:
            assert same(self._stated(self.product, seen), seen), "the two readers disagree"
        return seen

    def _stated(self, product: Path, was: Observation) -> Observation:
        of_product, of_tile = mutate_xml.product_xml(product), mutate_xml.tile_xml(product)
        return stated(of_product.read_bytes(), of_tile.read_bytes(), self.numbers, was)

    def case(self, index: int, kinds: tuple[str, ...]) -> Case:
        """Case ``index``: depends on nothing but it, the seed and the kinds."""
        rng = Random(f"{self.seed}:{index}")
        kind = kinds[index % len(kinds)]
        change = rng.choice(KINDS[kind])
        setting = rng.choice(self.settings)
        place = self.scratch / f"case-{index}"
        product = place / "archive" / self.product.name
        shutil.copytree(self.product, product)
        what, truth = change(product, rng)
        expected = [self.expected[setting]]
        if kind in OF_METADATA:
            setting = Setting(setting.resolution, Downsampling.EXACT)
            expected = [self.expected[setting], *self._meant(product, self.expected[setting])]
        if kind in (*OF_METADATA, "jp2") and rng.random() < 0.25 and _only_regular(product):
            mutate_archive.zip_folder(product)
            what += ", zipped"
        listing = place / "archive" / "list.txt"
        source = listing if listing.exists() else listing.parent
        before = _listing(place)
        started = time.monotonic()
        outcome, detail = run_apart(source, setting, kind, expected)
        if outcome not in FINDINGS and not truth.allows(outcome, detail):
            outcome, detail = "untrue", f"{outcome}, expected {truth}: {detail}"
        if _listing(place) != before:
            outcome, detail = "wrote", f"{sorted(_listing(place) ^ before)}"
        what += f", at {setting.resolution} m {setting.downsampling.value}"
        seconds = time.monotonic() - started
        return Case(index, kind, change.__name__, what, outcome, detail, seconds)

    def _meant(self, product: Path, was: Observation) -> list[Observation]:
        """What damaged metadata still say, if anything."""
        try:
            with np.errstate(all="ignore"):
                return [self._stated(product, was)]
        except MEANINGLESS:
            return []


def run_apart(
    source: Path, setting: Setting, kind: str, expected: list[Observation]
) -> tuple[str, str]:
    """Outcome and detail of reading ``source`` in a process of its own."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=_read_and_judge, args=(sender, source, setting, kind, expected))
    child.start()
    sender.close()
    try:
        worked = 0.0
        while not receiver.poll(SECONDS):
            before, worked = worked, sum(psutil.Process(child.pid).cpu_times()[:2])
            if worked == before or worked > SECONDS:  # on a busy machine it only waits its turn
                return "hang", f"no end after {worked:.1f} s of work"
        outcome: tuple[str, str] = receiver.recv()
        return outcome
    except EOFError:
        child.join()
        return "crash", f"exit code {child.exitcode}"
    finally:
        child.kill()
        child.join()


def _read_and_judge(
    sender: Connection, source: Path, setting: Setting, kind: str, expected: list[Observation]
) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    os.chdir(source if source.is_dir() else source.parent)
    mutate_place.obey_permissions()
    try:
        seen = observe(source, setting.resolution, setting.downsampling)
        verdicts = [judge(one, kind, Path.cwd(), expected) for one in seen]
        sender.send(max(verdicts, key=lambda verdict: OUTCOMES.index(verdict[0])))
    except Exception as error:
        sender.send(("exception", f"{type(error).__name__}: {error}"))


def judge(
    seen: Observation | str, kind: str, archive: Path, expected: list[Observation]
) -> tuple[str, str]:
    """Outcome of one scene, and what to say of it."""
    if isinstance(seen, str):
        if seen.startswith(f"{archive}: {NOTHING}. "):
            return "lost", seen
        return ("refused" if str(archive) in seen else "unnamed"), seen
    original, *meant = expected
    if same(seen, original):
        return "unchanged", ""
    if any(same(seen, other, tolerance=1) for other in meant):
        return "as stated", ""
    if kind in ("jp2", "zip", "name") and seen.facts == original.facts:
        share = (seen.reflectance != original.reflectance).mean()
        return "undetected", f"{share:.1%} of the numbers differ"
    parts = [k for k, v in original.facts.items() if seen.facts[k] != v]
    if not same_reflectance(seen, original):
        parts.append("reflectance")
    return "wrong", f"{', '.join(parts) or 'angles'} differ from the original"


def _only_regular(product: Path) -> bool:
    """Whether a product holds nothing but folders and regular files, none of them huge."""
    inside = [p for p in product.rglob("*") if not (p.is_dir() and not p.is_symlink())]
    return all(p.is_file() and not p.is_symlink() and p.stat().st_size < 1 << 22 for p in inside)


def _listing(place: Path) -> set[tuple[str, int, int]]:
    found = set()
    for path in place.rglob("*"):
        with contextlib.suppress(PermissionError):
            status = path.lstat()
            found.add((str(path), status.st_size, status.st_mtime_ns))
    return found


def ingest_finding(archive: Path, out: Path, expected: Observation) -> str | None:
    """What is wrong with the tables of an archive that holds one scene, whole and damaged."""
    before = _listing(archive)
    options = ["--out", str(out), "--resolution", "20", "--max-failure-ratio", "1"]
    command = [sys.executable, "-m", "spark_cot", "ingest", str(archive), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        return f"exit code {run.returncode}: {run.stderr[-2000:]}"
    if _listing(archive) != before:
        return f"files beside the output: {sorted(_listing(archive) ^ before)}"
    rows = pq.read_table(out / "pixels").sort_by([("row", "ascending"), ("col", "ascending")])
    valid = (expected.reflectance != NODATA).all(axis=0)
    for band, image in zip(BAND_IDS, expected.reflectance, strict=True):
        if not np.array_equal(rows[band].to_numpy(), image[valid]):
            return f"{band} of the pixel table is not that of the sound product"
    print(run.stdout[-1500:])
    return None


def table(cases: list[Case]) -> str:
    """Outcomes by kind and mutation as text; columns without any case are left out."""
    counts = collections.Counter((f"{c.kind} {c.mutation}", c.outcome) for c in cases)
    counts.update((f"{c.kind}, all", c.outcome) for c in cases)
    counts.update(("total", c.outcome) for c in cases)
    columns = [o for o in OUTCOMES if counts["total", o]]
    names = sorted({name for name, _ in counts}, key=lambda n: (n == "total", n))
    lines = [f"{'':34}" + "".join(f"{column:>12}" for column in columns)]
    lines += [f"{name:34}" + "".join(f"{counts[name, c]:12}" for c in columns) for name in names]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS))
    parser.add_argument("--product", type=Path, help="SAFE folder to damage copies of")
    parser.add_argument("--ingest", type=int, default=0, metavar="N", help="products to ingest")
    parser.add_argument("--only", type=int, help="one case, whose product stays")
    parser.add_argument("--verbose", action="store_true", help="all cases, not only findings")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-"))
    started = time.monotonic()
    product = arguments.product or small_product(scratch / "sound")
    fuzzer = Fuzzer(product.absolute(), scratch, arguments.seed)
    single = arguments.only is not None
    mixed = scratch / "mixed"
    mixed.mkdir()
    cases = []
    for index in [arguments.only] if single else range(arguments.mutations):
        case = fuzzer.case(index, tuple(arguments.kinds))
        cases.append(case)
        if single or arguments.verbose or case.outcome in FINDINGS:
            head = f"{case.index:5} {case.outcome:10} {case.kind} {case.mutation}"
            print(f"{head}: {case.what}\n      {case.detail[:400]!r}", flush=True)
        place = scratch / f"case-{index}"
        mutate_place.unlock(place)
        if (
            case.outcome in ("refused", "unchanged")
            and len(list(mixed.iterdir())) < arguments.ingest
        ):
            place.rename(mixed / place.name)
        elif not single:
            shutil.rmtree(place)
    finding = None
    if arguments.ingest:
        # The first of equal copies by path is the one that is taken.
        shutil.copytree(fuzzer.product, mixed / "a-sound" / fuzzer.product.name)
        sound = fuzzer.expected[Setting(20, Downsampling.EXACT)]
        finding = ingest_finding(mixed, scratch / "workspace", sound)
        print(
            f"ingest of {arguments.ingest} damaged products and a sound one: {finding or 'right'}"
        )
    if single:
        print(f"left in {scratch}")
    else:
        shutil.rmtree(scratch)
    slowest = max(case.seconds for case in cases)
    print(table(cases))
    print(f"{len(cases)} cases, {time.monotonic() - started:.0f} s, slowest {slowest:.1f} s")
    return int(finding is not None or any(case.outcome in FINDINGS for case in cases))


if __name__ == "__main__":
    sys.exit(main())
