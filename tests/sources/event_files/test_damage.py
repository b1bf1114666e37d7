"""Damaged event files: no exception, no wrong point, no silence, and no more lost than what was hit."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.sources.tensorboard import EventFile, read_file
from lossdoctor.sources.tensorboard.resync import Search

from .oracles import Points, ours
from .writer import event, field, image, masked, record, scalar, series, simple, text, version, write

NAME = "events.out.tfevents.1.h"


def build(records: int) -> bytes:
    """A file of two tags with a text in the middle."""
    rng = random.Random(records)
    parts = [scalar(1.7e9 + i, i // 2, ("train/loss", "eval/loss")[i % 2], rng.random()) for i in range(records)]
    parts[records // 2] = record(event(1.7e9, 3, field(5, text(b"args/text_summary", b'{"seed": 1}'))))
    return version() + b"".join(parts)


def is_part(found: Points, written: Points) -> bool:
    """Whether all points found were written, in this order."""
    for tag, rows in found.items():
        rest = map(repr, written.get(tag, []))  # NaN equals NaN in words
        if not all(repr(row) in rest for row in rows):
            return False
    return True


def count(points: Points) -> int:
    return sum(map(len, points.values()))


def overwrite(path: Path, data: bytes) -> None:
    """Write in place: truncating a file first costs more than reading it."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))


def survive(path: Path, data: bytes, written: Points) -> EventFile | None:
    """Read damaged data: whatever comes back is true and says that something is missing."""
    overwrite(path, data)
    try:
        file = read_file(path)
    except Unreadable:
        return None
    assert file.faults
    assert is_part(ours(file), written)
    return file


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Points]:
    path = tmp_path_factory.mktemp("small") / NAME
    data = build(40)
    path.write_bytes(data)
    return path, data, ours(read_file(path))


def test_every_bit_flipped(small: tuple[Path, bytes, Points]) -> None:
    path, data, written = small
    assert len(data) > 1900
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            file = survive(path, flipped, written)
            assert file is not None
            assert file.records >= 40
            assert {fault.loss for fault in file.faults} <= {Loss.LOSSY} or place > len(data) - 70


def test_every_byte_cut_out(small: tuple[Path, bytes, Points]) -> None:
    path, data, written = small
    for place in range(len(data)):
        file = survive(path, data[:place] + data[place + 1 :], written)
        assert file is not None
        assert count(ours(file)) >= count(written) - 1


def test_every_length(small: tuple[Path, bytes, Points]) -> None:
    """A file that ends anywhere keeps all whole records; between two records nothing is missing that could be known."""
    path, data, written = small
    edges = {0}
    while max(edges) < len(data):
        edges.add(max(edges) + 16 + int.from_bytes(data[max(edges) :][:8], "little"))
    for end in range(len(data)):
        overwrite(path, data[:end])
        whole = sum(edge <= end for edge in edges) - 1
        if not whole:
            with pytest.raises(Unreadable):
                read_file(path)
            continue
        file = read_file(path)
        assert file.records == whole
        assert is_part(ours(file), written)
        assert [fault.loss for fault in file.faults] == ([] if end in edges else [Loss.BENIGN])


def test_random_damage(tmp_path: Path) -> None:
    """2,000 files with one to four flips, cuts, insertions, repeated or zeroed stretches, of a size that the columns read."""
    path = tmp_path / NAME
    data = build(260)
    path.write_bytes(data)
    written = ours(read_file(path))
    rng = random.Random(11)
    kept = 0
    for _ in range(2000):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            place, length = rng.randrange(len(broken)), rng.choice((1, 1, 4, 48, 700))
            match rng.choice(("flip", "cut", "insert", "zero")):
                case "flip":
                    broken[place] ^= 1 << rng.randrange(8)
                case "cut":
                    del broken[place : place + length]
                case "insert":
                    broken[place:place] = rng.randbytes(length)
                case "zero":
                    broken[place : place + length] = bytes(len(broken[place : place + length]))
        if broken != data:
            file = survive(path, broken, written)
            kept += file is not None and count(ours(file)) >= 200
    assert kept > 1900


def test_damage_names_its_byte_and_the_next_records_are_kept(tmp_path: Path) -> None:
    data = build(1000)
    position = 0
    for _ in range(500):
        position += 16 + int.from_bytes(data[position : position + 8], "little")
    broken = bytearray(data)
    broken[position + 30] ^= 4
    (tmp_path / NAME).write_bytes(broken)
    file = read_file(tmp_path / NAME)
    assert file.records == 1000
    (fault,) = file.faults
    assert (fault.kind, fault.where, fault.loss) == ("bad-crc", f"{NAME}:byte {position}", Loss.LOSSY)


@pytest.mark.parametrize("length", [1 << 40, (1 << 63) + 5, (1 << 64) - 1])
def test_absurd_lengths_allocate_nothing(tmp_path: Path, length: int) -> None:
    head = struct.pack("<Q", length)
    bomb = head + struct.pack("<I", masked(head))
    file = read_file(write(tmp_path / NAME, series("a", range(100)), bomb, series("a", range(100, 200))))
    assert file.scalars["a"].steps.tolist() == list(range(200))
    assert [(fault.kind, fault.loss) for fault in file.faults] == [("bad-length", Loss.LOSSY)]
    end = read_file(write(tmp_path / NAME, series("a", range(100)), bomb, b"rest"))
    assert end.points == 100
    assert [fault.kind for fault in end.faults] == ["bad-length"]


