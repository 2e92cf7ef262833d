"""A file made of pieces has the same bytes in every store, and large pieces are not sent again."""

import hashlib
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_cot.storage import Piece, assemble, find, read_bytes
from spark_cot.storage.assemble import LEAST_BYTES, in_steps

TAIL = b"the end"


def pieces_of(sizes: list[int]) -> list[Piece]:
    return [Piece(Path(str(n)), n, n + size) for n, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 30), max_size=12))
def test_steps_are_the_pieces_in_their_order_and_large_enough(sizes: list[int]) -> None:
    pieces = pieces_of(sizes)
    *groups, last = in_steps(pieces, least=10)
    bytes_of = [(p.path, byte) for p in pieces for byte in range(p.start, p.stop)]
    in_order = [piece for group in (*groups, last) for piece in group]
    assert [(p.path, byte) for p in in_order for byte in range(p.start, p.stop)] == bytes_of
    assert all(sum(piece.size for piece in group) >= 10 for group in groups)
    assert all(len(group) == 1 or sum(p.size for p in group) < 20 for group in groups)
    assert sum(piece.size for piece in last) < 10


@pytest.mark.parametrize(
    ("sizes", "steps"),
    [
        ([], [[]]),
        ([3, 4], [[3, 4]]),
        ([12], [[12], []]),
        ([12, 3, 25], [[12], [3, 7], [18], []]),
        ([12, 3, 12, 2], [[12], [3, 12], [2]]),
        ([12, 0, 3], [[12], [3]]),
        ([3, 3, 3, 3, 40], [[3, 3, 3, 3], [40], []]),
    ],
)
def test_small_pieces_are_sent_together_and_large_ones_copied(
    sizes: list[int], steps: list[list[int]]
) -> None:
    found = in_steps(pieces_of(sizes), least=10)
    assert [[piece.size for piece in group] for group in found] == steps


def write_pieces(place: Path, sizes: list[int]) -> tuple[list[Piece], bytes]:
    """Files with some bytes around the piece of each; all pieces together and the tail."""
    rng = np.random.default_rng(1)
    pieces, content = [], b""
    for number, size in enumerate(sizes):
        own = rng.bytes(size)
        path = place / "parts" / f"{number}.part"
        if isinstance(place, Path):
            path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"head" + own + b"foot")
        pieces.append(Piece(path, 4, 4 + size))
        content += own
    return pieces, content + TAIL


MIB = 1 << 20
LARGE = [6 * MIB, 17 * MIB, 100, 0, 11 * MIB, 3 * MIB, 4 * MIB, 5]


@pytest.mark.parametrize("sizes", [[], [10, 0, 20], LARGE])
def test_the_bytes_are_the_same_in_every_store(place: Path, sizes: list[int]) -> None:
    pieces, content = write_pieces(place, sizes)
    made = assemble(pieces, TAIL, place / "made", place / "scratch")
    assert read_bytes(place / "made") == content
    assert made.size == len(content)
    assert made.sha256 == hashlib.sha256(content).hexdigest()


def test_large_pieces_are_copied_by_the_store(s3, bucket: Path) -> None:
    pieces, content = write_pieces(bucket, LARGE)
    s3.requests.clear()
    s3.received = 0
    assemble(pieces, TAIL, bucket / "made", bucket)
    # Begun and completed; two copies, one of which is behind 5 MiB that are sent with 100 bytes;
    # 7 MiB of small pieces, and the last ones.
    assert s3.requests["POST"] == 2
    assert s3.requests["PUT"] == 6
    assert s3.received < LEAST_BYTES + 8 * MIB
    assert len(content) > 40 * MIB


def test_small_pieces_are_one_request(s3, bucket: Path) -> None:
    pieces, _ = write_pieces(bucket, [10, 0, 20])
    s3.requests.clear()
    assemble(pieces, TAIL, bucket / "made", bucket)
    assert s3.requests == {"GET": 2, "PUT": 1}


@pytest.mark.parametrize("refused", [1, 3, 7, 8])
def test_a_refused_request_leaves_nothing(s3, bucket: Path, monkeypatch, refused: int) -> None:
    import s3fs

    pieces, _ = write_pieces(bucket, LARGE)
    writes = count(1)
    monkeypatch.setattr(
        s3, "refuse", lambda method, path: method in ("PUT", "POST") and next(writes) == refused
    )
    with pytest.raises(PermissionError):
        assemble(pieces, TAIL, bucket / "made", bucket)
    monkeypatch.undo()
    assert find(bucket, "made") == []
    store, name = s3fs.S3FileSystem(), str(bucket).removeprefix("s3://").strip("/")
    assert "Uploads" not in store.call_s3("list_multipart_uploads", Bucket=name)


def test_a_piece_that_is_gone_or_shorter_is_an_error_and_nothing_is_published(place: Path) -> None:
    pieces, _ = write_pieces(place, [10, 20])
    short = Piece(pieces[1].path, 4, 400)
    with pytest.raises(OSError, match="shorter than it was"):
        assemble([pieces[0], short], TAIL, place / "made", place)
    pieces[0].path.unlink()
    with pytest.raises(FileNotFoundError):
        assemble(pieces, TAIL, place / "made", place)
    assert find(place, "made") == []
