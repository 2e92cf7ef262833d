"""The demo."""

from __future__ import annotations

from pathlib import Path

import click

from spark_cot.cli.options import MODEL, PATH, spark_options
from spark_cot.cli.running import console, current_job, print_path, print_stage, start_spark
from spark_cot.engine.outcome import exit_code
from spark_cot.models.bundle import load_bundle
from spark_cot.models.shipped import DEFAULT, SHIPPED
from spark_cot.tables.workspace import Workspace


@click.command()
@click.option("--out", type=PATH, required=True, help="Folder of the demo; made if missing.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Of all draws.")
@click.option(
    "--model",
    type=MODEL,
    default=DEFAULT,
    show_default=True,
    help=f"Bundle folder, or one that ships: {', '.join(SHIPPED)}.",
)
@spark_options
def demo(out: Path, seed: int, model: Path, master: str | None, conf: tuple[str, ...]) -> int:
    """Show the whole story on simulated scenes of known thickness; a few minutes, no network.

    Simulates a table and trains a small model on it, simulates an archive, applies a model to it,
    and reports how near its maps come to the truth. Run again, it keeps what is there.
    """
    # Numba and its kernels take seconds to import, which other commands need not wait for.
    from spark_cot.demo.report import demo_sections
    from spark_cot.demo.story import Demo
    from spark_cot.demo.story import demo as run_demo

    bundle, plan = load_bundle(model), Demo(out, seed)
    job = current_job(bundle)
    for stage in run_demo(start_spark("demo", master, conf), plan, bundle):
        job.stages.append(stage)
        print_stage(stage)
    code = exit_code(job.stages, 0)
    if code:
        console.print("the demo stopped at its first failure; run again to go on from there")
        print_path("report", job.report(out / "reports"))
        return code
    job.sections = demo_sections(plan, bundle)
    workspace = Workspace.open(plan.workspace)
    print_path("report", job.report(workspace.reports, workspace))
    return code
