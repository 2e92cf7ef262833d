"""Kubernetes manifests: valid, consistent with each other and with the Spark properties."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

CONF = Path(__file__).parents[2] / "conf"
K8S = CONF / "k8s"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((K8S / f"{name}.yaml").read_text()))


def properties() -> dict[str, str]:
    lines = (CONF / "spark-defaults.k8s.conf").read_text().splitlines()
    return dict(line.split(None, 1) for line in lines if line.startswith("spark."))


STRING, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
FLAG, TEXTS = {"type": "boolean"}, {"type": "object", "additionalProperties": STRING}


def strict(required: str, **fields: dict[str, Any]) -> dict[str, Any]:
    """Schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": required.split(),
        "additionalProperties": False,
    }


POD = {
    "cores": {"type": "integer", "minimum": 1},
    "memory": {"type": "string", "pattern": "^[0-9]+[kmgt]$"},
    "memoryOverhead": {"type": "string", "pattern": "^[0-9]+[kmgt]$"},
    "serviceAccount": STRING,
    "annotations": TEXTS,
    "env": {"type": "array", "items": strict("name value", name=STRING, value=STRING)},
    "podSecurityContext": {"type": "object"},
    "securityContext": {"type": "object"},
    "volumeMounts": {
        "type": "array",
        "items": strict("name mountPath", name=STRING, mountPath=STRING),
    },
}
#: The part of sparkoperator.k8s.io/v1beta2 that is used here, after the operator's API reference,
#: https://www.kubeflow.org/docs/components/spark-operator/reference/api-docs/ .
SCHEDULED = strict(
    "schedule template",
    schedule=STRING,
    suspend=FLAG,
    concurrencyPolicy={"enum": ["Allow", "Forbid", "Replace"]},
    successfulRunHistoryLimit=COUNT,
    failedRunHistoryLimit=COUNT,
    template=strict(
        "type mode sparkVersion image mainApplicationFile driver executor",
        type={"enum": ["Java", "Python", "Scala", "R"]},
        pythonVersion={"enum": ["2", "3"]},
        mode={"enum": ["cluster", "client", "in-cluster-client"]},
        sparkVersion=STRING,
        image=STRING,
        imagePullPolicy={"enum": ["Always", "Never", "IfNotPresent"]},
        mainApplicationFile=STRING,
        arguments={"type": "array", "items": STRING},
        restartPolicy=strict("type", type={"enum": ["Never", "OnFailure", "Always"]}),
        sparkConf=TEXTS,
        dynamicAllocation=strict(
            "enabled", enabled=FLAG, initialExecutors=COUNT, minExecutors=COUNT, maxExecutors=COUNT
        ),
        volumes={"type": "array", "items": {"type": "object", "required": ["name"]}},
        driver=strict("", **POD),
        executor=strict("", **POD, instances={"type": "integer", "minimum": 1}),
    ),
)


def core_documents() -> list[dict[str, Any]]:
    return documents("access") + documents("cronjob") + documents("executor")


@pytest.mark.parametrize("document", core_documents(), ids=lambda document: document["kind"])
def test_kubernetes_takes_the_manifest(document: dict[str, Any]) -> None:
    if document["kind"] == "Pod":  # a template: Spark gives it its name and image
        document["metadata"] = {"name": "executor"}
    kubernetes_validate.validate(document, "1.30", strict=True)


def scheduled() -> dict[str, Any]:
    (document,) = documents("scheduledsparkapplication")
    return document


def test_the_operator_takes_the_manifest() -> None:
    document = scheduled()
    assert document["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
    assert document["kind"] == "ScheduledSparkApplication"
    jsonschema.validate(document["spec"], SCHEDULED)


def cron() -> dict[str, Any]:
    (document,) = documents("cronjob")
    return document


def cron_pod() -> dict[str, Any]:
    return cron()["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_both_schedules_are_the_same_and_never_overlap() -> None:
    template = scheduled()["spec"]["template"]
    for manifest in (cron(), scheduled()):
        assert manifest["metadata"] == {"name": "reprocess", "namespace": "spark-cot"}
        assert manifest["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron()["spec"]["schedule"] == scheduled()["spec"]["schedule"]
    (container,) = cron_pod()["containers"]
    assert container["image"] == template["image"]
    assert f"{container['args'][-2]} {container['args'][-1]}" == " ".join(
        [template["mainApplicationFile"].removeprefix("local://"), *template["arguments"]]
    )


def test_the_operator_repeats_the_spark_properties() -> None:
    template, wanted = scheduled()["spec"]["template"], properties()
    executor, driver = template["executor"], template["driver"]
    assert template["sparkConf"].items() <= wanted.items()
    scale = template["dynamicAllocation"]
    own = {
        "spark.kubernetes.namespace": scheduled()["metadata"]["namespace"],
        "spark.kubernetes.container.image": template["image"],
        "spark.kubernetes.authenticate.driver.serviceAccountName": driver["serviceAccount"],
        "spark.kubernetes.authenticate.executor.serviceAccountName": executor["serviceAccount"],
        "spark.executor.instances": str(executor["instances"]),
        "spark.executor.cores": str(executor["cores"]),
        "spark.executor.memory": executor["memory"],
        "spark.executor.memoryOverhead": executor["memoryOverhead"],
        "spark.driver.memory": driver["memory"],
        "spark.driver.memoryOverhead": driver["memoryOverhead"],
        "spark.dynamicAllocation.enabled": str(scale["enabled"]).lower(),
        "spark.dynamicAllocation.minExecutors": str(scale["minExecutors"]),
        "spark.dynamicAllocation.maxExecutors": str(scale["maxExecutors"]),
    }
    own |= {f"spark.executorEnv.{e['name']}": e["value"] for e in executor["env"]}
    own |= {f"spark.kubernetes.driver.annotation.{k}": v for k, v in driver["annotations"].items()}
    (volume,) = template["volumes"]
    for role, pod in (("driver", driver), ("executor", executor)):
        claim = f"spark.kubernetes.{role}.volumes.persistentVolumeClaim.{volume['name']}"
        own[f"{claim}.options.claimName"] = volume["persistentVolumeClaim"]["claimName"]
        own[f"{claim}.mount.path"] = pod["volumeMounts"][0]["mountPath"]
    assert own | template["sparkConf"] == wanted


def test_all_pods_pass_the_restricted_level_of_the_namespace() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/ ."""
    template, (executor,) = scheduled()["spec"]["template"], documents("executor")
    pods = [
        (pod["podSecurityContext"], pod["securityContext"])
        for pod in (template["driver"], template["executor"])
    ] + [
        (pod["securityContext"], pod["containers"][0]["securityContext"])
        for pod in (cron_pod(), executor["spec"])
    ]
    for pod, container in pods:
        assert pod["runAsNonRoot"]
        assert pod["runAsUser"] == 185
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_names_that_manifests_share_exist() -> None:
    names = {(d["kind"], d["metadata"]["name"]) for d in documents("access")}
    assert ("ServiceAccount", cron_pod()["serviceAccountName"]) in names
    claim = cron_pod()["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert ("PersistentVolumeClaim", claim) in names
    assert (
        claim == scheduled()["spec"]["template"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    )
