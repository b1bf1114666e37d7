"""One event file, read whole: scalars as columns, texts, hyperparameters, session starts and what was damaged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Scalar
from lossdoctor.sources.files import LFS_HEADER
from lossdoctor.sources.regular_file import open_regular
from lossdoctor.sources.tensorboard import columns
from lossdoctor.sources.tensorboard.crc import FRAME, HEADER, is_whole
from lossdoctor.sources.tensorboard.damage import Damage
from lossdoctor.sources.tensorboard.events import Events, Point, Start
from lossdoctor.sources.tensorboard.framing import Batch, batches
from lossdoctor.sources.tensorboard.table import Column, Rows, Table


@dataclass(frozen=True, slots=True, eq=False)
class EventFile:
    """What one event file holds, in its own order, nothing dropped but what `faults` names.

    `scalars`: tag -> Column. `texts`: tag -> its texts. `starts`: SessionLog.START marks. `others`: how many records of each kind were
    passed over (histogram, image, graph def, ...). `first_time` is the wall time of the first record, in seconds since the Unix epoch.
    """

    path: Path
    size: int
    records: int
    first_time: float | None
    scalars: Mapping[str, Column]
    texts: Mapping[str, list[str]]
    hparams: Mapping[str, Scalar]
    starts: tuple[Start, ...]
    others: Mapping[str, int]
    faults: tuple[Fault, ...]

    @property
    def points(self) -> int:
        return sum(len(column.steps) for column in self.scalars.values())


def read_file(path: Path, limits: Limits = LIMITS) -> EventFile:
    """Read an event file.

    Raises `PathMissing` if there is none and `Unreadable` if it is not a regular file, too large, empty, a git-lfs pointer, or holds no
    readable event. Damage inside becomes `faults`.
    """
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        _refuse(path, file, size, limits)
        damage = Damage(path)
        events, table = Events(damage, limits), Table()
        _read(file, size, events, table)
    if not events.valid and not table.points:
        raise Unreadable(f"{path.name}: no readable record; it is not a TensorBoard event file, or nothing of it is left")
    scalars = _named(table, damage)
    times = [float(column.wall_times[0]) for column in scalars.values()] + ([] if events.first_time is None else [events.first_time])
    return EventFile(
        path,
        size,
        events.valid,
        min(times, default=None),
        scalars,
        events.texts,
        events.hparams,
        tuple(events.starts),
        dict(events.others),
        damage.faults(),
    )


def _read(file: BinaryIO, size: int, events: Events, table: Table) -> None:
    limits = events.limits
    for batch in batches(file, size, events.damage, limits):
        _take_in(batch, events, table)
        if table.points > limits.points or len(table.numbers) > limits.tags:
            bounds = f"limits: {limits.points:,} and {limits.tags:,}"
            what = f"{table.points:,} points under {len(table.numbers):,} tags ({bounds}); the rest of the file was not read"
            events.damage.add("too-many-points", batch.base + len(batch.data), what)
            return
        del batch  # frees its window before the next one is read


def _open(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except FileNotFoundError as error:
        raise PathMissing(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path.name}: {getattr(error, 'strerror', None) or error}") from error


def _refuse(path: Path, file: BinaryIO, size: int, limits: Limits) -> None:
    if size == 0:
        raise Unreadable(f"{path.name}: no readable record, the file is empty")
    if size > limits.file_bytes:
        raise Unreadable(f"{path.name}: {size:,} bytes, over the limit of {limits.file_bytes:,}")
    try:
        head = file.read(len(LFS_HEADER))
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror}") from error
    if head == LFS_HEADER:
        raise Unreadable(f"{path.name}: a git-lfs pointer, not the event file itself: run git lfs pull")


def _take_in(batch: Batch, events: Events, table: Table) -> None:
    parts, rest = columns.read(batch, events, table)
    points: list[Point] = []
    for record, start, length in zip(rest.tolist(), batch.starts[rest].tolist(), batch.lengths[rest].tolist(), strict=True):
        offset = batch.base + start - HEADER
        payload = batch.data[start : start + length]
        if is_whole(payload, batch.data, start + length):
            points += events.read(payload, record, offset)
        else:
            events.damage.add("bad-crc", offset, f"the CRC of a record of {length + FRAME:,} bytes is wrong; it was dropped")
    events.valid += len(batch.starts) - len(rest)
    table.add([*parts, _rows(points, table)])


def _rows(points: list[Point], table: Table) -> Rows:
    record = np.array([p.record for p in points], dtype=np.int32)
    place = (np.arange(len(points)) - np.searchsorted(record, record)).astype(np.int32)
    tag = np.array([table.number(p.tag) for p in points], dtype=np.int32)
    steps = np.array([p.step for p in points], dtype=np.int64)
    times = np.array([p.time for p in points], dtype=np.float64)
    return Rows(record, place, tag, steps, times, np.array([p.value for p in points], dtype=np.float64))


def _named(table: Table, damage: Damage) -> dict[str, Column]:
    """The columns under their tags as text; a tag that is not UTF-8 is a fault."""
    scalars: dict[str, Column] = {}
    for raw, column in table.columns().items():
        try:
            scalars[raw.decode("utf-8")] = column
        except UnicodeDecodeError:
            damage.add("bad-record", None, f"{len(column.steps):,} points under the tag {raw!r:.200}, which is not UTF-8, were dropped")
    return scalars
