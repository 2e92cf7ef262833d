"""Secrets stand nowhere: not in messages, logs, reports, nor in what a workspace keeps."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spark_cot.archive.options import RunOptions
from spark_cot.cli import main
from spark_cot.errors import SetupError, SparkCotError, reason
from spark_cot.report.run import Failure, RunReport, render, write_report
from spark_cot.secrets import HIDDEN, hidden
from spark_cot.storage import path_of

WORD = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"https://tom:{WORD}@host/x: refused",
        f"s3://{WORD}@bucket/x",
        f"GET https://host/x?X-Amz-Signature={WORD}&y=1 failed",
        f"https://host/x?y=1&sig={WORD}",
        f"spark.hadoop.fs.s3a.secret.key={WORD}",
        f"spark.hadoop.fs.s3a.access.key = '{WORD}'",
        f"AWS_SESSION_TOKEN={WORD}",
        f'{{"password": "{WORD}"}}',
        f"passwd:{WORD}",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    assert HIDDEN in hidden(text)
    assert WORD not in hidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "/data/[secret] plans/tile=31TCJ/S2A.SAFE: B03 is no whole JPEG 2000 image",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL if need be",
        "s3://bucket/a@b/c: InvalidToken: The provided token has expired",
        "http://127.0.0.1:4040 mask_above=1.25",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert hidden(text) == text


def test_what_the_environment_holds_is_hidden_but_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WORD)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/token")
    text = f"signed with {WORD} of /var/run/secrets/token"
    assert hidden(text) == f"signed with {HIDDEN} of /var/run/secrets/token"


def test_errors_and_reasons_hide_secrets() -> None:
    url = f"https://tom:{WORD}@host/x"
    for said in (str(SparkCotError("refused", url)), reason(OSError(5, "no answer", url))):
        assert WORD not in said
        assert "@host/x" in said
    assert WORD not in reason(ValueError(url))


def test_a_url_with_credentials_is_refused() -> None:
    with pytest.raises(SetupError, match="holds credentials") as error:
        path_of(f"s3://key:{WORD}@bucket/archive")
    assert WORD not in str(error.value)


def test_a_report_shows_no_secret(tmp_path: Path) -> None:
    conf = [
        f"spark.hadoop.fs.s3a.secret.key={WORD} {WORD}, {WORD}",
        "spark.executor.cores=4",
        "spark.redaction.regex=(?i)geheim",
        f"spark.mein.Geheimnis={WORD}",
    ]
    options = RunOptions(archive="a", out="w", conf=conf).given()
    assert "spark.executor.cores=4" in options["conf"]
    url = f"https://tom:{WORD}@host/x"
    report = RunReport(
        "run", options, datetime.now(UTC), 1.0, failures=[Failure(url, "ingest", f"{url} is slow")]
    )
    written, page = write_report(report, tmp_path)
    for text in (written.read_text(), page.read_text(), render(report)):
        assert WORD not in text
        assert "@host/x" in text
    assert json.loads(written.read_text())["failures"][0]["source"].endswith("@host/x")


def test_a_report_takes_any_name(tmp_path: Path) -> None:
    name = "/a/\udcff[/x]<b>"
    report = RunReport("run", {"archive": name}, datetime.now(UTC), 1.0)
    written, page = write_report(report, tmp_path)
    assert json.loads(written.read_text())["options"]["archive"] == name
    assert "/a/\\udcff[/x]&lt;b&gt;" in page.read_text()


def test_log_lines_and_messages_of_the_command_line_show_no_secret(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        logging.getLogger().handlers[-1].stream = __import__("sys").stderr
        logging.getLogger("x").warning("password=%s", WORD)
        raise ValueError(f"https://tom:{WORD}@host/x")

    monkeypatch.setattr("spark_cot.cli.operate.status", fail)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(SystemExit):
        main(["status", "workspace"])
    with pytest.raises(SystemExit):
        main(["run", "a", "--out", "w", "--conf", f"spark.secret:{WORD}"])
    said = capfd.readouterr().err
    assert (WORD in said, "ValueError" in said, said.count(HIDDEN) >= 3) == (False, True, True)
