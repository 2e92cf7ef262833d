"""Kill a run at random moments, run it again, and compare every file with an undisturbed run.

    python tests/benchmarks/chaos.py --runs 50 [--seed 0] [--kinds worker,executor,driver,jvm,disk]

The archive has ten small scenes, the tenth of them corrupt. Each run starts the main job in a
process of its own and strikes once or twice, at a moment drawn from the time of the undisturbed
run: SIGKILL of a Python worker, of an executor (of two, in Spark's local cluster), of the driver,
or of the driver's JVM, or a disk (tmpfs, needs root) too small for the workspace. The job is then
started again, on a larger disk, until it ends; after `vacuum` all tables and products must have the
bytes of the undisturbed run (items but for the time when they were made), `verify` must find
nothing, and every scene must be done or failed with its reason.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from spark_cot.commit.ledger import STAGES
from spark_cot.commit.state import read_log
from spark_cot.msi import BANDS
from spark_cot.products.stac import timeless
from spark_cot.safe import ProductSpec, native_shape, write_product
from spark_cot.tables.workspace import Workspace

SCENES = 10
EXTENT = 1920
KINDS = ("worker", "executor", "driver", "jvm", "disk")
LOCAL, LOCAL_CLUSTER = "local[2,4]", "local-cluster[2,1,2048]"
#: What the command line of a process of each kind holds.
_MARKS = {
    "worker": "pyspark.daemon",
    "executor": "CoarseGrainedExecutorBackend",
    "jvm": "org.apache.spark.deploy.SparkSubmit",
}
_COMPARED = ("pixels", "cot", "masked", "products")
_MOST_RUNS = 4


@dataclass(frozen=True)
class Calm:
    """The undisturbed run: its seconds, the digest of every file, and its size in bytes."""

    seconds: float
    digests: dict[str, str]
    size: int


def make_archive(folder: Path, scenes: int = SCENES) -> Path:
    """Small textured scenes on as many days; in the last one a band is cut short."""
    for number in range(scenes):
        rng = np.random.default_rng(number)
        bands = {b.id: rng.uniform(0.05, 0.6, native_shape(b.id, EXTENT)) for b in BANDS}
        product = write_product(folder, bands, ProductSpec(tile=f"31T{chr(65 + number)}J"))
    image = next(product.rglob("*_B03.jp2"))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    return folder


def command(name: str, *arguments: object) -> list[str]:
    """A spark-cot command of this environment."""
    return [sys.executable, "-m", "spark_cot", name, *map(str, arguments)]


def start(archive: Path, out: Path, log: Path, master: str = LOCAL) -> subprocess.Popen[bytes]:
    """The main job in a session of its own, its output appended to a log."""
    options = ("--out", out, "--mask-above", 1.25, "--master", master)
    with log.open("ab") as output:
        return subprocess.Popen(
            command("run", archive, *options), stdout=output, stderr=output, start_new_session=True
        )


def finish(process: subprocess.Popen[bytes], timeout: float) -> int:
    """Exit code; the whole session is gone afterwards. A run that hangs is an error."""
    try:
        return process.wait(timeout)
    finally:
        kill_session(process.pid)


def kill_session(session: int) -> None:
    """SIGKILL to whatever is left of a session, such as the JVM of a killed driver."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                process.kill()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def strike(kind: str, driver: int, rng: random.Random) -> str:
    """Kill one process of the job, if there is one of that kind; what was killed."""
    try:
        children = psutil.Process(driver).children(recursive=True)
        if kind == "driver":
            victims = [psutil.Process(driver)]
        else:
            victims = [child for child in children if _MARKS[kind] in " ".join(child.cmdline())]
        if victims:
            victim = rng.choice(victims)
            os.kill(victim.pid, signal.SIGKILL)
            return f"{kind} {victim.pid}"
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass
    return f"no {kind} to kill"


def digests(workspace: Path) -> dict[str, str]:
    """SHA-256 of every file of tables and products, items without their time, by its path."""
    files = [p for name in _COMPARED for p in (workspace / name).rglob("*") if p.is_file()]
    return {
        str(path.relative_to(workspace)): hashlib.sha256(timeless(path.read_bytes())).hexdigest()
        for path in files
    }


