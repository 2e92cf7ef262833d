"""Nightly reprocessing as an Airflow DAG (Airflow 3, apache-airflow-providers-apache-spark).

The connection ``spark_cot`` is of type Spark and names the master. A rerun is always safe: what is
done is skipped, and the job takes the workspace's lock; `max_active_runs` saves the attempt.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

HOME = "/opt/spark-cot"

with DAG(
    dag_id="spark_cot_reprocess",
    description="New, changed and outdated scenes of the Sentinel-2 archive",
    schedule="15 2 * * *",
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=30)},
) as dag:
    SparkSubmitOperator(
        task_id="reprocess",
        conn_id="spark_cot",
        application=f"{HOME}/jobs/reprocess.py",
        application_args=["--config", f"{HOME}/conf/jobs/reprocess.yaml"],
        properties_file=f"{HOME}/conf/spark-defaults.standalone.conf",
        env_vars={"SPARK_CONF_DIR": f"{HOME}/conf"},
        name="spark-cot reprocess",
    )
