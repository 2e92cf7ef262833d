"""Faults are booked where they lie: a store that does not answer is no attempt of a scene."""

import errno
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_cot.commit.log import Log
from spark_cot.errors import ProductError, StoreError, TableError, cause
from spark_cot.safe.files import content_of, open_files
from spark_cot.storage import find, publish
from spark_cot.tables.workspace import Workspace


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (ProductError("no B10"), "product"),
        (TableError("no such column"), "product"),
        (caused(ProductError("cannot be read"), OSError(errno.EIO, "x", "/a")), "store"),
        (caused(ProductError("cannot be read"), OSError(errno.ESTALE, "x", "/a")), "store"),
        (caused(ProductError("cannot be read"), PermissionError(13, "x", "/a")), "product"),
        (caused(ProductError("cannot be read"), PermissionError(13, "x", "s3://a/b")), "store"),
        (caused(ProductError("gone"), FileNotFoundError(2, "x", "s3://a/b")), "product"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "store"),
        (OSError(errno.ENOSPC, "full", "/out"), "store"),
        (OSError(errno.EROFS, "read-only", "/out"), "store"),
        (StoreError("does not answer"), "store"),
        (MemoryError(), "resources"),
        (OSError(errno.EMFILE, "too many"), "resources"),
        (ZeroDivisionError(), "code"),
        (KeyError("absent"), "code"),
    ],
)
def test_faults_are_told_apart_by_their_cause(error: Exception, where: str) -> None:
    assert cause(error) == where


@pytest.fixture
def uploaded(bucket: Path, archive: Path) -> Path:
    for file in find(archive):
        publish(file, bucket / "archive" / file.relative_to(archive).as_posix())
    return bucket


def ingest(command: Callable[..., tuple[int, str]], bucket: Path, out: Path) -> tuple[int, str]:
    return command("ingest", f"{bucket}archive", "--out", out)


def attempts(out: Path) -> dict[str, int]:
    return {name: e.attempt for name, e in Log(Workspace.open(out)).entries("ingest").items()}


def test_images_that_the_store_does_not_give_end_the_job_and_are_no_attempts(
    uploaded: Path, tmp_path: Path, s3, monkeypatch: pytest.MonkeyPatch, cot_command
) -> None:
    zipped = {"S2B_T31TDJ_20240310T104819"}
    for endings, given in (((".jp2",), zipped), ((".jp2", ".zip"), set())):
        out, scenes = tmp_path / f"out{len(given)}", 3 - len(given)

        def refuse(method: str, path: str, endings: tuple[str, ...] = endings) -> bool:
            return method == "GET" and path.endswith(endings)

        monkeypatch.setattr(s3, "refuse", refuse)
        code, text = ingest(cot_command, uploaded, out)
        assert code == 2, text
        assert f"error the store did not give or take what {scenes} scenes needed" in text
        assert "Download the product again" not in text
        assert set(attempts(out)) == given
        report = json.loads(max((out / "reports").glob("*.json")).read_text())
        assert len(report["failures"]) == scenes
    monkeypatch.undo()
    code, text = ingest(cot_command, uploaded, out)
    assert (code, set(attempts(out).values())) == (0, {1}), text


def test_a_short_outage_is_waited_out(
    uploaded: Path, tmp_path: Path, s3, monkeypatch: pytest.MonkeyPatch, cot_command
) -> None:
    left = [3]

    def refuse(method: str, path: str) -> bool:
        if method != "GET" or not path.endswith("_B05.jp2") or not left[0]:
            return False
        left[0] -= 1
        return True

    monkeypatch.setattr(s3, "refuse", refuse)
    code, text = ingest(cot_command, uploaded, tmp_path / "out")
    assert (code, left) == (0, [0]), text
    assert set(attempts(tmp_path / "out").values()) == {1}


#: Of a job whose store throttles all that it is asked for. With botocore's own five attempts, which
#: s3fs starts five times, each file would take half a minute.
SECONDS_UNTIL_IT_GIVES_UP = 150


@pytest.mark.parametrize(
    ("methods", "part", "said"),
    [
        ({"GET", "HEAD", "PUT", "POST"}, "", "Slow down. Check that its disk or store works"),
        ({"GET"}, ".jp2", "the store did not give or take what 1 scenes needed"),
        ({"PUT"}, "/_delta_log/", "its log cannot be written: .*(Slow down|503)"),
    ],
    ids=["from the start", "GDAL in a task", "delta-rs in the driver"],
)
def test_a_store_that_goes_on_throttling_ends_the_job_and_is_no_attempt(
    uploaded: Path,
    s3,
    monkeypatch: pytest.MonkeyPatch,
    cot_command,
    methods: set[str],
    part: str,
    said: str,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    out, product = uploaded / "out", next((uploaded / "archive").glob("*.SAFE"))
    with monkeypatch.context() as throttled:
        throttled.setattr(s3, "busy", lambda method, path: method in methods and part in path)
        started = time.monotonic()
        code, text = cot_command("ingest", product, "--out", out)
    assert code == 2, text
    assert time.monotonic() - started < SECONDS_UNTIL_IT_GIVES_UP
    assert re.search(said, text), text
    assert "Download the product again" not in text
    assert "Traceback" not in text
    code, text = cot_command("ingest", product, "--out", out)
    assert (code, list(attempts(out).values())) == (0, [1]), text


def test_a_damaged_object_is_the_products_fault(
    uploaded: Path, tmp_path: Path, cot_command
) -> None:
    band = next(p for p in find(uploaded / "archive") if p.name.endswith("_B03.jp2"))
    band.write_bytes(band.read_bytes()[:3000])
    code, text = ingest(cot_command, uploaded, tmp_path / "out")
    assert code == 1
    assert "B03 is no whole JPEG 2000 image" in text
    assert len(attempts(tmp_path / "out")) == 3


def test_given_up_scenes_are_named_and_keep_the_exit_code(
    archive: Path, tmp_path: Path, cot_command
) -> None:
    band = next(archive.rglob("S2A*/**/*_B03.jp2"))
    band.write_bytes(band.read_bytes()[:3000])
    options = (archive, "--out", tmp_path / "out", "--retry-failed", 0)
    assert cot_command("reprocess", *options)[0] == 1
    code, text = cot_command("reprocess", *options)
    assert code == 1
    assert "given up S2A_T31TCJ_20240305T104819: failed 1 x: " in text
    report = json.loads(max((tmp_path / "out" / "reports").glob("*.json")).read_text())
    assert report["states"]["given-up"] == len(report["failures"]) == 1


@pytest.mark.parametrize("name", ["x.zip", "a {b}.zip", "no ending"])
def test_the_content_of_an_image_is_found_by_its_path(archive: Path, name: str) -> None:
    zipped = next(archive.glob("*.zip"))
    moved = zipped.rename(archive / name)
    files = open_files(str(moved))
    granule = files.children("GRANULE")[0]
    image = f"GRANULE/{granule}/IMG_DATA/{files.children(f'GRANULE/{granule}/IMG_DATA')[0]}"
    content = content_of(files.gdal_path(image))
    assert content is not None
    assert content[4:8] == b"jP  "