def undisturbed(archive: Path, folder: Path) -> Calm:
    """Run the job once without harm."""
    started = time.monotonic()
    code = finish(start(archive, folder / "calm", folder / "calm.log"), 900)
    if code != 1:
        raise SystemExit(f"undisturbed run ended with {code}: {(folder / 'calm.log').read_text()}")
    seconds = time.monotonic() - started
    files = [path for path in (folder / "calm").rglob("*") if path.is_file()]
    return Calm(seconds, digests(folder / "calm"), sum(path.stat().st_size for path in files))


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes at ``folder``."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disturbed(archive: Path, out: Path, log: Path, calm: Calm, kind: str, seed: int) -> list[str]:
    """Start the job, strike it, and start it again until it ends by itself; what was done."""
    rng = random.Random(seed)
    master = LOCAL_CLUSTER if kind == "executor" else LOCAL
    process, done = start(archive, out, log, master), []
    if kind == "disk":
        done.append(f"full disk, exit {finish(process, 20 * calm.seconds + 300)}")
        subprocess.run(
            ["mount", "-o", f"remount,size={8 * calm.size}", str(out.parent)], check=True
        )
    else:
        moments = sorted(rng.uniform(0, calm.seconds) for _ in range(rng.choice((1, 1, 2))))
        begun = time.monotonic()
        for moment in moments:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            done.append(f"{moment:.1f} s: {strike(kind, process.pid, rng)}")
        done.append(f"exit {finish(process, 20 * calm.seconds + 300)}")
    for _ in range(_MOST_RUNS):
        code = finish(start(archive, out, log), 20 * calm.seconds + 300)
        done.append(f"again: exit {code}")
        if code == 1:  # nine scenes done, the corrupt one failed
            break
    return done


def faults(out: Path, calm: Calm) -> list[str]:
    """What differs from the undisturbed run; empty if all is well."""
    found = []
    tidy = command("vacuum", out, "--older-than", 0, "--force")
    subprocess.run(tidy, check=True, capture_output=True)
    check = subprocess.run(command("verify", out), capture_output=True, text=True, check=False)
    if check.returncode:
        found.append(f"verify ends with {check.returncode}: {check.stdout}{check.stderr}")
    seen = digests(out)
    names = sorted(calm.digests.keys() | seen.keys())
    found += [f"differs: {name}" for name in names if seen.get(name) != calm.digests.get(name)]
    failed = {stage: states.count("failed") for stage, states in accounts(out).items()}
    if failed != {"ingest": 1, "apply": 0, "products": 0}:
        found.append(f"failed scenes by stage are {failed}")
    return found


def accounts(out: Path) -> dict[str, list[str]]:
    """State of every scene in each stage, by the log."""
    log = read_log(Workspace.open(out))
    return {stage: [entry.state for entry in log.entries(stage).values()] for stage in STAGES}


def one(
    archive: Path, folder: Path, calm: Calm, kind: str, seed: int
) -> tuple[list[str], list[str]]:
    """One disturbed run: what was done to it, and what is wrong afterwards."""
    log = folder / f"{seed}-{kind}.log"
    place = folder / f"{seed}-{kind}"
    if kind == "disk":
        size = int(random.Random(seed).uniform(0.05, 0.95) * calm.size)
        with disk(place, size):
            done = disturbed(archive, place / "out", log, calm, kind, seed)
            return done, faults(place / "out", calm)
    done = disturbed(archive, place, log, calm, kind, seed)
    found = faults(place, calm)
    shutil.rmtree(place)
    return done, found


def main() -> int:
    """Strike as often as asked; the exit code says whether all ended well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--scenes", type=int, default=SCENES)
    arguments = parser.parse_args()
    kinds, bad = arguments.kinds.split(","), 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        archive = make_archive(folder / "archive", arguments.scenes)
        calm = undisturbed(archive, folder)
        print(f"undisturbed: {calm.seconds:.1f} s, {len(calm.digests)} files, {calm.size:,} bytes")
        for seed in range(arguments.seed, arguments.seed + arguments.runs):
            kind = kinds[seed % len(kinds)]
            done, found = one(archive, folder, calm, kind, seed)
            bad += bool(found)
            print(f"{seed} {kind}: {'; '.join(done)}: {'; '.join(found) or 'equal'}", flush=True)
    print(f"{arguments.runs} runs, {bad} not equal to the undisturbed one")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
