"""Every schedule runs the same job from the same file, at the same hour."""

import ast
import configparser
import re
from pathlib import Path

import pytest
import yaml

CONF = Path(__file__).parents[2] / "conf"
SCHEDULES = {
    "cron": "cron/spark-cot",
    "systemd": "systemd/spark-cot-reprocess.service",
    "airflow": "airflow/reprocess_dag.py",
    "cronjob": "k8s/cronjob.yaml",
    "operator": "k8s/scheduledsparkapplication.yaml",
    "slurm": "slurm/scrontab",
}


def text(name: str) -> str:
    return (CONF / SCHEDULES[name]).read_text(encoding="utf-8")


def dag_calls() -> dict[str, dict[str, ast.expr]]:
    """Keyword arguments of the calls in the DAG file, by what is called."""
    nodes = ast.walk(ast.parse(text("airflow")))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return {ast.unparse(call.func): {k.arg or "": k.value for k in call.keywords} for call in calls}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_job_is_reprocess_with_its_configuration(name: str) -> None:
    words = re.sub(r"[\"'\[\],={}]|\bf(?=\")", " ", text(name))
    assert re.search(r"jobs/reprocess\.py|spark-cot reprocess", words)
    assert re.search(r"--config\s+f?\s*\S*\s*\S*conf/jobs/reprocess\.yaml", words)


def test_all_start_at_the_same_hour() -> None:
    fields = [line.split()[:5] for line in text("cron").splitlines() if re.match(r"\d", line)]
    fields += [line.split()[:5] for line in text("slurm").splitlines() if re.match(r"\d", line)]
    fields += [
        str(yaml.safe_load(text(n))["spec"]["schedule"]).split() for n in ("cronjob", "operator")
    ]
    fields.append(ast.literal_eval(dag_calls()["DAG"]["schedule"]).split())
    assert fields == [["15", "2", "*", "*", "*"]] * 5
    timer = (CONF / "systemd" / "spark-cot-reprocess.timer").read_text()
    assert "OnCalendar=*-*-* 02:15:00" in timer


def test_no_schedule_overlaps_itself() -> None:
    """Besides the lock on the workspace, which the command takes."""
    assert "flock --nonblock" in text("cron")
    assert "Type=oneshot" in text("systemd")
    assert ast.literal_eval(dag_calls()["DAG"]["max_active_runs"]) == 1
    assert "sbatch --wait" in text("slurm")
    for script in ("spark", "train"):
        assert "#SBATCH --dependency=singleton" in (CONF / f"slurm/{script}.sbatch").read_text()
    for name in ("cronjob", "operator"):
        assert yaml.safe_load(text(name))["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_dag_calls_the_operator_by_names_it_has() -> None:
    """SparkSubmitOperator of apache-airflow-providers-apache-spark 6."""
    known = {"task_id", "conn_id", "application", "application_args", "properties_file"}
    assert set(dag_calls()["SparkSubmitOperator"]) == known | {"env_vars", "name"}
    assert not ast.literal_eval(dag_calls()["DAG"]["catchup"])


@pytest.mark.parametrize("unit", ["service", "timer"])
def test_systemd_units_are_files_of_known_sections(unit: str) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((CONF / f"systemd/spark-cot-reprocess.{unit}").read_text())
    sections = {"service": ["Unit", "Service"], "timer": ["Unit", "Timer", "Install"]}
    assert parser.sections() == sections[unit]
