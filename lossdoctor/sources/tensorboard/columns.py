"""Many records at once: records of one length are compared with one of them, and those of its layout are decoded by position.

Every record is proved before it counts: its structural bytes equal those of a record that protobuf read the same way, its tag equals,
byte for byte, the tag it was numbered by, and its CRC is right. What does not fit is left to `events`, one record at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c
import numpy as np
import numpy.typing as npt

from lossdoctor.run.log import Floats, Ints
from lossdoctor.sources.tensorboard import linear_crc
from lossdoctor.sources.tensorboard.crc import FOOTER, is_whole
from lossdoctor.sources.tensorboard.events import Events
from lossdoctor.sources.tensorboard.framing import Batch
from lossdoctor.sources.tensorboard.layout import Layout, walk
from lossdoctor.sources.tensorboard.linear_crc import Words
from lossdoctor.sources.tensorboard.table import Rows, Small, Table

FEWEST = 48
"""Fewer records of a kind than this are read faster one at a time."""
LONGEST = 4096
MISSES = 4
BUCKETS = 16
MULTIPLIERS = np.array([pow(0x9E3779B97F4A7C15, 2 * i + 1, 1 << 64) for i in range(LONGEST // 8 + 2)], dtype=np.uint64)
"""Odd, so that multiplying by them loses no bit."""
Bools = npt.NDArray[np.bool_]


def read(batch: Batch, events: Events, table: Table) -> tuple[list[Rows], Ints]:
    """Decode what can be decoded in columns; returns it with the indexes of all other records, in order."""
    done: list[Rows] = []
    taken = np.zeros(len(batch.starts), dtype=bool)
    for length, records in _by_length(batch):
        for rows, records_read in _read_group(batch, length, records, events, table):
            done.append(rows)
            taken[records_read] = True
    return done, np.flatnonzero(~taken)


def _by_length(batch: Batch) -> Iterator[tuple[int, Ints]]:
    """Records of each length that is frequent and short enough, by their indexes in order; none whose words would reach beyond the data."""
    lengths = np.where(batch.starts + batch.lengths + FOOTER + 8 > len(batch.data), LONGEST + 1, np.minimum(batch.lengths, LONGEST + 1))
    order = np.argsort(lengths.astype(np.uint16), kind="stable")
    counts = np.bincount(lengths, minlength=LONGEST + 2)
    ends = np.cumsum(counts)
    for length in np.flatnonzero(counts[: LONGEST + 1] >= FEWEST).tolist():
        yield length, order[ends[length] - counts[length] : ends[length]]


def _read_group(batch: Batch, length: int, records: Ints, events: Events, table: Table) -> Iterator[tuple[Rows, Ints]]:
    """Find the layouts among records of one length, decode the records of each."""
    words: list[Words] = []
    misses = 0
    while len(records) >= FEWEST and misses < MISSES:
        start = int(batch.starts[records[0]])
        payload = batch.data[start : start + length]
        layout = _proved(payload, events) if is_whole(payload, batch.data, start + length) else None
        if layout is None:
            misses += 1
            records, words = records[1:], [word[1:] for word in words]
            continue
        words = words or _words(batch, length, records)
        fits = _same_structure(words, payload, layout)
        misses += int(fits.sum()) < FEWEST
        chosen = words if fits.all() else [word[fits] for word in words]
        rows, whole = _decode(batch, records[fits], chosen, layout, table)
        yield rows, records[fits][whole]
        records, words = records[~fits], [word[~fits] for word in words]


def _words(batch: Batch, length: int, records: Ints) -> list[Words]:
    """The payloads and their CRCs as columns of little-endian words."""
    count = (length + FOOTER + 7) // 8
    everywhere = np.ndarray((len(batch.data) - 8 * count + 1,), dtype=f"V{8 * count}", buffer=batch.data, strides=(1,))
    rows = everywhere[batch.starts[records]].view("<u8").reshape(-1, count)
    return list(rows.T.copy())


def _proved(payload: bytes, events: Events) -> Layout | None:
    """The layout of a payload if protobuf, the reference, finds exactly the same points in it and nothing else."""
    layout = walk(payload)
    points = events.probe(payload) if layout else None
    if layout is None or points is None or len(points) != len(layout.slots):
        return None
    for point, slot in zip(points, layout.slots, strict=True):
        value = float(np.frombuffer(payload, f"<f{slot.width}", 1, slot.value)[0])
        step = _varint_value(payload[layout.step : layout.step_end]) if layout.step >= 0 else 0
        wall = float(np.frombuffer(payload, "<f8", 1, layout.wall)[0]) if layout.wall >= 0 else 0.0
        found = (payload[slot.tag : slot.tag_end], step, wall, value)
        if repr(found) != repr((point.tag, point.step, point.time, point.value)):
            return None
    return layout


def _varint_value(data: bytes) -> int:
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(data))


def _same_structure(words: list[Words], payload: bytes, layout: Layout) -> Bools:
    padding = bytes(8 * len(words) - layout.length)
    reference = np.frombuffer(payload + padding, dtype="<u8")
    masks = np.frombuffer(bytes(layout.mask()) + padding, dtype="<u8")
    differs = np.zeros(len(words[0]), dtype=np.uint64)
    for word, expected, mask in zip(words, reference, masks, strict=True):
        if mask:
            differs |= (word ^ expected) & mask
    same: Bools = differs == 0
    return same


def _decode(batch: Batch, records: Ints, words: list[Words], layout: Layout, table: Table) -> tuple[Rows, Bools]:
    """The points of records of one layout, and which of the records are whole."""
    same_tag, first = _by_tag(words, layout)
    codes = _codes(batch, records, words, layout, first)
    whole = same_tag & (linear_crc.mask(codes) == _field(words, layout.length, FOOTER).astype(np.uint32))
    if not whole.all():
        words, first, records = [word[whole] for word in words], first[whole], records[whole]
    return _rows(batch, records, words, layout, table, first=first), whole


def _by_tag(words: list[Words], layout: Layout) -> tuple[Bools, Ints]:
    """For each record one that has the same tag (by hash), and whether the tags are in fact equal."""
    count = len(words[0])
    if len(layout.slots) > 1:
        return np.ones(count, dtype=bool), np.zeros(count, dtype=np.int64)
    slot = layout.slots[0]
    keep = bytearray(8 * len(words))
    keep[slot.tag : slot.tag_end] = b"\xff" * (slot.tag_end - slot.tag)
    masks = np.frombuffer(bytes(keep), dtype="<u8")
    tags = [word & mask for word, mask in zip(words, masks, strict=True) if mask]
    total = np.zeros(count, dtype=np.uint64)
    for tag, multiplier in zip(tags, MULTIPLIERS, strict=False):
        total += tag * multiplier
        total ^= total >> np.uint64(29)
    bucket = ((total * MULTIPLIERS[-1]) >> np.uint64(64 - BUCKETS)).astype(np.int64)
    owner = np.empty(1 << BUCKETS, dtype=np.int64)
    owner[bucket] = np.arange(count)
    first = owner[bucket]
    differs = np.zeros(count, dtype=np.uint64)
    for tag in tags:
        differs |= tag ^ tag[first]
    return differs == 0, first


def _codes(batch: Batch, records: Ints, words: list[Words], layout: Layout, first: Ints) -> linear_crc.Codes:
    """The CRC of every payload: that of the record with its tag, corrected for the bytes of wall time, step and values."""
    fields = [(layout.wall, 8)] if layout.wall >= 0 else []
    fields += [(layout.step, layout.step_end - layout.step)] if layout.step >= 0 else []
    fields += [(slot.value, slot.width) for slot in layout.slots]
    places = [place for start, size in fields for place in range(start, start + size)]
    codes = linear_crc.contribution(words, places, layout.length)
    base = np.zeros(len(records), dtype=np.uint32)
    for owner in np.flatnonzero(first == np.arange(len(first))).tolist():
        start = int(batch.starts[records[owner]])
        base[owner] = google_crc32c.value(batch.data[start : start + layout.length]) ^ int(codes[owner])
    return codes ^ base[first]


def _rows(batch: Batch, records: Ints, words: list[Words], layout: Layout, table: Table, *, first: Ints) -> Rows:
    count, many = len(records), len(layout.slots)
    wall_times = _field(words, layout.wall, 8).view("<f8") if layout.wall >= 0 else np.zeros(count)
    steps = _steps(words, layout)
    values = [_value(words, slot.value, slot.width) for slot in layout.slots]
    indexes = records.astype(np.int32)
    if many == 1:
        return Rows(indexes, np.zeros(count, dtype=np.int32), _numbers(batch, records, layout, table, first), steps, wall_times, values[0])
    start = int(batch.starts[records[0]]) if count else 0
    tags = [batch.data[start + slot.tag : start + slot.tag_end] for slot in layout.slots]
    numbers = np.array([table.number(tag) if count else 0 for tag in tags], dtype=np.int32)
    places, flat = np.tile(np.arange(many, dtype=np.int32), count), np.stack(values, axis=1).ravel()
    return Rows(np.repeat(indexes, many), places, np.tile(numbers, count), np.repeat(steps, many), np.repeat(wall_times, many), flat)


def _numbers(batch: Batch, records: Ints, layout: Layout, table: Table, first: Ints) -> Small:
    """The number of each record's tag. `first` still counts the records that were dropped, so it serves as a name only."""
    slot = layout.slots[0]
    names, place, back = _distinct(first)
    numbers = np.empty(len(names), dtype=np.int32)
    for index, record in enumerate(records[place].tolist()):
        start = int(batch.starts[record])
        numbers[index] = table.number(batch.data[start + slot.tag : start + slot.tag_end])
    return numbers[back]


