"""The main job with archive, model and workspace in an object store."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from spark_cot.storage import find, open_parquet, path_of, publish, read_all, read_bytes
from spark_cot.tables.workspace import Workspace

#: Requests that the ingest of a small scene may cost on average: about 90 from a SAFE folder, and
#: 600 from a zip file, whose directory GDAL reads anew for each of the 13 images.
REQUESTS_PER_SCENE = 400


@pytest.fixture
def uploaded(bucket: Path, finished: tuple[Path, Path], model: Path, tmp_path: Path) -> Path:
    """A bucket that holds the archive and the model."""
    for name, folder in (("archive", finished[0]), ("model", model)):
        for file in find(folder):
            publish(file, bucket / name / file.relative_to(folder).as_posix())
    return bucket


def watch(workspace: Path, stop: threading.Event) -> dict[Path, set[int]]:
    """Read all that is visible, over and over: the rows that each table's file was seen with.

    Whatever has an item must be whole.
    """
    rows: dict[Path, set[int]] = {}
    while not stop.wait(0.2):
        for table in ("pixels", "cot", "masked"):
            for path in find(workspace / table, "*.parquet"):
                with open_parquet(path) as file:
                    rows.setdefault(path, set()).add(file.metadata.num_rows)
        for path, content in read_all(find(workspace / "products", "item.json")).items():
            for asset in json.loads(content)["assets"].values():
                name = asset["href"].removeprefix("./")
                assert (path.parent / name).stat().st_size == asset["file:size"]
    return rows


def product_content(path: Path) -> object:
    """Content of a product's file, without what an item says of when and where: a fingerprint has
    the times of files, an object store their ETags.
    """
    content = read_bytes(path)
    if path.name != "item.json":
        return content
    item = json.loads(content)
    for name in ("created", "spark_cot:key", "spark_cot:made"):
        del item["properties"][name]
    item["links"] = [link for link in item["links"] if link["rel"] != "derived_from"]
    return item


def kill_workers() -> None:
    """SIGKILL every Python worker of Spark."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "pyspark.daemon" in process.cmdline() and not process.children():
                process.kill()


@pytest.fixture
def deadly(s3, monkeypatch) -> Iterator[list[str]]:
    """Kills the workers at their first PUT of each kind: a part, a table's file, an item."""
    kinds = ["/_parts/ingest/", "/cot/tile=", "/item.json"]

    def refuse(method: str, path: str) -> bool:
        kind = next((k for k in kinds if k in path), None) if method == "PUT" else None
        if kind is not None:
            kinds.remove(kind)
            kill_workers()
        return kind is not None

    monkeypatch.setattr(s3, "refuse", refuse)
    return kinds


def job(command, name: str, bucket: Path) -> tuple[int, str]:
    options = ("--model", f"{bucket}model", "--mask-above", 1.0)
    return command(name, f"{bucket}archive", "--out", f"{bucket}workspace", *options)


def test_killed_workers_leave_the_tables_of_an_undisturbed_local_run(
    uploaded: Path, finished: tuple[Path, Path], cot_command, deadly: list[str], s3
) -> None:
    local, remote = finished[1], uploaded / "workspace"
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(watch, remote, stop)
        try:
            code, text = job(cot_command, "run", uploaded)
        finally:
            stop.set()
        seen = reader.result()
    assert (code, deadly) == (0, []), text

    names = {path.relative_to(local).as_posix() for path in find(local)}
    assert {path.relative_to(remote).as_posix() for path in find(remote)} - names == {
        path.relative_to(remote).as_posix()
        for folder in ("reports", "_ledger/state")  # named by times and by chance
        for path in find(remote / folder)
    } - names
    for path in find(local / "products"):
        twin = remote / path.relative_to(local).as_posix()
        assert product_content(twin) == product_content(path), path
    for table in ("pixels", "cot", "masked"):
        for path in find(local / table):
            twin = remote / path.relative_to(local).as_posix()
            with open_parquet(twin) as file:
                assert file.read().equals(pq.ParquetFile(path).read())
            assert seen.get(twin, {file.metadata.num_rows}) == {file.metadata.num_rows}
            if "S2B" in path.name and table == "cot":  # from a zip: same fingerprint, same bytes
                assert read_bytes(twin) == path.read_bytes()
    assert seen, "the reader saw nothing at all"

    (report,) = find(remote / "reports", "*.json")
    for scene in json.loads(read_bytes(report))["scenes"]:
        assert read_bytes(remote / scene["quicklook"].removeprefix("../")).startswith(b"\x89PNG")

    s3.requests.clear()
    code, text = job(cot_command, "reprocess", uploaded)
    assert (code, text.split("done")[1].split()[0]) == (0, "3"), text
    code, text = cot_command("verify", remote)
    assert code == 0, text


def test_a_refused_write_ends_the_job_and_a_rerun_repairs_it(
    uploaded: Path, cot_command, s3, monkeypatch
) -> None:
    monkeypatch.setattr(s3, "refuse", lambda method, path: method == "PUT" and "/pixels/" in path)
    options = ("--out", f"{uploaded}workspace")
    code, text = cot_command("ingest", f"{uploaded}archive", *options)
    assert code == 2
    assert "ingest: 0 done, 0 skipped, 3 failed" in text
    assert "error the store did not give or take what 3 scenes needed" in text
    assert "Access Denied" in text
    assert find(uploaded / "workspace" / "pixels") == []
    monkeypatch.undo()
    s3.requests.clear()
    assert cot_command("ingest", f"{uploaded}archive", *options)[0] == 0
    assert s3.requests.total() < 3 * REQUESTS_PER_SCENE
    assert s3.requests["LIST"] < 3 * 30
    workspace = Workspace.open(uploaded / "workspace")
    assert len(workspace.scenes()) == len(find(workspace.root / "pixels")) == 3
    assert find(workspace.parts) == []


def test_a_workspace_in_a_missing_bucket_is_one_clear_error(cot_command, s3) -> None:
    code, text = cot_command("products", "s3://nobody-has-this/workspace")
    assert code == 2
    assert "s3://nobody-has-this: no such bucket" in text


def test_a_missing_archive_is_one_clear_error(bucket: Path, cot_command) -> None:
    code, text = cot_command("ingest", f"{bucket}archive", "--out", f"{bucket}workspace")
    assert code == 2
    assert "no such file or folder" in text
    assert str(path_of(f"{bucket}archive")) in text
