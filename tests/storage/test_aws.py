"""One botocore resolves how S3 is reached, and every client is told the same."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import s3fs

from spark_cot.errors import SetupError
from spark_cot.storage import (
    delta_place,
    find,
    gdal_keys,
    gdal_options,
    path_of,
    publish,
    worker_environment,
)

OBJECT = "/vsis3/bucket/x.jp2"
CONFIG = """
[profile archive]
region = eu-west-3
services = eodata
source_profile = keys
[services eodata]
s3 =
  endpoint_url = http://127.0.0.1:9000
"""
KEYS = """
[archive]
aws_access_key_id = OF_THE_PROFILE
aws_secret_access_key = secret
"""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that says nothing of S3 but where its two files would be."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    path_of("s3://bucket/x")
    return monkeypatch


def told() -> list[dict[str, str]]:
    """What GDAL, delta-rs and the workers are told, with the keys."""
    gdal = gdal_options(OBJECT) | gdal_keys(OBJECT)
    return [gdal, delta_place(path_of("s3://bucket/log"))[1], worker_environment()]


def test_a_profile_with_an_endpoint_in_the_file_reaches_every_client(
    aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(CONFIG.replace("source_profile = keys\n", ""))
    (tmp_path / "credentials").write_text(KEYS)
    aws.setenv("AWS_PROFILE", "archive")
    gdal, delta, workers = told()
    for client in (gdal, delta, workers):
        assert client["AWS_ACCESS_KEY_ID"] == "OF_THE_PROFILE"
        assert client["AWS_REGION"] == "eu-west-3"
    assert (gdal["AWS_S3_ENDPOINT"], gdal["AWS_HTTPS"]) == ("127.0.0.1:9000", "NO")
    assert gdal["AWS_VIRTUAL_HOSTING"] == "FALSE"
    assert delta["AWS_ENDPOINT_URL"] == workers["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:9000"
    assert delta["AWS_ALLOW_HTTP"] == "true"


@pytest.mark.parametrize(
    ("variables", "host", "secure"),
    [
        ({}, None, None),
        ({"AWS_ENDPOINT_URL": "https://eodata.example.org/"}, "eodata.example.org", "YES"),
        (
            {"AWS_ENDPOINT_URL": "https://x", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            "127.0.0.1:9",
            "NO",
        ),
    ],
)
def test_gdal_is_told_the_endpoint_of_the_environment(
    aws: pytest.MonkeyPatch, variables: dict[str, str], host: str | None, secure: str | None
) -> None:
    for name, value in variables.items():
        aws.setenv(name, value)
    options = gdal_options(OBJECT)
    assert (options.get("AWS_S3_ENDPOINT"), options.get("AWS_HTTPS")) == (host, secure)
    aws.setenv("AWS_VIRTUAL_HOSTING", "TRUE")
    assert "AWS_VIRTUAL_HOSTING" not in gdal_options(OBJECT), "GDAL's own variables win"
    assert gdal_options("/archive/x.jp2") == {}


def test_every_client_makes_as_many_attempts_as_botocore_is_told(
    aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gdal, delta, workers = told()
    assert (gdal["GDAL_HTTP_MAX_RETRY"], delta.get("max_retries")) == ("3", None)
    assert "AWS_MAX_ATTEMPTS" not in workers
    (tmp_path / "config").write_text("[default]\nmax_attempts = 7\nretry_mode = standard\n")
    aws.setenv("AWS_PROFILE", "default")
    for attempts in (7, 2):
        gdal, delta, workers = told()
        assert gdal["GDAL_HTTP_MAX_RETRY"] == delta["max_retries"] == str(attempts - 1)
        assert workers["AWS_MAX_ATTEMPTS"] == str(attempts)
        assert workers["AWS_RETRY_MODE"] == "standard"
        aws.setenv("AWS_MAX_ATTEMPTS", "2")
    aws.setenv("GDAL_HTTP_MAX_RETRY", "9")
    assert "GDAL_HTTP_MAX_RETRY" not in gdal_options(OBJECT), "GDAL's own variables win"


def test_credentials_that_run_out_travel_with_their_token(
    aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of a process, as of single sign-on: workers elsewhere cannot ask for them."""
    expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = {
        **{"Version": 1, "AccessKeyId": "SHORT", "SecretAccessKey": "s", "SessionToken": "t"},
        "Expiration": expiry,
    }
    script = tmp_path / "ask.py"
    script.write_text(f"print({json.dumps(answer)!r})")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    for client in told():
        assert (client["AWS_ACCESS_KEY_ID"], client["AWS_SESSION_TOKEN"]) == ("SHORT", "t")


@pytest.mark.parametrize(
    ("config", "profile", "said"),
    [
        ("", "nobody", "nobody"),
        (
            "[profile sso]\nsso_start_url = https://x\nsso_region = eu-west-3\n"
            "sso_account_id = 1\nsso_role_name = r\n",
            "sso",
            "aws sso login",
        ),
        ("[default]\ncredential_process = false\n", "default", "custom-process"),
    ],
)
def test_settings_that_lead_nowhere_are_one_refusal_with_its_cure(
    aws: pytest.MonkeyPatch, tmp_path: Path, config: str, profile: str, said: str
) -> None:
    (tmp_path / "config").write_text(config)
    aws.setenv("AWS_PROFILE", profile)
    with pytest.raises(SetupError, match="S3 settings do not lead to a store") as refused:
        gdal_keys(OBJECT)
    assert said in str(refused.value)


def test_nothing_is_asked_for_where_nothing_lies_in_a_store() -> None:
    code = (
        "import sys\nfrom spark_cot.storage import gdal_options, worker_environment\n"
        "assert worker_environment() == gdal_options('/a/b.jp2') == {}\n"
        "assert 'botocore' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_ingest_runs_on_a_profile_alone(
    bucket: Path, archive: Path, aws: pytest.MonkeyPatch, s3, tmp_path: Path, cot_command
) -> None:
    (tmp_path / "config").write_text(
        f"[profile archive]\nregion = us-east-1\nendpoint_url = {s3.url}\n"
    )
    (tmp_path / "credentials").write_text(KEYS)
    aws.setenv("AWS_PROFILE", "archive")
    for file in find(archive):
        publish(file, bucket / "archive" / file.relative_to(archive).as_posix())
    s3fs.S3FileSystem.clear_instance_cache()  # those of the tests before have their own keys
    s3.callers.clear()
    code, text = cot_command("ingest", f"{bucket}archive", "--out", f"{bucket}workspace")
    assert (code, "ingest: 3 done" in text) == (0, True), text
    s3fs.S3FileSystem.clear_instance_cache()
    assert s3.callers == {"OF_THE_PROFILE"}