def _distinct(names: Ints) -> tuple[Ints, Ints, Ints]:
    """Distinct names (of at most the number of records), where each occurs, and for each record the index of its name."""
    if not len(names):
        return names, names, names
    where = np.full(int(names.max()) + 1, -1, dtype=np.int64)
    where[names] = np.arange(len(names))
    distinct = np.flatnonzero(where >= 0)
    index = np.empty(len(where), dtype=np.int64)
    index[distinct] = np.arange(len(distinct))
    return distinct, where[distinct], index[names]


def _field(words: list[Words], start: int, size: int) -> Words:
    """The `size` <= 8 bytes from byte `start` on, as the low bytes of a word; of size 8 nothing else is in it."""
    word, byte = divmod(start, 8)
    if byte == 0:
        return words[word]
    low = words[word] >> np.uint64(8 * byte)
    return low if byte + size <= 8 else low | (words[word + 1] << np.uint64(64 - 8 * byte))


def _value(words: list[Words], start: int, width: int) -> Floats:
    raw = _field(words, start, width)
    if width == 8:
        return raw.view("<f8")
    return raw.astype(np.uint32).view("<f4").astype(np.float64)


def _steps(words: list[Words], layout: Layout) -> Ints:
    if layout.step < 0:
        return np.zeros(len(words[0]), dtype=np.int64)
    raw = _field(words, layout.step, layout.step_end - layout.step)
    steps = raw & np.uint64(0x7F)
    for place in range(1, layout.step_end - layout.step):
        steps |= (raw >> np.uint64(place)) & np.uint64(0x7F << (7 * place))
    return steps.view(np.int64)
