"""A SparkSession from configuration: no cluster setting stands in code.

Master, memory, cores and the rest come from spark-submit, ``--master``, ``--conf`` and the
properties files in conf/. Set here is only what the results depend on, the driver's way into the
object store, which the workers take too, and quiet logs where nobody has configured Spark.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spark_cot.engine.tasks import java_message
from spark_cot.errors import SetupError
from spark_cot.storage import worker_environment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Spark's local mode gives up at the first lost worker; the 4 lets a task be tried again.
LOCAL_MASTER: Final = "local[*,4]"
_ONE_TRY: Final = re.compile(r"local(?:\[(\*|\d+)\])?")
#: PySpark's word for a Java that has ended.
_NO_GATEWAY: Final = "JAVA_GATEWAY_EXITED"
#: Variables that lead PySpark to a server.
_CONNECT: Final = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
_OF_SIZE: Final = re.compile(
    r"spark\.\w+(\.pyspark)?\.memory(Overhead)?|SPARK_(DRIVER|EXECUTOR|WORKER|DAEMON)_MEMORY"
)
_SIZE: Final = re.compile(r"\d+([kmgtp]b?|b)?", re.IGNORECASE)
_MINIMUM_JAVA: Final = 17
_LOGS: Final = Path(__file__).with_name("log4j2.properties")


def spark_session(
    name: str, master: str | None = None, conf: Mapping[str, str] | None = None
) -> SparkSession:
    """Start Spark, or take the session that spark-submit has started.

    Parameters
    ----------
    name : str
        Application name.
    master : str, optional
        ``local[*]``, ``spark://...``, ``k8s://...``. None keeps what spark-submit or a
        properties file says, and is all local cores where nobody says anything.
    conf : mapping, optional
        Spark properties; they win over files.

    Raises
    ------
    SetupError
        Spark does not start; the message says why and what to do.
    """
    _check_no_connect(conf or {})
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        check_java()
        _check_machine()
        _check_sizes({**os.environ, **(conf or {})})
        master = LOCAL_MASTER if master is None else _with_tries(master)
        conf = _quiet_logs() | dict(conf or {})
    elif master is not None:
        raise SetupError(
            "--master was given behind the script", cure="Under spark-submit give it before"
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # PySpark 4.3 says so at every start; the tests run with pandas 3 and with pandas 2.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name).config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.ui.showConsoleProgress", "false")  # stages show their own
    builder = builder.config("spark.python.worker.faulthandler.enabled", "true")
    if master is not None:
        builder = builder.master(master)
    for key, value in (conf or {}).items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:  # of Java, of Python's side of it, or of the system
        why = java_message(error)
        if _NO_GATEWAY in why:
            why = "Java ended before Spark was up, and has said why"
        raise SetupError(
            f"Spark does not start: {why}",
            master,
            "Look at what Java has printed above, and at master, SPARK_CONF_DIR and --conf",
        ) from error
    session.sparkContext.environment.update(worker_environment())
    return session


def _with_tries(master: str) -> str:
    """``local[2]`` as ``local[2,4]``; other masters as they are."""
    local = _ONE_TRY.fullmatch(master)
    return f"local[{local[1] or 1},4]" if local else master


def _quiet_logs() -> dict[str, str]:
    """Property that keeps logs to warnings, unless someone has a configuration of their own."""
    if {"SPARK_HOME", "SPARK_CONF_DIR"} & os.environ.keys():
        return {}
    if not _LOGS.is_file():  # the package is a zip file
        return {}
    return {"spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOGS.as_uri()}"}


def check_java() -> None:
    """Raise SetupError unless a Java that Spark 4 runs on is found."""
    cure = (
        f"Install a JDK {_MINIMUM_JAVA} or 21 (Debian: apt-get install openjdk-17-jre-headless; "
        "conda: conda install openjdk=17) or point JAVA_HOME at one"
    )
    java = _java()
    if java is None:
        raise SetupError("no Java found on PATH or in JAVA_HOME", cure=cure)
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError as error:
        where = f"JAVA_HOME={os.environ.get('JAVA_HOME', '')}"
        raise SetupError(f"no Java there: {error.strerror}", where, cure) from error
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None:
        raise SetupError("does not answer -version like a Java", java, cure)
    if int(version[1]) < _MINIMUM_JAVA:
        raise SetupError(f"is Java {version[1]}, Spark 4 needs {_MINIMUM_JAVA} or 21", java, cure)


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java")


def _check_no_connect(conf: Mapping[str, str]) -> None:
    """Raise SetupError where Spark Connect is asked for, which has no tasks of our own."""
    asked = {name for name in _CONNECT if os.environ.get(name)}
    asked |= {"spark.remote"} & conf.keys()
    if asked or os.environ.get("SPARK_API_MODE", "classic") == "connect":
        what = " and ".join(sorted(asked)) or "SPARK_API_MODE=connect"
        raise SetupError(
            "Spark Connect is asked for, and jobs need a Spark of their own",
            what,
            "Unset it and give --master, or use the SQL function through Connect",
        )


def _check_machine() -> None:
    """Raise SetupError where Spark's own programs, this user or this machine have no name."""
    home = os.environ.get("SPARK_HOME")
    if home and not Path(home, "bin", "spark-submit").is_file():
        raise SetupError(
            "no Spark there", f"SPARK_HOME={home}", "Unset it, or point it at a Spark 4"
        )
    try:
        pwd.getpwuid(os.getuid())
    except KeyError as error:
        raise SetupError(
            f"the user id {os.getuid()} has no name on this machine, and Hadoop asks for one",
            "/etc/passwd",
            "Run as a user that has one, or add a line; the image's entry point does",
        ) from error
    if not {"SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"} & os.environ.keys():
        name = socket.gethostname()
        try:
            socket.getaddrinfo(name, None)
        except OSError as error:
            raise SetupError(
                f"the name of this machine does not resolve: {error.strerror or error}",
                name,
                "Add it to /etc/hosts, or set SPARK_LOCAL_IP, on one machine to 127.0.0.1",
            ) from error


def _check_sizes(settings: Mapping[str, str]) -> None:
    """Raise SetupError unless sizes of memory are written as Java and Spark take them."""
    for name, value in settings.items():
        if _OF_SIZE.fullmatch(name) and not _SIZE.fullmatch(value.strip()):
            raise SetupError(
                f"{value!r} is no size of memory",
                name,
                "Give a whole number with k, m, g or t, such as 4g",
            )
