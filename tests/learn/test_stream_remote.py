"""Streaming from object storage: the same rows in the same order as from disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spark_cot.errors import TableError
from spark_cot.learn.stream import Shard, Stream
from spark_cot.tables.rowgroups import read_rows

s3fs = pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

COLUMNS = ["B02", "cot"]
PLACE = "s3://bucket/synthetic/split=train"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of 500 rows in row groups of 60."""
    folder = tmp_path_factory.mktemp("table") / "split=train"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for part in range(2):
        columns = {name: rng.random(500, np.float32) for name in (*COLUMNS, "B03")}
        pq.write_table(pa.table(columns), folder / f"part-{part}.parquet", row_group_size=60)
    return folder


@pytest.fixture(scope="module")
def store(local: Path) -> Iterator[s3fs.S3FileSystem]:
    """A bucket with the table, on a server in this process that the environment points to."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem()
        store.mkdir("bucket")
        store.put(str(local), PLACE, recursive=True)
        yield store
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stream_from_a_bucket_is_that_from_disk(local: Path, rank: int) -> None:
    near, far = (
        Stream(place, COLUMNS, 32, seed=3, shard=Shard(rank, 2), window_rows=128)
        for place in (local, PLACE)
    )
    assert (near.rows, near.steps) == (far.rows, far.steps)
    assert torch.equal(torch.cat(list(near.epoch(1))), torch.cat(list(far.epoch(1))))


@pytest.mark.usefixtures("store")
def test_one_file_of_a_bucket(local: Path) -> None:
    expected = read_rows(local / "part-1.parquet", COLUMNS)
    assert np.array_equal(read_rows(f"{PLACE}/part-1.parquet", COLUMNS), expected)


@pytest.mark.usefixtures("store")
def test_nothing_there() -> None:
    with pytest.raises(TableError, match="s3://bucket/nothing: no Parquet file"):
        read_rows("s3://bucket/nothing", COLUMNS)


def test_an_object_cut_short(store: s3fs.S3FileSystem) -> None:
    content = store.cat_file(f"{PLACE}/part-0.parquet")
    store.pipe_file("s3://bucket/short/rows.parquet", content[:-50])
    with pytest.raises(TableError, match=r"short/rows.parquet: cannot be read as Parquet"):
        read_rows("s3://bucket/short", COLUMNS)
