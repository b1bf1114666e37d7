"""One event file, read whole: scalars as columns, texts, hyperparameters, session starts and what was damaged."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Scalar
from lossdoctor.sources.tensorboard.crc import is_whole
from lossdoctor.sources.tensorboard.damage import Damage
from lossdoctor.sources.tensorboard.events import Events, Point, Start
from lossdoctor.sources.tensorboard.framing import FRAME, HEADER, Batch, batches
from lossdoctor.sources.tensorboard.table import Column, Rows, Table

LFS = b"version https://git-lfs.github.com/spec/"


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
    with open_regular(path) as (file, size):
        if size > limits.file_bytes:
            raise Unreadable(f"{path}: {size:,} bytes, over the limit of {limits.file_bytes:,}")
        _refuse_pointer(path, file, size)
        damage = Damage(path)
        events, table = Events(damage, limits), Table()
        for batch in batches(file, size, damage, limits):
            _take_in(batch, events, table)
            if table.points > limits.points or len(table.numbers) > limits.tags:
                what = f"{table.points:,} points under {len(table.numbers):,} tags: more than the limits of {limits.points:,} and {limits.tags:,}"
                damage.add("too-many-points", batch.base + len(batch.data), f"{what}; the rest of the file was not read")
                break
    if not events.valid and not table.points:
        raise Unreadable(f"no readable record in {path}: it is not a TensorBoard event file, or nothing of it is left")
    scalars = _named(table, damage)
    return EventFile(
        path,
        size,
        events.valid,
        events.first_time,
        scalars,
        events.texts,
        events.hparams,
        tuple(events.starts),
        dict(events.others),
        damage.faults(),
    )


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file (never a FIFO or a device, which could block) and give its size at that moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        raise PathMissing(f"{path} does not exist") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"{path} is not a regular file")
        yield file, status.st_size


def _refuse_pointer(path: Path, file: BinaryIO, size: int) -> None:
    if size == 0:
        raise Unreadable(f"no readable record in {path}: the file is empty")
    if file.read(len(LFS)) == LFS:
        raise Unreadable(f"{path} is a git-lfs pointer, the event file itself is not here: run `git lfs pull`")


def _take_in(batch: Batch, events: Events, table: Table) -> None:
    points: list[Point] = []
    for record, (start, length) in enumerate(zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)):
        offset = batch.base + start - HEADER
        if not is_whole(batch.data, start, length):
            events.damage.add("bad-crc", offset, f"the CRC of a record of {length + FRAME:,} bytes is wrong; it was dropped")
        else:
            points += events.read(batch.data[start : start + length], record, offset)
    table.add(
        Rows(
            np.array([p.record for p in points], dtype=np.int64),
            np.array([table.number(p.tag) for p in points], dtype=np.int64),
            np.array([p.step for p in points], dtype=np.int64),
            np.array([p.time for p in points], dtype=np.float64),
            np.array([p.value for p in points], dtype=np.float64),
        )
    )


def _named(table: Table, damage: Damage) -> dict[str, Column]:
    """The columns under their tags as text; a tag that is not UTF-8 is a fault."""
    scalars: dict[str, Column] = {}
    for raw, column in table.columns().items():
        try:
            scalars[raw.decode("utf-8")] = column
        except UnicodeDecodeError:
            damage.add("bad-record", 0, f"{len(column.steps):,} points under the tag {raw!r:.200}, which is not UTF-8, were dropped")
    return scalars
