"""From header to header through a stretch of undamaged records."""

from __future__ import annotations

import numpy as np

from lossdoctor.run.log import Ints
from lossdoctor.sources.tensorboard.crc import FRAME, HEADER, declared_length

KNOWN_HEADERS = 1 << 16
HOPS = 512
MOST_HOPS = 1 << 14
NEEDLE = 16


def hop(data: bytes, start: int, known: dict[bytes, int], limit: int) -> tuple[Ints, int]:
    """Follow the chain from byte `start` of `data`: the offsets of the headers of whole records, and where it stopped.

    `known` maps 12-byte headers whose CRC is right to the size of their record, so that each distinct length is checked once. Where the
    sizes repeat with a period, as when the same tags are logged at each step, many headers are compared at a time.
    """
    chunks: list[Ints] = []
    position, count, stopped = start, HOPS, False
    while not stopped:
        heads, position, stopped = _walk(data, position, known, limit, count)
        edges = np.array([*heads, position], dtype=np.int64)
        chunks.append(edges[:-1])
        repeated, position = (edges[:0], position) if stopped else _repeated(data, edges)
        chunks.append(repeated)
        count = HOPS if len(repeated) else min(2 * count, MOST_HOPS)
    return np.concatenate(chunks), position


def _walk(data: bytes, position: int, known: dict[bytes, int], limit: int, count: int) -> tuple[list[int], int, bool]:
    """Follow the chain from `position` over at most `count` records; also tells whether it ended before."""
    heads: list[int] = []
    append, get, end = heads.append, known.get, len(data)
    for _ in range(count):
        stride = get(data[position : position + HEADER])
        if stride is None:
            length = declared_length(data[position : position + HEADER])
            if length is None or length > limit:
                return heads, position, True
            if len(known) >= KNOWN_HEADERS:
                known.clear()
            stride = known[data[position : position + HEADER]] = length + FRAME
        following = position + stride
        if following > end:
            return heads, position, True
        append(position)
        position = following
    return heads, position, False


def _repeated(data: bytes, edges: Ints) -> tuple[Ints, int]:
    """The records that go on with the period in which the last ones came, by their headers, and where they end."""
    position = int(edges[-1])
    period = _period(np.diff(edges))
    if not period:
        return edges[:0], position
    pattern = edges[-1 - period : -1]
    everywhere = np.ndarray((len(data) - HEADER + 1,), dtype=f"V{HEADER}", buffer=data, strides=(1,))
    expected = everywhere[pattern].view("<u4").reshape(1, period, 3)
    size = position - int(pattern[0])
    chunks = [edges[:0]]
    rounds = 1 + HOPS // period
    while (rounds := min(rounds, (len(data) - position) // size)) > 0:
        places = (position + size * np.arange(rounds)[:, None]) + (pattern - pattern[0])
        differs = (everywhere[places.ravel()].view("<u4").reshape(rounds, period, 3) != expected).any(axis=(1, 2))
        good = int(differs.argmax()) if differs.any() else rounds
        chunks.append(places[:good].ravel())
        position += good * size
        if good < rounds:
            break
        rounds *= 4
    return np.concatenate(chunks), position


def _period(sizes: Ints) -> int:
    """The number of records after which their sizes repeat, at least twice over; 0 if they do not."""
    raw = sizes.astype("<u4").tobytes()
    needle = raw[-4 * NEEDLE :]
    place = raw.rfind(needle, 0, len(raw) - 4)
    period, odd = divmod(len(raw) - len(needle) - place, 4)
    found = place >= 0 and not odd and 2 * period <= len(sizes) and raw[-4 * period :] == raw[-8 * period : -4 * period]
    return period if found else 0
