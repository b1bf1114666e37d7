"""The framing of a `.wandb` file: a LevelDB log with a 7-byte file header and zlib's CRC-32.

After the header `:W&B`, 0xBEE1, version 0 come blocks of 32 KiB. A chunk is crc32 (uint32, over the type byte and the body), length
(uint16), type (1 whole, 2 first, 3 middle, 4 last) and body, all little-endian; what is left of a block below 7 bytes is zero padding.
Layout: wandb/sdk/internal/datastore.py (to 0.17) and core/pkg/leveldb/record.go (from 0.18).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossdoctor.errors import Unreadable

MAGIC = b":W&B\xe1\xbe\x00"
BLOCK = 32 * 1024
HEADER = 7
_CHUNK = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_SEED = tuple(zlib.crc32(bytes([kind])) for kind in range(5))
# A scan costs up to some ms; a file damaged more often than this is searched by blocks only.
_SCANS = 1000


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes [start, stop) that hold no readable record: kind is torn-record (at the end of the file), bad-crc or orphan-chunk."""

    kind: str
    start: int
    stop: int


def records(data: bytes, damage: list[Damage]) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, payload) of every whole record whose checksums hold, and add what is not readable to `damage`.

    Raises `Unreadable` where the file header is not WandB's. A record with one bad chunk is never put together from the others.
    """
    if data[:HEADER] != MAGIC:
        raise Unreadable("not a WandB file: its first bytes are not :W&B version 0")
    size, position, start = len(data), HEADER, HEADER
    zeros = -1
    parts: list[bytes] = []
    unpack, crc32 = _CHUNK.unpack_from, zlib.crc32
    while position + HEADER <= size:
        room = BLOCK - position % BLOCK
        if room < HEADER:
            position += room
            continue
        crc, length, kind = unpack(data, position)
        stop = position + HEADER + length
        body = data[position + HEADER : stop]
        if len(body) == length and 0 < kind < 5 and crc32(body, _SEED[kind]) == crc:
            if kind == _WHOLE and not parts:
                yield position, body
            elif kind in {_WHOLE, _FIRST}:
                if parts:
                    damage.append(Damage("orphan-chunk", start, position))
                parts, start = [], position
                if kind == _WHOLE:
                    yield position, body
                else:
                    parts = [body]
            elif parts:
                parts.append(body)
                if kind == _LAST:
                    yield start, b"".join(parts)
                    parts = []
            elif not (damage and damage[-1].stop == position):
                damage.append(Damage("orphan-chunk", position, stop))
            else:
                damage[-1] = Damage(damage[-1].kind, damage[-1].start, stop)
            position = stop
            continue
        if zeros < 0:
            zeros = len(data.rstrip(b"\0"))
        if position >= zeros:
            damage.append(Damage("torn-record", start if parts else position, size))
            return
        found = _next_chunk(data, position + 1, scan=len(damage) < _SCANS)
        begin = start if parts else position
        torn = found >= size and len(body) < length
        parts = []
        if damage and damage[-1].stop == begin and not torn:
            damage[-1] = Damage(damage[-1].kind, damage[-1].start, found)
        else:
            damage.append(Damage("torn-record" if torn else "bad-crc", begin, found))
        position = found
    if parts or (position < size and any(data[position:])):
        damage.append(Damage("torn-record", start if parts else position, size))


def _next_chunk(data: bytes, start: int, *, scan: bool) -> int:
    """Offset of the next chunk in this block whose checksum holds, else of the next block, at most the size of the file."""
    stop = min(start + BLOCK - start % BLOCK, len(data))
    if scan and stop - start > HEADER:
        window = np.frombuffer(data, np.uint8, stop - start, start).astype(np.int64)
        kinds = window[6:]
        lengths = window[4:-2] + 256 * window[5:-1]
        fits = (kinds >= _WHOLE) & (kinds <= _LAST) & (np.arange(len(kinds)) + lengths + HEADER + start <= len(data))
        for offset in np.flatnonzero(fits).tolist():
            position = start + offset
            crc, length, kind = _CHUNK.unpack_from(data, position)
            if zlib.crc32(data[position + HEADER : position + HEADER + length], _SEED[kind]) == crc:
                return position
    return stop
