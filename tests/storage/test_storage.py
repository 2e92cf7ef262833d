"""The same promises on a file system and in an object store."""

import asyncio
import errno
import io
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
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
    exists,
    find,
    gdal_path,
    is_file,
    is_remote,
    listing,
    local_copies,
    objects,
    open_parquet,
    path_of,
    publish,
    publish_all,
    read_all,
    read_bytes,
    read_start,
    remove_empty_folders,
    remove_files,
    remove_folder,
    replacing,
    sizes,
    walk,
    work_folder,
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


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"PAR1" + b"\xff" * 40 + b"\x20\0\0\0PAR1"])
def test_a_file_that_is_no_parquet_is_told_from_one_that_cannot_be_read(
    place: Path, request: pytest.FixtureRequest, damage: bytes
) -> None:
    made = request.getfixturevalue("tmp_path") / "made"
    made.write_bytes(damage)
    publish(made, place / "x.parquet")
    with pytest.raises(pa.ArrowInvalid), open_parquet(place / "x.parquet"):
        pass
    with (
        pytest.raises(FileNotFoundError, match=r"gone\.parquet"),
        open_parquet(place / "gone.parquet"),
    ):
        pass


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


class Disk:
    """What is asked of the file system from now on, in order, by the names of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        replace, link, fsync = os.replace, os.link, os.fsync

        def note(what: str, path: object) -> None:
            name = Path(str(path)).name
            self.asked.append(f"{what} {'temporary' if name.endswith('.tmp') else name}")

        def replacing_(source: object, target: object) -> None:
            note("name", target)
            replace(source, target)  # type: ignore[arg-type]

        def linking(source: object, target: object, **options: bool) -> None:
            note("name", target)
            link(source, target, **options)  # type: ignore[arg-type]

        def flushing(descriptor: int) -> None:
            note("flush", Path(f"/proc/self/fd/{descriptor}").readlink())
            fsync(descriptor)

        monkeypatch.setattr(os, "replace", replacing_)
        monkeypatch.setattr(os, "link", linking)
        monkeypatch.setattr(os, "fsync", flushing)


def test_what_is_published_is_flushed_before_and_its_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    write_text(tmp_path / "A" / "B" / "x", "x")
    folders = [f"flush {tmp_path.name}", "flush A"]
    assert disk.asked == [*folders, "flush temporary", "name x", "flush B"]
    disk.asked.clear()
    create(tmp_path / "A" / "y", "y")
    assert disk.asked == ["flush temporary", "name y", "flush A"]
    for name in ("1", "2"):
        (tmp_path / name).write_text(name)
    disk.asked.clear()
    publish_all([tmp_path / "1", tmp_path / "2"], tmp_path / "A")
    assert disk.asked == ["flush 1", "flush 2", "name 1", "name 2", "flush A"]


def test_what_nobody_would_miss_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    write_text(tmp_path / "A" / "x", "x", durable=False)
    assert disk.asked == ["name x"]


def test_a_disk_that_cannot_flush_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    write_text(tmp_path / "x", "old")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match=r"Input/output error.*x\..*tmp"):
        write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert [path.name for path in find(tmp_path)] == ["x"]


def test_file_systems_that_flush_no_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write_text(tmp_path / "A" / "x", "x")
    assert (tmp_path / "A" / "x").read_text() == "x"


def test_files_are_published_together(place: Path, tmp_path: Path) -> None:
    made = []
    for name in ("a.tif", "b.tif"):
        made.append(tmp_path / name)
        made[-1].write_text(name)
    publish_all(made, place / "product")
    assert [read_bytes(path) for path in find(place / "product")] == [b"a.tif", b"b.tif"]


def test_links_count_as_what_they_lead_to_unless_they_are_to_be_left_out(tmp_path: Path) -> None:
    place, disk = tmp_path / "place", tmp_path / "disk"
    fill(place)
    fill(disk)
    (place / "linked").symlink_to(disk)
    (place / "linked.txt").symlink_to(disk / "a.txt")
    (disk / "A" / "up").symlink_to(disk)
    for broken in ("nowhere", "itself"):
        (place / broken).symlink_to(place / broken if broken == "itself" else disk / "gone")
    through = {path.relative_to(place).as_posix(): size for path, size in sizes(place).items()}
    own = {"a.txt": 5, "A/b.txt": 7, "A/X/c.json": 10, "B/d.json": 8}
    assert through == own | {f"linked/{k}": v for k, v in own.items()} | {"linked.txt": 5}
    left = listing(place, through_links=False)
    assert {path.relative_to(place).as_posix() for path in left} == set(own)
    assert set(sizes(place / "linked")) == {place / "linked" / name for name in own}


def test_a_listing_tells_when_files_were_written(place: Path) -> None:
    before = time.time() - 2  # stores keep whole seconds
    fill(place)
    assert all(before <= facts.modified <= time.time() + 1 for facts in listing(place).values())


def test_whether_something_is_there(place: Path) -> None:
    fill(place)
    assert exists(place / "a.txt") and is_file(place / "a.txt")
    assert exists(place / "A") and not is_file(place / "A")
    assert not exists(place / "b") and not is_file(place / "a.txt" / "b")


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    assert not exists(tmp_path / "\0")


READS = [
    lambda place: exists(place / "A" / "b.txt"),
    lambda place: is_file(place / "A" / "b.txt"),
    find,
    sizes,
    lambda place: list(walk(place)),
    lambda place: read_bytes(place / "A" / "b.txt"),
    lambda place: read_all([place / "a.txt", place / "A" / "b.txt"]),
]


@pytest.mark.parametrize("read", READS)
def test_a_disk_that_cannot_be_read_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    fill(tmp_path)

    def failing(function: Callable[..., object]) -> Callable[..., object]:
        def call(path: object, *arguments: object, **options: object) -> object:
            if "A" in Path(str(path)).parts:
                raise OSError(errno.EIO, "Input/output error", str(path))
            return function(path, *arguments, **options)

        return call

    for name in ("stat", "scandir"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    monkeypatch.setattr(io, "open", failing(open))
    with pytest.raises(OSError, match=r"Input/output error.*A"):
        read(tmp_path)


@pytest.mark.parametrize("read", READS)
def test_a_store_that_does_not_answer_is_asked_again_and_then_named(
    bucket: Path, s3, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    fill(bucket)
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(0))
    monkeypatch.setattr(s3, "busy", lambda method, path: True)
    s3.requests.clear()
    with pytest.raises(OSError, match=r"(Slow down|Unavailable).*s3://test-"):
        read(bucket)
    assert s3.requests.total() > 1


def test_files_are_removed_a_thousand_by_a_request(
    place: Path, request: pytest.FixtureRequest
) -> None:
    fill(place)
    remove_files([place / "a.txt", place / "A" / "b.txt", place / "gone"])
    assert [path.name for path in find(place)] == ["c.json", "d.json"]
    if is_remote(place):
        s3 = request.getfixturevalue("s3")
        s3.requests.clear()
        remove_files(place / f"{number}.txt" for number in range(1001))
        assert s3.requests == {"POST": 2}


def test_an_object_that_may_not_be_removed_is_an_error(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = {"Key": "a.txt", "Code": "AccessDenied", "Message": "Access Denied"}
    monkeypatch.setattr(type(bucket.fs), "call_s3", lambda *_, **__: {"Errors": [fault]})
    with pytest.raises(OSError, match=r"AccessDenied: Access Denied: 's3://test-.*/a\.txt'"):
        remove_files([bucket / "a.txt"])


def test_a_folder_is_removed_without_what_its_links_lead_to(tmp_path: Path) -> None:
    fill(tmp_path / "parts")
    fill(tmp_path / "disk")
    (tmp_path / "parts" / "linked").symlink_to(tmp_path / "disk")
    remove_folder(tmp_path / "parts")
    assert not exists(tmp_path / "parts")
    assert len(find(tmp_path / "disk")) == 4


def test_what_cannot_be_removed_is_left_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path)

    def failing(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "unlink", failing)
    remove_folder(tmp_path / "A")
    assert f"left behind: [Errno 5] Input/output error: '{tmp_path}/A/" in caplog.text
    assert len(find(tmp_path)) == 4


def test_folders_that_hold_nothing_are_removed(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "A" / "X" / "c.json").unlink()
    (tmp_path / "B" / "d.json").unlink()
    remove_empty_folders(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["A", "a.txt", "b.txt"]
