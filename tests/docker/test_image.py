"""The image's recipe, as far as it can be judged without a Docker engine."""

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pyspark
import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
SPARK_HOME = Path(pyspark.__file__).parent
BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    lines = dockerfile()
    return lines[max(n for n, (name, _) in enumerate(lines) if name == "FROM") :]


def fake(folder: Path, name: str) -> None:
    """A program that only says how it was called, one argument a line."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    path.chmod(0o755)


def run(*command: object, **environment: str) -> list[str]:
    result = subprocess.run(
        list(map(str, command)),
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", DOCKER / "Dockerfile"],
        ["shellcheck", *DOCKER.glob("*.sh"), *(ROOT / "conf" / "slurm").glob("*.sbatch")],
    ],
    ids=lambda command: command[0],
)
def test_linters_find_nothing(command: list[object]) -> None:
    tool = Path(sys.executable).parent / str(command[0])
    result = subprocess.run([tool, *command[1:]], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    sources = [
        source
        for name, text in dockerfile()
        if name == "COPY" and "--from" not in text
        for source in text.split()[:-1]
    ]
    assert len(sources) == 8
    for source in sources:
        assert (ROOT / source).exists()
        paths = [source, *map(str, Path(source).parents)]
        assert any(fnmatch.fnmatch(path, pattern) for path in paths for pattern in kept), source


def test_python_and_java_are_those_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (python,) = re.findall(r"PYTHON=(\d+\.\d+\.\d+)-slim-bookworm", str(dockerfile()))
    assert python in SpecifierSet(project["requires-python"])
    assert "openjdk-17-jre-headless" in str(final_stage())


def test_the_libraries_are_the_locked_ones() -> None:
    (installs,) = [text for name, text in dockerfile() if "pip install --extra" in text]
    assert "--constraint conf/locks/newest.txt" in installs


def test_the_final_stage_has_no_root_and_no_compiler() -> None:
    stage = final_stage()
    assert [text for name, text in stage if name == "USER"] == ["185"]
    assert stage.index(("USER", "185")) < [name for name, _ in stage].index("ENTRYPOINT")
    installed = re.search(r"apt-get install (.*?) &&", str(stage))
    assert installed
    packages = {word for word in installed[1].split() if not word.startswith("-")}
    assert packages == {"openjdk-17-jre-headless", "libexpat1", "tini"}


def test_the_driver_is_a_client_of_its_own_pod(tmp_path: Path) -> None:
    fake(tmp_path / "bin", "spark-submit")
    called = run(
        *(DOCKER / "entrypoint.sh", "driver", "--properties-file", "a b", "local:///run.py"),
        SPARK_HOME=str(tmp_path),
        SPARK_DRIVER_BIND_ADDRESS="10.0.0.7",
    )
    assert called == [
        f"{tmp_path}/bin/spark-submit",
        *("--deploy-mode", "client", "--conf", "spark.driver.bindAddress=10.0.0.7"),
        *("--properties-file", "a b", "local:///run.py"),
    ]


def test_the_executor_is_the_class_of_this_spark_with_what_spark_hands_over(tmp_path: Path) -> None:
    (jar,) = (SPARK_HOME / "jars").glob("spark-kubernetes_*.jar")
    with zipfile.ZipFile(jar) as file:
        assert f"{BACKEND.replace('.', '/')}.class" in file.namelist()
    fake(tmp_path / "bin", "java")
    called = run(
        *(DOCKER / "entrypoint.sh", "executor"),
        JAVA_HOME=str(tmp_path),
        SPARK_HOME="/spark",
        SPARK_CONF_DIR="/conf",
        SPARK_JAVA_OPT_0="-Dspark.driver.port=7078",
        SPARK_JAVA_OPT_1="-Da=b c",
        SPARK_EXECUTOR_MEMORY="2048m",
        SPARK_DRIVER_URL="spark://driver",
        SPARK_EXECUTOR_ID="3",
        SPARK_EXECUTOR_CORES="4",
        SPARK_APPLICATION_ID="spark-1",
        SPARK_EXECUTOR_POD_IP="10.0.0.8",
        SPARK_RESOURCE_PROFILE_ID="0",
        SPARK_EXECUTOR_POD_NAME="exec-3",
    )
    assert called == [
        f"{tmp_path}/bin/java",
        *("-Dspark.driver.port=7078", "-Da=b c", "-Xms2048m", "-Xmx2048m"),
        *("-cp", "/conf:/spark/jars/*", BACKEND),
        *("--driver-url", "spark://driver", "--executor-id", "3", "--cores", "4"),
        *("--app-id", "spark-1", "--hostname", "10.0.0.8", "--resourceProfileId", "0"),
        *("--podName", "exec-3"),
    ]


@pytest.mark.parametrize("known", [True, False])
def test_any_user_gets_a_name(tmp_path: Path, known: bool) -> None:
    passwd, script = tmp_path / "passwd", tmp_path / "entrypoint.sh"
    passwd.write_text("root:x:0:0:root:/root:/bin/sh\n")
    fake(tmp_path / "bin", "id")
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 1000680000\n")
    (tmp_path / "bin" / "getent").write_text(f"#!/bin/sh\nexit {0 if known else 2}\n")
    (tmp_path / "bin" / "getent").chmod(0o755)
    script.write_text((DOCKER / "entrypoint.sh").read_text().replace("/etc/passwd", str(passwd)))
    run("bash", script, "true", PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    names = [line.split(":")[2] for line in passwd.read_text().splitlines()]
    assert names == (["0"] if known else ["0", "1000680000"])
    assert "chmod g=u /etc/passwd" in str(final_stage())


def test_anything_else_is_a_command_with_its_exit_code() -> None:
    assert run(DOCKER / "entrypoint.sh", "echo", "a  b") == ["a  b"]
    assert subprocess.run([DOCKER / "entrypoint.sh", "sh", "-c", "exit 7"]).returncode == 7


def test_build_names_the_image_after_the_version(tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("docker", "apptainer"):
        fake(tmp_path, name)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    called = run(DOCKER / "build.sh", PATH=path, APPTAINER="1", TORCH_INDEX="https://x/cu126")
    image = f"spark-cot:{version}"
    assert called == [
        *(f"{tmp_path}/docker", "build", "--file", "docker/Dockerfile", "--tag", image),
        *("--build-arg", "TORCH_INDEX=https://x/cu126", "."),
        *(f"{tmp_path}/docker", "run", "--rm", image, "spark-cot", "--version"),
        *(f"{tmp_path}/apptainer", "build", "--build-arg", f"image={image}"),
        *(f"spark-cot-{version}.sif", "docker/spark-cot.def"),
    ]
    assert f"    image={image}\n" in (DOCKER / "spark-cot.def").read_text()
