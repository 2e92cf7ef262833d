"""Joined Parquet files hold what their parts hold, read by readers that did not write them."""

import hashlib
from io import BytesIO
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_cot.commit.stitch import NOTE, SECONDS, join, sign
from spark_cot.commit.thrift import read_struct, write_struct
from spark_cot.errors import TableError
from spark_cot.tables.schema import COT


def stitch(parts: list[Path], target: Path, metadata: dict[str, str]) -> int:
    """Join files into one; the number of its rows."""
    joined = join({part: part.stat().st_size for part in parts}, metadata)
    record = joined.publish(target, target.parent)
    content = target.read_bytes()
    assert record == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return joined.rows


def rows(count: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "scene_id": pa.repeat(pa.scalar(f"scene-{seed}"), count),
            "row": rng.integers(0, 100, count).astype(np.int16),
            "col": rng.integers(0, 100, count).astype(np.int16),
            "cot": rng.gamma(1, 5, count).astype(np.float32),
            "cot_std": rng.gamma(1, 1, count).astype(np.float32),
            "p_thin": rng.integers(-1, 101, count).astype(np.int8),
            "p_thick": rng.integers(-1, 101, count).astype(np.int8),
            "cloud_class": rng.integers(1, 4, count).astype(np.int8),
            "outside": rng.random(count) < 0.1,
        },
        schema=COT.arrow,
    )


