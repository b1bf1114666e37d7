"""Event files for the benchmark: 1 M points in both scalar styles, and the files that are hard to read fast.

Records are laid out as the real writers lay them out (tests/sources/test_tensorboard.py compares), only faster: about 1 us a record.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
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


def names(count: int) -> list[bytes]:
    """Tags of different lengths."""
    kinds = ("train/loss", "train/grad_norm", "train/learning_rate", "eval/accuracy", "eval/perplexity/mean")
    return [f"{kinds[i % len(kinds)]}{f'/layer_{i}' if i >= len(kinds) else ''}".encode() for i in range(count)]


def steady(tags: int, steps: int, style: Callable[[bytes, float], bytes]) -> Iterator[bytes]:
    """Every tag at every step, in the same order."""
    rng = random.Random(1)
    for step in range(steps):
        for tag in names(tags):
            yield record(event(START + 0.37 * step + rng.random() / 1000, step, field(5, style(tag, 2.5 / (1 + step) + rng.random() / 10))))


def shuffled(tags: int, points: int) -> Iterator[bytes]:
    """Tags in random order: no period to lean on."""
    rng = random.Random(2)
    choices = names(tags)
    for i in range(points):
        yield record(event(START + 0.1 * i + rng.random() / 1000, i // tags, field(5, simple(rng.choice(choices), rng.random()))))


def merged(tags: int, events: int) -> Iterator[bytes]:
    """TF1's merge_all: many values an event."""
    rng = random.Random(3)
    choices = names(tags)
    for step in range(events):
        summary = b"".join(simple(tag, rng.random()) for tag in choices)
        yield record(event(START + 0.37 * step + rng.random() / 1000, step, field(5, summary)))


def mixed(tags: int, steps: int) -> Iterator[bytes]:
    """Scalars with a histogram every 10 steps and an image every 100."""
    rng = random.Random(4)
    for step, scalar in enumerate(steady(tags, steps, simple)):
        yield scalar
        if step % (10 * tags) == 0:
            for tag in names(tags):
                yield record(event(START + 0.037 * step, step // tags, field(5, histogram(tag + b"/weights", rng))))
        if step % (100 * tags) == 0:
            yield record(event(START + 0.037 * step, step // tags, field(5, image(b"sample", rng))))


FILES: dict[str, Callable[[float], Iterator[bytes]]] = {
    "simple_value, 10 tags": lambda size: steady(10, int(100_000 * size), simple),
    "tensor, 10 tags": lambda size: steady(10, int(100_000 * size), tensor),
    "1000 tags x 300 points": lambda size: steady(1000, int(300 * size), simple),
    "10 tags in random order": lambda size: shuffled(10, int(300_000 * size)),
    "TF1, 10 values an event": lambda size: merged(10, int(30_000 * size)),
    "histograms and images between": lambda size: mixed(10, int(30_000 * size)),
}


def write(path: Path, kind: str, size: float = 1.0) -> None:
    """Write one of FILES; `size` scales the number of points."""
    with path.open("wb") as file:
        file.write(version())
        for data in FILES[kind](size):
            file.write(data)
