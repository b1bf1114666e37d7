"""The record chain of an event file (TFRecord framing), in batches, with resynchronisation after damage.

A record is: payload length (8 bytes), its masked CRC (4), payload, the payload's masked CRC (4). Source: record_writer.h in
tensorflow/core/lib/io. The file is read with `read()`, never mapped (a file truncated meanwhile would kill the process), up to the size
that it had when it was opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.run.log import Ints
from lossdoctor.sources.tensorboard import oversize, resync
from lossdoctor.sources.tensorboard.crc import FRAME, HEADER, declared_length
from lossdoctor.sources.tensorboard.damage import Damage
from lossdoctor.sources.tensorboard.hop import hop

WINDOW = 4 << 20
MOST_GAPS = 10_000
"""Places at which the chain may break before the rest of a file is given up: each costs a search."""


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
    chain = Chain(resync.Search(file, size, limits.record_bytes), damage)
    window = max(WINDOW, limits.record_bytes + FRAME)
    while chain.position < size:
        wanted = min(window, size - chain.position)
        file.seek(chain.position)
        try:
            data = file.read(wanted)
        except OSError as error:
            damage.add("read-error", chain.position, f"{error.strerror}; the rest of the file could not be read")
            return
        end = chain.position + len(data)
        yield chain.follow(data)
        if len(data) < wanted:
            detail = "the file shrank while it was read; the records before this byte are kept"
            damage.add("torn-record", end, detail, Loss.BENIGN)
            return
        data = b""  # frees the window before the next one is read


@dataclass(slots=True)
class Chain:
    """Where the reading of a file stands: the offset of the next header, the last record (header offset, length), the gaps so far."""

    search: resync.Search
    damage: Damage
    position: int = 0
    last: tuple[int, int] = (0, 0)
    gaps: int = 0
    known: dict[bytes, int] = field(default_factory=dict)

    def follow(self, data: bytes) -> Batch:
        """All records that lie whole in `data`, the bytes of the file from `position` on; moves `position` behind them."""
        base = cursor = self.position
        size, limit = self.search.size, self.search.limit
        starts, lengths = [], []
        while cursor < base + len(data):
            heads, end = hop(data, cursor - base, self.known, limit)
            cursor = base + end
            starts.append(heads + HEADER)
            lengths.append(np.diff(heads, append=end) - FRAME)
            if len(heads):
                self.last = base + int(heads[-1]), int(lengths[-1][-1])
            header = data[end : end + HEADER]
            length = declared_length(header)
            if cursor >= size or (base + len(data) < size and _needs_more(header, length, limit)):
                break
            cursor = self._over_gap(cursor, length)
        self.position = cursor
        return Batch(data, base, np.concatenate(starts), np.concatenate(lengths))

    def _over_gap(self, position: int, length: int | None) -> int:
        self.gaps += 1
        if self.gaps > MOST_GAPS:
            detail = f"more than {MOST_GAPS:,} breaks in the chain of records; the rest of the file was not read"
            self.damage.add("too-much-damage", position, detail)
            return self.search.size
        try:
            return _over_gap(self.search, self.damage, position, length, self.last)
        except OSError as error:
            self.damage.add("read-error", position, f"{error.strerror}; the rest of the file could not be read")
            return self.search.size


def _needs_more(header: bytes, length: int | None, limit: int) -> bool:
    """Whether a record was left over only because the window ends inside it."""
    return len(header) < HEADER or (length is not None and length <= limit)


def _over_gap(search: resync.Search, damage: Damage, position: int, length: int | None, last: tuple[int, int]) -> int:
    """Name what stands at `position`, which is no whole record of a permitted size; returns where to go on (the size at the end).

    `length` is what the header there declares, None if its CRC is wrong; `last` is the record before it: header offset and payload length.
    """
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
