"""Find the next record after damage: the next 12 bytes that are a length within the limits and the right CRC of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import google_crc32c
import numpy as np

from lossdoctor.run.log import Ints
from lossdoctor.sources.tensorboard import linear_crc
from lossdoctor.sources.tensorboard.crc import FOOTER, FRAME, HEADER, declared_length, is_whole

SMALLEST_BLOCK = 1 << 9
LARGEST_BLOCK = 1 << 18
ZERO_TAIL = 4096
"""Zero bytes at the end that count as one unwritten record: one page, the unit in which a file system loses a tail."""
REREADS = 64 << 20


@dataclass(slots=True)
class Search:
    """Searches one file. `work` bounds the bytes of payloads that are read again, so that crafted headers cannot make it quadratic."""

    file: BinaryIO
    size: int
    limit: int
    work: int = field(init=False)

    def __post_init__(self) -> None:
        self.work = REREADS + 2 * self.size

    def after(self, position: int, last: tuple[int, int]) -> int | None:
        """The offset of the next record behind `position`, where no record starts.

        `last` is (header offset, payload length) of the record that led here: if its payload is damaged, bytes may be missing from it, and
        the search starts inside it.
        """
        start, length = last
        suspect = bool(length) and start + FRAME + length == position and self._spend(length) and not self._is_whole(start, length)
        return self._next(start + 1 if suspect else position + 1)

    def is_zero(self, position: int) -> bool:
        """Whether nothing but zero bytes follows."""
        self.file.seek(position)
        return not self.file.read(self.size - position).strip(b"\0")

    def _next(self, position: int) -> int | None:
        block = SMALLEST_BLOCK
        while position < self.size:
            self.file.seek(position)
            for offset in _candidates(self.file.read(min(block + HEADER, self.size - position)), self.limit):
                if offset < block and self._fits(position + offset):
                    return position + offset
            position += block
            block = min(2 * block, LARGEST_BLOCK)
        return None

    def _fits(self, position: int) -> bool:
        self.file.seek(position)
        length = declared_length(self.file.read(HEADER))
        return length is not None and position + FRAME + length <= self.size

    def _is_whole(self, position: int, length: int) -> bool:
        self.file.seek(position + HEADER)
        data = self.file.read(length + FOOTER)
        return is_whole(data[:length], data, length)

    def _spend(self, length: int) -> bool:
        self.work -= length
        return self.work > 0


def _candidates(data: bytes, limit: int) -> Iterator[int]:
    """Offsets in `data` of 12 bytes that may be a header: a length up to `limit`, and not zeros only."""
    count = len(data) - HEADER + 1
    whole = len(data) // 8
    if count <= 0 or not (np.frombuffer(data, dtype="<u8", count=whole).any() or any(data[8 * whole :])):
        return
    zero = np.frombuffer(data, dtype=np.uint8) == 0
    likely = np.ones(count, dtype=bool)
    for byte in range((limit.bit_length() + 7) // 8, 8):
        likely &= zero[byte : byte + count]
    for offset in _right_crc(data, np.flatnonzero(likely)):
        length = declared_length(data[offset : offset + HEADER])
        if length is not None and length <= limit:
            yield offset


def _right_crc(data: bytes, offsets: Ints) -> list[int]:
    """The offsets of 12 bytes whose last four are the CRC of the first eight, all computed at once."""
    everywhere = np.ndarray((len(data) - HEADER + 1,), dtype=f"V{HEADER}", buffer=data, strides=(1,))
    fields = everywhere[offsets].view("<u4").reshape(-1, 3)
    lengths = np.ascontiguousarray(fields[:, :2]).view("<u8").ravel()
    if not len(offsets):
        return []
    codes = linear_crc.contribution([lengths], list(range(8)), 8)
    codes ^= codes[0] ^ np.uint32(google_crc32c.value(lengths[:1].tobytes()))
    right: list[int] = offsets[linear_crc.mask(codes) == fields[:, 2]].tolist()
    return right