def test_records_beyond_the_limit_are_skipped_unread(tmp_path: Path) -> None:
    limits = Limits(record_bytes=10_000)
    picture = record(event(1.0, 1, field(5, image(b"sample", random.Random(1)))))
    graph = record(event(1.0, 1, field(4, bytes(20_000))))
    unknown = record(event(1.0, 1, field(5, simple(b"x" * 20_000, 1.0))))
    path = write(tmp_path / NAME, series("a", [1]), picture, series("a", [2]), graph, series("a", [3]), unknown, series("a", [4]))
    file = read_file(path, limits)
    assert file.scalars["a"].steps.tolist() == [1, 2, 3, 4]
    assert [(fault.kind, fault.loss) for fault in file.faults] == [
        ("record-too-large", loss) for loss in (Loss.BENIGN, Loss.BENIGN, Loss.LOSSY)
    ]
    assert "an image" in file.faults[0].detail


def test_an_unwritten_tail_is_benign_a_lost_half_is_not(tmp_path: Path) -> None:
    file = read_file(write(tmp_path / NAME, series("a", range(100)), bytes(1000)))
    assert [(fault.kind, fault.loss) for fault in file.faults] == [("torn-record", Loss.BENIGN)]
    file = read_file(write(tmp_path / NAME, series("a", range(100)), bytes(50_000)))
    assert [(fault.kind, fault.loss) for fault in file.faults] == [("bad-crc", Loss.LOSSY)]
    assert file.points == 100


def test_a_large_hole_is_crossed(tmp_path: Path) -> None:
    file = read_file(write(tmp_path / NAME, series("a", range(100)), bytes(3_000_000), series("a", range(100, 200))))
    assert file.points == 200
    assert [fault.kind for fault in file.faults] == ["bad-crc"]


def test_what_is_whole_but_no_event(tmp_path: Path) -> None:
    """Records with right CRCs: no protobuf, nothing of an event, a tag that is not UTF-8."""
    bad = simple(b"\xff\xfe", 1.0)
    odd = [record(b"\xff\xff\xff"), record(field(1, b"a tf.train.Example")), *(record(event(1.0, s, field(5, bad))) for s in range(100))]
    file = read_file(write(tmp_path / NAME, *odd, series("a", range(9))))
    assert [fault.kind for fault in file.faults] == ["bad-record"] * 3
    assert list(file.scalars) == ["a"]


def test_many_faults_are_counted_not_listed(tmp_path: Path) -> None:
    broken = bytearray(series("a", range(200, 300)))
    size = len(broken) // 100
    for i in range(100):
        broken[i * size + 30] ^= 1
    file = read_file(write(tmp_path / NAME, series("a", range(50)), bytes(broken)))
    assert file.points == 50
    assert len(file.faults) == 11
    assert file.faults[-1].detail.startswith("90 more")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (bytes(5000), "no readable record"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        (b"step,loss\n1,2\n" * 50, "no readable record"),
        (b"".join(record(field(1, b"a tf.train.Example %d" % i)) for i in range(100)), "no readable record"),
    ],
    ids=["empty", "zeros", "lfs", "csv", "tfrecord"],
)
def test_no_event_file_at_all(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(Unreadable, match=words):
        read_file(tmp_path / NAME)


def test_crafted_headers_take_linear_time(tmp_path: Path) -> None:
    """60,000 headers that are right and lead nowhere: each declares a record that covers thousands of the others."""
    head = struct.pack("<Q", 50_000)
    header = head + struct.pack("<I", masked(head))
    file = read_file(write(tmp_path / NAME, series("a", range(60)), header * 60_000, series("a", range(60, 120))))
    assert file.points >= 60
    assert file.faults


def test_limits_of_points_and_tags(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, series("a", range(500)), *(scalar(1.0, 1, f"t{i}", 1.0) for i in range(50)))
    for limits in (Limits(points=100), Limits(tags=20)):
        file = read_file(path, limits)
        assert [fault.kind for fault in file.faults] == ["too-many-points"]


def test_a_file_with_a_break_at_every_record_takes_linear_time_and_then_stops(tmp_path: Path) -> None:
    broken = bytearray(series("a", [5] * 30_000))
    broken[:: len(broken) // 30_000] = b"\xff" * 30_000
    file = read_file(write(tmp_path / NAME, series("a", range(60)), bytes(broken)))
    assert file.points == 60
    assert {fault.kind for fault in file.faults} == {"bad-crc"}
    pairs = [scalar(1.0, 5, "a", 1.0), scalar(1.0, 5, "a", 1.0).replace(b"\x00", b"\x01", 1)]
    file = read_file(write(tmp_path / NAME, b"".join(pairs) * 11_000))
    assert file.points == 10_001
    assert "too-much-damage" in {fault.kind for fault in file.faults}


def test_a_file_system_that_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    path = write(tmp_path / NAME, series("a", range(60)), b"rest")
    monkeypatch.setattr(Search, "after", fail)
    file = read_file(path)
    assert file.points == 60
    assert [fault.kind for fault in file.faults] == ["read-error"]
