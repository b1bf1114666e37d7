"""The record chain of an event file (TFRecord framing), in batches, with resynchronisation after damage.

A record is: payload length (8 bytes), its masked CRC (4), payload, the payload's masked CRC (4). Source: record_writer.h in
tensorflow/core/lib/io. The file is read with `read()`, never mapped (a file truncated meanwhile would kill the process), up to the size
that it had when it was opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.run.log import Ints
from lossdoctor.sources.tensorboard import oversize, resync
from lossdoctor.sources.tensorboard.crc import FRAME, HEADER, declared_length
from lossdoctor.sources.tensorboard.damage import Damage

WINDOW = 8 << 20
KNOWN_HEADERS = 1 << 16
HOPS = 512
MOST_HOPS = 1 << 14
NEEDLE = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records: `data` starts at byte `base` of the file, payload i is data[starts[i] : starts[i] + lengths[i]].

    The CRCs of the lengths are checked, those of the payloads are not; `starts` and `lengths` are int64 of shape (records,).
    """

    data: bytes
    base: int
    starts: Ints
    lengths: Ints


def batches(file: BinaryIO, size: int, damage: Damage, limits: Limits) -> Iterator[Batch]:
    """Yield every record of the first `size` bytes that can be found; what cannot becomes a fault in `damage`."""
    known: dict[bytes, int] = {}
    search = resync.Search(file, size, limits.record_bytes)
    window = max(WINDOW, limits.record_bytes + FRAME)
    position = 0
    last = (0, 0)
    while position < size:
        file.seek(position)
        data = file.read(min(window, size - position))
        heads, used = hop(data, known, limits.record_bytes)
        if len(heads):
            batch = Batch(data, position, heads + HEADER, np.diff(heads, append=used) - FRAME)
            last = (position + int(heads[-1]), int(batch.lengths[-1]))
            yield batch
        if len(data) < min(window, size - position):
            detail = "the file shrank while it was read; the records before this byte are kept"
            damage.add("torn-record", position + len(data), detail, Loss.BENIGN)
            return
        header = data[used : used + HEADER]
        length = declared_length(header)
        at_end = position + len(data) == size
        position += used
        if position < size and (at_end or not _needs_more(header, length, limits.record_bytes)):
            position = _over_gap(search, damage, position, length, last)


def _needs_more(header: bytes, length: int | None, limit: int) -> bool:
    """Whether a record was left over only because the window ends inside it."""
    return len(header) < HEADER or (length is not None and length <= limit)


def hop(data: bytes, known: dict[bytes, int], limit: int) -> tuple[Ints, int]:
    """Follow the chain from byte 0 of `data`: the offsets of the headers of whole records, and where it stopped.

    `known` maps 12-byte headers whose CRC is right to the size of their record, so that each distinct length is checked once. Where the
    sizes repeat with a period, as when the same tags are logged at each step, many headers are compared at a time.
    """
    chunks: list[Ints] = []
    position, count, stopped = 0, HOPS, False
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


def _over_gap(search: resync.Search, damage: Damage, position: int, length: int | None, last: tuple[int, int]) -> int:
    """Name what stands at `position`, which is no whole record of a permitted size; returns where to go on (the size at the end)."""
    size, limit = search.size, search.limit
    if length is not None and position + FRAME + length <= size:
        kind = oversize.describe(search.file, position + HEADER, length)
        lost = f"a record of {length:,} bytes (limit {limit:,}) was skipped unread"
        damage.add("record-too-large", position, f"{lost}; it holds {kind}" if kind else lost, Loss.BENIGN if kind else Loss.LOSSY)
        return position + FRAME + length
    found = search.after(position, last)
    left = size - position
    if length is not None:
        beyond = f"a record declares {length:,} bytes, {left:,} are left in the file"
        if found is not None:
            damage.add("bad-length", position, f"{beyond}; reading goes on at byte {found}")
        elif length > limit and not oversize.describe(search.file, position + HEADER, left):
            damage.add("bad-length", position, f"{beyond}; the rest of the file is lost")
        else:
            damage.add("torn-record", position, f"the last record is cut: {beyond}; the records before it are kept", Loss.BENIGN)
    elif left < HEADER:
        damage.add("torn-record", position, f"{left} bytes of a cut record at the end; the records before it are kept", Loss.BENIGN)
    elif found is not None:
        damage.add("bad-crc", position, f"no record starts here (the CRC of its length is wrong); reading goes on at byte {found}")
    elif left <= resync.ZERO_TAIL and search.is_zero(position):
        damage.add("torn-record", position, f"{left:,} zero bytes at the end, never written; the records before them are kept", Loss.BENIGN)
    else:
        damage.add("bad-crc", position, f"no record starts here (the CRC of its length is wrong) and none follows; {left:,} bytes are lost")
    return size if found is None else found
