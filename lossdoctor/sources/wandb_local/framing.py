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
_GAP, _WHOLE, _FIRST, _LAST = 0, 1, 2, 4
_SEED = tuple(zlib.crc32(bytes([kind])) for kind in range(5))
# Bytes that the search for whole chunks among damage may run checksums over, some seconds; then it goes on from block to block.
_BUDGET = 2 << 30


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
    parts: list[bytes] = []
    start = stop = HEADER
    for position, kind, body in _chunks(data, damage):
        stop = position + HEADER + len(body)
        if parts and kind == _GAP:
            damage[-1] = Damage(damage[-1].kind, start, damage[-1].stop)
        elif parts and kind in {_WHOLE, _FIRST}:
            damage.append(Damage("orphan-chunk", start, position))
        if kind == _WHOLE:
            yield position, body
            parts = []
        elif kind == _FIRST:
            parts, start = [body], position
        elif kind == _GAP:
            parts = []
        elif not parts:
            _note(damage, "orphan-chunk", position, stop)
        else:
            parts.append(body)
            if kind == _LAST:
                yield start, b"".join(parts)
                parts = []
    if parts:
        damage.append(Damage("torn-record", start, stop))


def _chunks(data: bytes, damage: list[Damage]) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, type, body) of every chunk whose checksum holds; type 0 stands for a stretch just added to `damage`."""
    size, position, budget, written = len(data), HEADER, _BUDGET, -1
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
            yield position, kind, body
            position = stop
            continue
        written = len(data.rstrip(b"\0")) if written < 0 else written
        found, budget = (size, budget) if position >= written else _next_chunk(data, position + 1, budget)
        torn = found >= size and (len(body) < length or position >= written)
        _note(damage, "torn-record" if torn else "bad-crc", position, found)
        yield position, _GAP, b""
        position = found
    if position < size and any(data[position:]):
        damage.append(Damage("torn-record", position, size))
        yield position, _GAP, b""


def _note(damage: list[Damage], kind: str, start: int, stop: int) -> None:
    """Add a damaged stretch, to the one before where they touch; a torn end stays apart."""
    if damage and damage[-1].stop == start and kind != "torn-record":
        damage[-1] = Damage(damage[-1].kind, damage[-1].start, stop)
    else:
        damage.append(Damage(kind, start, stop))


def _next_chunk(data: bytes, start: int, budget: int) -> tuple[int, int]:
    """(offset, budget left) of the next chunk in this block whose checksum holds, else of the next block, at most the size of the file."""
    stop = min(start + BLOCK - start % BLOCK, len(data))
    if budget <= 0 or stop - start <= HEADER:
        return stop, budget
    window = np.frombuffer(data, np.uint8, stop - start, start).astype(np.int64)
    kinds = window[6:]
    lengths = window[4:-2] + 256 * window[5:-1]
    fits = (kinds >= _WHOLE) & (kinds <= _LAST) & (np.arange(len(kinds)) + lengths + HEADER + start <= len(data))
    for offset in np.flatnonzero(fits).tolist():
        position = start + offset
        crc, length, kind = _CHUNK.unpack_from(data, position)
        budget -= length
        if zlib.crc32(data[position + HEADER : position + HEADER + length], _SEED[kind]) == crc:
            return position, budget
    return stop, budget
