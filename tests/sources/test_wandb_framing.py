"""The framing and the messages of `.wandb` files: exact on whole files, honest on damaged ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wandb.proto import wandb_internal_pb2 as pb

from lossdoctor.errors import Unreadable
from lossdoctor.sources.wandb_local import messages, records
from lossdoctor.sources.wandb_local.framing import Damage
from lossdoctor.sources.wandb_local.framing import records as walk

from .wandb_files import BLOCK, MAGIC, chunk, exit_record, framed, history, wandb_file

SMALL = [bytes([65 + i]) * (20 + 7 * i) for i in range(12)]


def read(data: bytes) -> tuple[list[bytes], list[Damage]]:
    damage: list[Damage] = []
    return [payload for _, payload in walk(data, damage)], damage


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 60), st.integers(BLOCK - 40, BLOCK + 40), st.integers(0, 3 * BLOCK)), max_size=8), st.integers(0, 9)
)
def test_what_was_framed_is_read_back(sizes: list[int], seed: int) -> None:
    draw = random.Random(seed)
    payloads = [draw.randbytes(size) for size in sizes]
    assert read(b"".join(framed(payloads))) == (payloads, [])


def test_every_bit_flip_costs_one_record_and_is_named() -> None:
    data = b"".join(framed(SMALL))
    starts = [7]
    for payload in SMALL:
        starts.append(starts[-1] + 7 + len(payload))
    for place in range(7, len(data)):
        hit = max(i for i, start in enumerate(starts) if start <= place)
        for bit in range(8):
            broken = bytearray(data)
            broken[place] ^= 1 << bit
            got, damage = read(bytes(broken))
            assert got == [payload for i, payload in enumerate(SMALL) if i != hit]
            assert len(damage) == 1
            assert damage[0].start == starts[hit]


def test_every_cut_keeps_all_whole_records() -> None:
    data = b"".join(framed(SMALL))
    ends = [7]
    for payload in SMALL:
        ends.append(ends[-1] + 7 + len(payload))
    for cut in range(7, len(data)):
        got, damage = read(data[:cut])
        assert got == SMALL[: sum(end <= cut for end in ends) - 1]
        assert [d.kind for d in damage] == ([] if cut in ends else ["torn-record"])


def test_a_record_with_one_bad_chunk_is_dropped_as_a_whole() -> None:
    first, second, third = b"a" * 100_000, b"b" * 100_000, b"c" * 50
    broken = bytearray(b"".join(framed([first, second, third])))
    broken[BLOCK + 100] ^= 1
    got, damage = read(bytes(broken))
    assert got == [second, third]
    assert [d.kind for d in damage] == ["bad-crc"]


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_rows_are_never_put_together_from_other_rows(blocks: int) -> None:
    """Whole blocks that are gone leave every checksum right: the running numbers and the lengths tell."""
    draw = random.Random(blocks)
    rows = [history({"text": "x" * draw.randrange(50_000), "loss": i}, i) for i in range(30)]
    written = {row.history.SerializeToString() for row in rows}
    data = wandb_file(rows)
    for at in range(1, len(data) // BLOCK - blocks):
        found = records.read(data[: at * BLOCK] + data[(at + blocks) * BLOCK :])
        assert set(found.history) <= written
        assert len(found.history) == len(rows) or found.faults("x")


def test_a_stretch_of_garbage_is_one_damage_and_the_rest_is_recovered() -> None:
    payloads = [bytes([i % 251]) * 400 for i in range(400)]
    data = bytearray(b"".join(framed(payloads)))
    data[40_000:50_000] = b"\xff" * 10_000
    got, damage = read(bytes(data))
    assert 370 <= len(got) < 400
    assert len(damage) == 1
    assert damage[0].start <= 40_000
    assert damage[0].stop >= 50_000


@pytest.mark.parametrize("length", [0xFFFF, 0x7FFF])
def test_an_absurd_length_is_skipped(length: int) -> None:
    head = bytearray(chunk(b"x" * 10, 1))
    head[4:6] = length.to_bytes(2, "little")
    got, damage = read(MAGIC + bytes(head) + chunk(b"after", 1))
    assert got == [b"after"]
    assert [d.kind for d in damage] == ["bad-crc"]


def test_zeros_at_the_end_are_a_torn_tail() -> None:
    got, damage = read(b"".join(framed(SMALL)) + bytes(100_000))
    assert got == SMALL
    assert [d.kind for d in damage] == ["torn-record"]


@pytest.mark.parametrize("data", [b"", b":W&B", b"\x00" * 100, b":W&B\xe1\xbe\x01" + b"x" * 50])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="not a WandB file"):
        read(data)


def test_the_declared_messages_are_wandbs() -> None:
    theirs = {
        "Timestamp": pb.RunRecord.DESCRIPTOR.fields_by_name["start_time"].message_type,
        "Item": pb.HistoryItem.DESCRIPTOR,
        "HistoryStep": pb.HistoryStep.DESCRIPTOR,
        "History": pb.HistoryRecord.DESCRIPTOR,
        "Update": pb.SummaryRecord.DESCRIPTOR,
        "StatsItem": pb.StatsItem.DESCRIPTOR,
        "Stats": pb.StatsRecord.DESCRIPTOR,
        "Output": pb.OutputRawRecord.DESCRIPTOR,
        "Run": pb.RunRecord.DESCRIPTOR,
        "Exit": pb.RunExitRecord.DESCRIPTOR,
        "Environment": pb.EnvironmentRecord.DESCRIPTOR,
        "Version": pb.VersionInfo.DESCRIPTOR,
        "Header": pb.HeaderRecord.DESCRIPTOR,
        "Record": pb.Record.DESCRIPTOR,
    }
    ours = messages.Record.DESCRIPTOR.file.message_types_by_name
    assert set(ours) == set(theirs)
    for name, message in ours.items():
        for field in message.fields:
            other = theirs[name].fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated), (name, field.name)
    for other in (pb.ConfigRecord, pb.SummaryRecord):
        assert [(f.name, f.number) for f in other.DESCRIPTOR.fields[:2]] == [("update", 1), ("remove", 2)]
    for other in (pb.ConfigItem, pb.SummaryItem):
        assert [(f.name, f.number) for f in other.DESCRIPTOR.fields] == [("key", 1), ("nested_key", 2), ("value_json", 16)]


def test_missing_records_are_counted_by_their_numbers() -> None:
    rows = [history({"loss": i}, i) for i in range(10)]
    data = wandb_file([*rows, exit_record(0)])
    payloads, _ = read(data)
    found = records.read(b"".join(framed(payloads[:3] + payloads[6:])))
    assert (len(found.history), found.missing) == (7, 3)
    assert [fault.kind for fault in found.faults("x")] == ["missing-records"]


@pytest.mark.parametrize("numbered", [True, False])
def test_records_that_come_twice_are_read_once(numbered: bool) -> None:
    rows = [history({"loss": i, "_timestamp": 1e9 + i}, i) for i in range(6)]
    payloads, _ = read(wandb_file(rows, numbered=numbered))
    found = records.read(b"".join(framed(payloads[:4] + payloads[2:])))
    assert (len(found.history), found.repeated) == (6, 2)
    assert [fault.kind for fault in found.faults("x")] == ["repeated-records"]


def test_a_payload_that_is_no_record_is_a_fault() -> None:
    good = history({"loss": 1.0}, 0).SerializeToString()
    found = records.read(b"".join(framed([good, b"\x12\xff", b"\xff" * 30, b"\x8a\x01\x03\x0a\x7f\x00"])))
    assert len(found.history) == 1
    assert [fault.kind for fault in found.faults("x")] == ["bad-record"] * 3
