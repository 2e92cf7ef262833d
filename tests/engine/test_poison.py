"""A scene that workers, or whole jobs, die of: known, tried alone and last, failed by name."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from spark_cot.commit import begun
from spark_cot.commit.ledger import Entries
from spark_cot.commit.state import take_up
from spark_cot.engine import survey
from spark_cot.engine.attempt import DIED, Attempt, Finished
from spark_cot.engine.outcome import Outcome, exit_code, merged
from spark_cot.engine.pipeline import Stage, carry_out
from spark_cot.engine.tasks import run_tasks
from spark_cot.plan.decide import DueScene, Plan
from spark_cot.plan.sources import Archive, Granule, Granules
from spark_cot.safe import ProductPath, discover
from spark_cot.tables.workspace import Workspace

NOW = datetime(2024, 3, 5, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace", 20)


def granule(name: str) -> Granule:
    return Granule(f"/archive/{name}", "", "s", name, "31TCJ", NOW, NOW, "05.10", "f")


def swallow(attempt: Attempt, tried: Path, how: str) -> Outcome | None:
    """A task: notes that it was tried and, if it is the poison's, dies."""
    with tried.open("a") as file:
        file.write(f"{attempt.name}\n")

    def work() -> Finished:
        if attempt.name == "poison" and how != "sound":
            os.kill(os.getpid(), signal.Signals[how])
        return Finished(7, 0.1)

    return attempt.run(work)


def night(spark, workspace: Workspace, names: Sequence[str], tried: Path, how: str):
    """What becomes of the scenes in a job of one stage."""

    def work(granules: Sequence[Granule], known: Entries) -> list[Outcome]:
        attempts = [
            Attempt("ingest", g.scene_id, "k", g.source, known["ingest"].get(g.scene_id), workspace)
            for g in granules
        ]
        return merged(run_tasks(spark, "poison", attempts, partial(swallow, tried=tried, how=how)))

    state = take_up(workspace)
    granules = [granule(name) for name in names]
    due = [DueScene(granule, "ingest") for granule in granules]
    plan = Plan(Archive(Granules.of(granules)), {}, [], due)
    return carry_out(spark, state, plan, {"ingest": Stage({}, work)})


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV"])
def test_the_others_are_finished_and_the_poison_fails_by_name(
    spark, workspace: Workspace, tmp_path: Path, how: str
) -> None:
    names, tried = ["a", "poison", "b", "c"], tmp_path / "tried"
    (result,) = night(spark, workspace, names, tried, how)
    assert {o.name: o.state for o in result.outcomes} == dict.fromkeys("abc", "done") | {
        "poison": "failed"
    }
    (poison,) = [o for o in result.outcomes if o.name == "poison"]
    assert re.match(r"its Python worker died \d times: killed for want of memory", poison.reason)
    assert exit_code([result], 0.5) == 1
    assert tried.read_text().split()[-1] == "poison"
    entry = take_up(workspace).log.entries("ingest")["poison"]
    assert (entry.state, entry.attempt, entry.details[DIED]) == ("failed", 1, True)
    assert begun.suspects(workspace) == set()

    tried.unlink()
    (again,) = night(spark, workspace, names, tried, "sound")
    assert tried.read_text().split()[-1] == "poison", "it was not tried last"
    assert again.count("done") == 4
    assert DIED not in take_up(workspace).log.entries("ingest")["poison"].details


def look_or_die(products: Sequence[tuple[ProductPath, str]], look=survey.look_at) -> Archive:
    """What workers are made to call: they die of one of the products."""
    if any("S2C" in product.path for product, _ in products):
        os.kill(os.getpid(), signal.SIGKILL)
    return look(products)


def look_in_worker(products: Sequence[tuple[ProductPath, str]]) -> Archive:
    survey.look_at = look_or_die
    return survey._look_at(products)


def test_a_product_that_workers_die_of_when_looked_at_is_named(spark, archive: Path) -> None:
    products = [(product, "") for product in discover(archive).products]
    (found,) = run_tasks(spark, "looking", [products], look_in_worker)
    (fault,) = found.unreadable
    assert "S2C" in fault.source
    assert "dies of looking at it" in fault.reason
    assert (fault.cause, len(found.granules)) == ("resources", 2)


KILLER = """
import os, sys
def hook(event, args):
    if event == "os.mkdir" and "_parts/ingest/{poison}" in str(args[0]):
        os.kill(int(open({pid!r}).read()), 9)
        os.kill(os.getpid(), 9)
sys.addaudithook(hook)
"""


def job(archive: Path, out: Path, folder: Path) -> tuple[int, str]:
    """``spark-cot ingest`` in a process of its own, whose workers have the hook."""
    command = [sys.executable, "-m", "spark_cot", "ingest", archive, "--out", out]
    command += ["--master", "local[2]", "--conf", "spark.ui.enabled=false"]
    environment = os.environ | {
        "PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}",
        "PYSPARK_PYTHON": sys.executable,
    }
    with subprocess.Popen(
        list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        (folder / "pid").write_text(str(process.pid))
        _, said = process.communicate(timeout=200)
    return process.returncode, said


def test_a_scene_that_kills_the_job_does_so_twice_and_no_more(
    archive: Path, tmp_path: Path
) -> None:
    """Such as by the memory limit of a container that driver and workers share."""
    folder, out = tmp_path / "hook", tmp_path / "out"
    folder.mkdir()
    poison = "S2B_T31TDJ_20240310T104819"
    (folder / "sitecustomize.py").write_text(KILLER.format(poison=poison, pid=str(folder / "pid")))
    codes = [job(archive, out, folder)[0] for _ in range(2)]
    assert codes == [-9, -9]
    assert len(list((out / "pixels").rglob("*.parquet"))) == 2, "the others are not finished"
    code, said = job(archive, out, folder)
    assert code == 1, said
    assert f"failed {poison}: the job died while it worked on this scene alone" in said
