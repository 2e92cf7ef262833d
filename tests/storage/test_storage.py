"""The same promises on a file system and in an object store."""

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_cot.errors import SetupError
from spark_cot.storage import (
    Entry,
    check_access,
    create,
    entries,
    find,
    gdal_options,
    gdal_path,
    local_copies,
    objects,
    open_parquet,
    path_of,
    publish,
    read_all,
    read_bytes,
    read_start,
    remove_folder,
    replacing,
    sizes,
    walk,
    work_folder,
    worker_environment,
    write_text,
)


def fill(place: Path) -> None:
    """A small tree: a.txt, A/b.txt, A/X/c.json, B/d.json."""
    for name in ("a.txt", "A/b.txt", "A/X/c.json", "B/d.json"):
        write_text(place / name, name)


def test_a_path_is_a_path_and_a_url_stands_for_one(s3) -> None:
    assert path_of("archive/x.SAFE") == Path("archive/x.SAFE")
    remote = path_of("s3://bucket/archive/") / "x.SAFE"
    assert str(remote) == "s3://bucket/archive/x.SAFE"
    assert path_of(remote) is remote
    copied = pickle.loads(pickle.dumps(remote))  # noqa: S301 (as Spark does)
    assert str(copied.parent) == "s3://bucket/archive"
    assert gdal_path(remote) == "/vsis3/bucket/archive/x.SAFE"


