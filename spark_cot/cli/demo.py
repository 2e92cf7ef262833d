"""The demo."""

from __future__ import annotations

from spark_cot.archive.options import DemoOptions
from spark_cot.cli.console import console
from spark_cot.cli.pages import show, writes_page
from spark_cot.cli.running import job_of, print_path, print_stage, start_spark
from spark_cot.demo import story
from spark_cot.demo.report import demo_sections
from spark_cot.engine.outcome import exit_code
from spark_cot.tables.workspace import Workspace


def demo(options: DemoOptions) -> int:
    """Show the whole story on simulated scenes of known thickness."""
    plan = story.Demo(options.out, options.seed)
    if options.dry_run:
        show(writes_page(story.written(plan)))
        return 0
    job = job_of("demo", options, options.bundle)
    for stage in story.demo(start_spark("demo", options), plan, options.model):
        job.stages.append(stage)
        print_stage(stage)
    code = exit_code(job.stages, 0)
    if code:
        console.print("the demo stopped at its first failure; run again to go on from there")
        print_path("report", job.report(options.out / "reports"))
        return code
    job.sections = demo_sections(plan, options.bundle)
    workspace = Workspace.open(plan.workspace)
    print_path("report", job.report(workspace.reports, workspace))
    return code
