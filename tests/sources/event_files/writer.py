"""Our own writer of event files: records laid out as the real writers lay them out, in plain bytes (test_writer.py compares)."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from pathlib import Path

import google_crc32c

START = 1.7e9
SCALARS = b"\x4a\x0b\x0a\x09\x0a\x07scalars"


def masked(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(payload: bytes) -> bytes:
    """One TFRecord."""
    head = struct.pack("<Q", len(payload))
    return head + struct.pack("<I", masked(head)) + payload + struct.pack("<I", masked(payload))


def varint(value: int) -> bytes:
    """A protobuf varint; negative values take ten bytes, as protobuf's int64 does."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(wall_time: float, step: int, rest: bytes) -> bytes:
    """The payload of an event; proto3 leaves out a step of 0."""
    return b"\x09" + struct.pack("<d", wall_time) + (b"\x10" + varint(step) if step else b"") + rest


def version() -> bytes:
    """The record that starts every event file."""
    return record(event(START, 0, field(3, b"brain.Event:2")))


def simple(tag: bytes, value: float) -> bytes:
    """Summary.Value as TF1, torch and tensorboardX write it."""
    return field(1, field(1, tag) + b"\x15" + struct.pack("<f", value))


def tensor(tag: bytes, value: float) -> bytes:
    """Summary.Value as TF2 writes it: a float tensor with the scalars plugin."""
    content = b"\x08\x01\x12\x00\x22\x04" + struct.pack("<f", value)
    return field(1, field(1, tag) + field(8, content) + SCALARS)


def histogram(tag: bytes, rng: random.Random) -> bytes:
    """Summary.Value with a histogram of 30 to 40 buckets."""
    edges = [rng.gauss(0, 1) for _ in range(rng.randint(30, 40))]
    packed = struct.pack(f"<{len(edges)}d", *edges)
    return field(1, field(1, tag) + field(5, b"\x09" + struct.pack("<d", min(edges)) + field(6, packed) + field(7, packed)))


def image(tag: bytes, rng: random.Random) -> bytes:
    """Summary.Value with 20 kB of encoded image."""
    return field(1, field(1, tag) + field(4, b"\x08\x40\x10\x40\x18\x03" + field(4, rng.randbytes(20_000))))


def text(tag: bytes, content: bytes) -> bytes:
    """Summary.Value as torch's add_text writes it: a string tensor of shape [1] with the text plugin."""
    shape = field(2, field(2, b"\x08\x01"))
    return field(1, field(1, tag) + field(8, b"\x08\x07" + shape + field(8, content)) + field(9, field(1, field(1, b"text"))))


def scalar(wall_time: float, step: int, tag: str, value: float) -> bytes:
    """A record with one simple_value."""
    return record(event(wall_time, step, field(5, simple(tag.encode(), value))))


def series(tag: str, steps: Iterable[int], start: float = START, value: float = 1.0) -> bytes:
    """Records of one tag, ten seconds apart, with falling values."""
    return b"".join(scalar(start + 10 * i, step, tag, value / (1 + i)) for i, step in enumerate(steps))


def write(path: Path, *parts: bytes, start: float = START) -> Path:
    """An event file that starts at `start` (seconds since the Unix epoch); makes its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record(event(start, 0, field(3, b"brain.Event:2"))) + b"".join(parts))
    return path