@pytest.mark.parametrize("url", ["gs://bucket/x", "https://host/x", "s3://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SetupError, match=r"is no path and no s3:// URL\. Give s3://bucket/folder"):
        path_of(url)


def test_a_missing_bucket_is_one_clear_error(s3) -> None:
    with pytest.raises(SetupError, match="s3://nobody-has-this: no such bucket"):
        check_access(path_of("s3://nobody-has-this/workspace"))


def test_a_closed_bucket_is_one_clear_error(bucket: Path, s3, monkeypatch) -> None:
    monkeypatch.setattr(s3, "refuse", lambda method, path: method == "HEAD")
    with pytest.raises(SetupError, match=r"cannot be reached: .* Set AWS_ACCESS_KEY_ID"):
        check_access(bucket / "workspace")


def test_missing_packages_are_one_clear_error() -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from spark_cot.storage import path_of\n"
        "path_of('s3://bucket/x')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs the S3 packages. pip install 'spark-cot[s3]'" in result.stderr


def test_gdal_is_told_the_endpoint(monkeypatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_VIRTUAL_HOSTING"):
        monkeypatch.delenv(name, raising=False)
    assert "AWS_S3_ENDPOINT" not in gdal_options()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://eodata.example.org/")
    options = gdal_options()
    assert options["AWS_S3_ENDPOINT"] == "eodata.example.org"
    assert (options["AWS_HTTPS"], options["AWS_VIRTUAL_HOSTING"]) == ("YES", "FALSE")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "TRUE")
    options = gdal_options()
    assert (options["AWS_S3_ENDPOINT"], options["AWS_HTTPS"]) == ("127.0.0.1:9000", "NO")
    assert "AWS_VIRTUAL_HOSTING" not in options


def test_workers_get_credentials_and_endpoint_and_nothing_else(monkeypatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/this/machine/only")
    environment = worker_environment()
    assert environment["AWS_SESSION_TOKEN"] == "token"
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in environment


def test_of_many_that_create_a_file_one_succeeds(place: Path) -> None:
    ready = threading.Barrier(6)

    def race(number: int) -> bool:
        ready.wait()
        return create(place / "lock", f"owner {number}")

    for _ in range(3):
        with ThreadPoolExecutor(6) as pool:
            won = list(pool.map(race, range(6)))
        assert won.count(True) == 1
        assert (place / "lock").read_text() == f"owner {won.index(True)}"
        assert [path.name for path in find(place)] == ["lock"]
        (place / "lock").unlink()


def test_create_reports_what_is_no_race(bucket: Path, s3, monkeypatch) -> None:
    monkeypatch.setattr(s3, "refuse", lambda method, path: method == "PUT")
    with pytest.raises(PermissionError):
        create(bucket / "lock", "mine")


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(place: Path) -> None:
    write_text(place / "file", "old")
    with pytest.raises(RuntimeError), replacing(place / "file") as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert (place / "file").read_text() == "old"
    assert [path.name for path in find(place)] == ["file"]
    assert not temporary.exists()


def test_a_reader_sees_one_version_or_the_other(place: Path) -> None:
    versions = {f"{number}" * 200_000 for number in range(4)}
    write_text(place / "file", "0" * 200_000)
    stop = threading.Event()

    def read() -> int:
        seen = 0
        while not stop.is_set():
            assert read_bytes(place / "file").decode() in versions
            seen += 1
        return seen

    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(read)
        list(pool.map(partial(write_text, place / "file"), sorted(versions) * 3))
        stop.set()
        assert reader.result() > 0


def test_files_are_found_by_name_with_their_sizes(place: Path) -> None:
    fill(place)
    assert [str(path.relative_to(place)) for path in find(place, "*.json")] == [
        "A/X/c.json",
        "B/d.json",
    ]
    found = {path.relative_to(place).as_posix(): size for path, size in sizes(place).items()}
    assert found == {"a.txt": 5, "A/b.txt": 7, "A/X/c.json": 10, "B/d.json": 8}
    assert find(place / "none") == []


def test_a_folder_that_fills_while_it_is_listed_has_no_odd_files(
    bucket: Path, s3, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    asked: list[str] = []

    def fill(method: str, path: str) -> bool:
        if method == "HEAD" and not asked:
            asked.append(path)
            publish(tmp_path / "x", bucket / "folder" / "x")
        return False

    monkeypatch.setattr(s3, "refuse", fill)
    assert objects(bucket / "folder") == {}
    assert asked
    assert list(objects(bucket / "folder")) == ["x"]


def test_walking_can_be_pruned(place: Path) -> None:
    fill(place)
    seen = []
    for folder, subfolders, files in walk(place):
        seen.append((folder.name, sorted(subfolders), sorted(files)))
        subfolders[:] = [name for name in subfolders if name != "B"]
    assert seen == [
        (place.name, ["A", "B"], ["a.txt"]),
        ("A", ["X"], ["b.txt"]),
        ("X", [], ["c.json"]),
    ]


def test_one_folder_is_listed_with_what_its_names_are(place: Path) -> None:
    fill(place)
    assert entries(place) == [
        Entry("A", is_folder=True, is_file=False),
        Entry("B", is_folder=True, is_file=False),
        Entry("a.txt", is_folder=False, is_file=True),
    ]
    with pytest.raises(FileNotFoundError):
        entries(place / "gone")


def test_links_and_pipes_are_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert entries(tmp_path) == [
        Entry("link", is_folder=False, is_file=False, is_link=True),
        Entry("pipe", is_folder=False, is_file=False),
    ]


def test_files_are_looked_at_from_the_start(place: Path) -> None:
    write_text(place / "long", "0123456789")
    write_text(place / "empty", "")
    assert read_start(place / "long", 4) == b"0123"
    assert read_start(place / "long", 40) == b"0123456789"
    assert read_start(place / "empty", 4) == b""
    with pytest.raises(FileNotFoundError):
        read_start(place / "gone", 4)


def test_files_that_went_away_are_left_out(place: Path) -> None:
    fill(place)
    paths = [place / "a.txt", place / "gone", place / "B" / "d.json"]
    assert read_all(paths) == {paths[0]: b"a.txt", paths[2]: b"B/d.json"}
    assert read_all([]) == {}


def test_small_files_are_read_in_one_request_each(bucket: Path, s3) -> None:
    for number in range(30):
        write_text(bucket / "many" / f"{number}.json", str(number))
    s3.requests.clear()
    assert len(read_all(find(bucket / "many"))) == 30
    assert s3.requests == {"LIST": 1, "GET": 30}


def test_reading_many_files_reports_other_errors(bucket: Path, s3, monkeypatch) -> None:
    fill(bucket)
    monkeypatch.setattr(s3, "refuse", lambda method, path: path.endswith("d.json"))
    with pytest.raises(PermissionError):
        read_all([bucket / "a.txt", bucket / "B" / "d.json"])


def test_a_folder_is_removed_with_all_below(place: Path) -> None:
    fill(place)
    remove_folder(place / "A")
    remove_folder(place / "A")
    assert [path.name for path in find(place)] == ["d.json", "a.txt"]


def test_local_copies_last_as_long_as_the_block(place: Path) -> None:
    fill(place)
    paths = [place / "a.txt", place / "A" / "b.txt"]
    with local_copies(paths) as copies:
        assert [copy.read_text() for copy in copies] == ["a.txt", "A/b.txt"]
        assert all(isinstance(copy, Path) for copy in copies)
    assert all(copy in paths or not copy.exists() for copy in copies)
    with pytest.raises(FileNotFoundError), local_copies([place / "gone"]) as (gone,):
        gone.read_bytes()


@pytest.fixture
def numbers(bucket: Path) -> Path:
    """A Parquet file of 8 row groups and 4 MB in the bucket."""
    columns = {name: np.random.default_rng(7).random(65_536) for name in "abcdefgh"}
    with replacing(bucket / "numbers.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, row_group_size=8192, use_dictionary=False)
    return bucket / "numbers.parquet"


def test_of_a_remote_table_only_what_is_asked_for_is_read(numbers: Path, s3) -> None:
    s3.requests.clear()
    s3.sent = 0
    with open_parquet(numbers) as file:
        assert file.num_row_groups == 8
        assert len(file.read_row_group(3, ["b"])) == 8192
    assert s3.requests == {"HEAD": 1, "GET": 2}
    assert s3.sent < 140_000  # 65,536 of footer and 65,536 of one column


def test_a_table_replaced_while_it_is_read_is_an_error_and_no_mixture(numbers: Path) -> None:
    with open_parquet(numbers) as file:
        with replacing(numbers) as temporary:
            pq.write_table(file.read_row_group(0), temporary)
        with pytest.raises(OSError, match="no longer exists"):
            file.read_row_group(5)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_comes_back(place: Path, text: str) -> None:
    write_text(place / "text", text)
    assert (place / "text").read_bytes().decode() == text


def test_a_folder_that_a_twin_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, raised = Path.mkdir, []

    def removed_once(self: Path, *args: object, **options: object) -> None:
        if not raised:
            raised.append(self)
            raise FileExistsError(self)
        mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", removed_once)
    work_folder(tmp_path / "parts")
    assert (tmp_path / "parts").is_dir()


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("mine")
    with pytest.raises(FileExistsError):
        work_folder(tmp_path / "parts")