def write(folder: Path, counts: list[int], **options: object) -> list[Path]:
    paths = [folder / f"{index}.parquet" for index in range(len(counts))]
    for index, path in enumerate(paths):
        pq.write_table(rows(counts[index], index), path, row_group_size=50, **options)
    return paths


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(0, 200), min_size=1, max_size=5),
    compression=st.sampled_from(["zstd", "snappy", "none"]),
    dictionary=st.booleans(),
    page_version=st.sampled_from(["1.0", "2.0"]),
    index=st.booleans(),
)
def test_joined_rows_equal_the_rows_of_the_parts(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    compression: str,
    dictionary: bool,
    page_version: str,
    index: bool,
) -> None:
    folder = tmp_path_factory.mktemp("stitch")
    parts = write(
        folder,
        counts,
        compression=compression,
        use_dictionary=dictionary,
        data_page_version=page_version,
        write_page_index=index,
    )
    target = folder / "joined.parquet"
    assert stitch(parts, target, {"spark_cot.key": "k"}) == sum(counts)
    expected = pa.concat_tables([pq.read_table(part) for part in parts])
    assert pq.read_table(target).equals(expected)
    metadata = pq.read_metadata(target)
    assert metadata.metadata[b"spark_cot.key"] == b"k"
    assert metadata.num_row_groups == sum(-(-count // 50) for count in counts)
    with duckdb.connect() as connection:
        query = f"SELECT count(*), sum(cot), max(scene_id) FROM '{target}' WHERE row < 50"
        count, total, _ = connection.sql(query).fetchall()[0]
    chosen = expected.filter(pa.compute.less(expected["row"], 50))
    assert count == len(chosen)
    assert (total or 0) == pytest.approx(pa.compute.sum(chosen["cot"]).as_py() or 0)


def test_spark_reads_a_joined_file(spark, tmp_path: Path) -> None:
    target = tmp_path / "joined.parquet"
    stitch(write(tmp_path, [130, 0, 70]), target, {})
    frame = spark.read.parquet(str(target))
    assert frame.count() == 200
    assert frame.filter("scene_id = 'scene-2'").count() == 70


def test_statistics_still_prune(tmp_path: Path) -> None:
    target = tmp_path / "joined.parquet"
    stitch(write(tmp_path, [50, 50]), target, {})
    column = pq.read_metadata(target).row_group(1).column(0).statistics
    assert (column.min, column.max) == ("scene-1", "scene-1")


def test_joining_is_deterministic(tmp_path: Path) -> None:
    parts = write(tmp_path, [60, 60])
    for name in ("a", "b"):
        stitch(parts, tmp_path / name, {"k": "v"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_parts_say_of_their_making_is_added_up_and_not_passed_on(tmp_path: Path) -> None:
    parts = write(tmp_path, [60, 0, 130])
    stitch(parts, tmp_path / "before.parquet", {"spark_cot.key": "k"})
    for part, seconds in zip(parts, (1.25, 0.5, 12_345.678), strict=True):
        before, size = pq.read_table(part), part.stat().st_size
        sign(part, seconds)
        assert pq.read_table(part).equals(before)
        assert pq.read_metadata(part).metadata[SECONDS.encode()].startswith(b"000")
        assert part.stat().st_size == size + len(SECONDS) + 12 + 5  # thrift's own bytes
    joined = join({part: part.stat().st_size for part in parts}, {"spark_cot.key": "k"})
    assert joined.seconds == pytest.approx(12_347.428)
    joined.publish(tmp_path / "after.parquet", tmp_path)
    assert (tmp_path / "after.parquet").read_bytes() == (tmp_path / "before.parquet").read_bytes()


def test_what_parts_note_is_summed_up_and_not_passed_on(tmp_path: Path) -> None:
    parts = write(tmp_path, [60, 0, 130])
    for part, note in zip(parts, ("a", "", "c"), strict=True):
        sign(part, 1.0, note)
    sizes = {part: part.stat().st_size for part in parts}
    joined = join(sizes, {"spark_cot.key": "k"}, lambda notes: {"spark_cot.notes": ",".join(notes)})
    assert joined.metadata == {"spark_cot.key": "k", "spark_cot.notes": "a,,c"}
    joined.publish(tmp_path / "joined.parquet", tmp_path)
    found = pq.read_metadata(tmp_path / "joined.parquet").metadata
    assert found[b"spark_cot.notes"] == b"a,,c"
    assert not {SECONDS.encode(), NOTE.encode()} & found.keys()


def test_a_large_footer_is_read_whole(tmp_path: Path) -> None:
    part = tmp_path / "0.parquet"
    pq.write_table(rows(2_000, 0), part, row_group_size=2)
    assert pq.read_metadata(part).serialized_size > 1 << 16
    assert stitch([part], tmp_path / "joined.parquet", {}) == 2_000
    assert pq.read_table(tmp_path / "joined.parquet").equals(pq.read_table(part))


@pytest.mark.parametrize("kept", [0, 3, 20, 0.5, -1])
def test_a_cut_part_is_named(tmp_path: Path, kept: float) -> None:
    parts = write(tmp_path, [60, 60])
    content = parts[1].read_bytes()
    size = int(kept * len(content)) if isinstance(kept, float) else kept
    parts[1].write_bytes(content[:size])
    with pytest.raises(TableError, match=r"1\.parquet: not a whole Parquet file"):
        stitch(parts, tmp_path / "joined.parquet", {})


def test_parts_of_different_schemas_are_refused(tmp_path: Path) -> None:
    parts = write(tmp_path, [10])
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    with pytest.raises(TableError, match="schema differs"):
        stitch([*parts, other], tmp_path / "joined.parquet", {})


def test_no_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no part files"):
        stitch([], tmp_path / "joined.parquet", {})


value = st.deferred(
    lambda: st.one_of(
        st.tuples(st.sampled_from([4, 5, 6]), st.integers(-(2**31), 2**31 - 1)),
        st.tuples(st.just(7), st.binary(min_size=8, max_size=8)),
        st.tuples(st.just(8), st.binary(max_size=40)),
        st.tuples(st.just(1), st.booleans()),
        st.tuples(st.just(12), structs),
        st.tuples(st.just(9), st.tuples(st.just(12), st.lists(structs, max_size=20))),
        st.tuples(st.just(9), st.tuples(st.just(6), st.lists(st.integers(0, 2**62), max_size=20))),
    )
)
structs = st.dictionaries(st.integers(1, 40), value, max_size=4).map(
    lambda fields: dict(sorted(fields.items()))
)


@settings(max_examples=100, deadline=None)
@given(structs)
def test_thrift_structs_survive_a_round_trip(fields: dict) -> None:
    stream = BytesIO()
    write_struct(stream, fields)
    read = read_struct(BytesIO(stream.getvalue()))
    again = BytesIO()
    write_struct(again, read)
    assert again.getvalue() == stream.getvalue()
    assert list(read) == list(fields)


def test_a_cut_thrift_struct_is_an_error() -> None:
    stream = BytesIO()
    write_struct(stream, {1: (8, b"parquet")})
    with pytest.raises(ValueError, match="cut short"):
        read_struct(BytesIO(stream.getvalue()[:-3]))
