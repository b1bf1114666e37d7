"""The columns of scalars of one file, tag by tag, grown batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossdoctor.run.log import Floats, Ints

Small = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The points of one tag in the order of the file.

    `steps` int64, `wall_times` (seconds since the Unix epoch) and `values` float64 of shape (points,); values hold float32 exactly.
    """

    steps: Ints
    wall_times: Floats
    values: Floats

    @classmethod
    def joined(cls, parts: Sequence[Column]) -> Column:
        """The parts one behind the other."""
        if len(parts) == 1:
            return parts[0]
        steps, wall_times, values = ([getattr(part, name) for part in parts] for name in ("steps", "wall_times", "values"))
        return cls(np.concatenate(steps), np.concatenate(wall_times), np.concatenate(values))


class Rows(NamedTuple):
    """Points of one batch in any order: the index of their record, their place in it, their tag's number, and the three columns."""

    record: Small
    place: Small
    tag: Small
    steps: Ints
    wall_times: Floats
    values: Floats


@dataclass(slots=True)
class Table:
    """Numbers the tags and collects chunks of columns per tag."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    chunks: list[list[Column]] = field(default_factory=list)
    points: int = 0

    def number(self, tag: bytes) -> int:
        """The number of a tag, a new one if it is new."""
        found = self.numbers.get(tag)
        if found is None:
            found = self.numbers[tag] = len(self.chunks)
            self.chunks.append([])
        return found

    def add(self, parts: Sequence[Rows]) -> None:
        """Append the points of one batch. A record's points are all in one part."""
        parts = [part for part in parts if len(part.record)]
        if not parts:
            return
        rows = parts[0] if len(parts) == 1 else Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        small = rows.tag.astype(np.uint16) if len(self.chunks) <= 1 << 16 else rows.tag  # numpy sorts 16 bits by radix
        order = np.argsort(small, kind="stable")
        if np.any((np.diff(rows.record[order]) < 0) & (np.diff(small[order]) == 0)):
            order = np.lexsort((rows.place, rows.record, rows.tag))
        tags = rows.tag[order]
        steps, wall_times, values = rows.steps[order], rows.wall_times[order], rows.values[order]
        edges = np.flatnonzero(np.diff(tags, prepend=-1, append=-1))
        for start, end, tag in zip(edges[:-1].tolist(), edges[1:].tolist(), tags[edges[:-1]].tolist(), strict=True):
            self.chunks[tag].append(Column(steps[start:end], wall_times[start:end], values[start:end]))
        self.points += len(order)

    def columns(self) -> dict[bytes, Column]:
        """One column a tag, in the order in which the tags came."""
        return {tag: Column.joined(self.chunks[number]) for tag, number in self.numbers.items() if self.chunks[number]}
