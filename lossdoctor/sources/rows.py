"""Logged rows, one at a time, into series: what text logs and JSON lines have in common."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.run.log import Series

_FARTHEST_STEP = 2**62


@dataclass(slots=True)
class _Column:
    """One name's points, and the number of the row each came from."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    epochs: array[float] = field(default_factory=lambda: array("d"))
    times: array[float] = field(default_factory=lambda: array("d"))
    rows: array[int] = field(default_factory=lambda: array("q"))

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Leave out all points but these, shape (n,)."""
        for name in ("steps", "values", "epochs", "times", "rows"):
            told = getattr(self, name)
            setattr(self, name, array(told.typecode, np.asarray(told)[kept].tolist()))


@dataclass(slots=True)
class Rows:
    """Points by name in logging order. Bounded: beyond the limits on points or names `add` raises Unreadable with the figures."""

    limits: Limits
    count: int = 0
    points: int = 0
    line: int = 0  # where the rows that are added stand in their log
    reached: int | None = None
    started: float | None = None
    _columns: dict[str, _Column] = field(default_factory=dict)
    _lines: array[int] = field(default_factory=lambda: array("q"))

    def add(self, values: Mapping[str, float], step: int, epoch: float = math.nan, time: float = math.nan) -> None:
        """Append a row: one value a name at a step; epoch and time (seconds since the Unix epoch) are NaN where unknown."""
        self.points += len(values)
        if self.points > self.limits.points:
            raise Unreadable(f"more than {self.limits.points} points, over the limit")
        for name, value in values.items():
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= self.limits.tags:
                    raise Unreadable(f"more than {self.limits.tags} names, over the limit")
                column = self._columns[name] = _Column()
            column.steps.append(step)
            column.values.append(value)
            column.epochs.append(epoch)
            column.times.append(time)
            column.rows.append(self.count)
        self._lines.append(self.line)
        self.count += 1
        if self.reached is None or step > self.reached:
            self.reached = step
        if self.started is None and not math.isnan(time):
            self.started = time

    def holds(self, wanted: Callable[[str], bool]) -> bool:
        """Whether there is a column of such a name."""
        return any(map(wanted, self._columns))

    def lines(self) -> npt.NDArray[np.int64]:
        """Where each row stands in the log, shape (count,)."""
        return np.asarray(self._lines, dtype=np.int64)

    def rows_of(self, name: str) -> npt.NDArray[np.int64]:
        """The numbers of the rows that hold a value of this name; empty for an unknown one."""
        column = self._columns.get(name)
        return np.asarray(column.rows if column else (), dtype=np.int64)

    def rename(self, names: Mapping[str, str]) -> None:
        """Call columns otherwise."""
        self._columns = {names.get(name, name): column for name, column in self._columns.items()}

    def values_of(self, name: str) -> npt.NDArray[np.float64]:
        """The values of a column; empty for an unknown one."""
        column = self._columns.get(name)
        return np.asarray(column.values if column else (), dtype=np.float64)

    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they were first added."""
        return tuple(self._columns)

    def leave_out(self, name: str, rows: Sequence[int]) -> None:
        """Leave out what these rows hold under a name."""
        column = self._columns[name]
        column.keep(~np.isin(np.asarray(column.rows), rows))

    def crowded(self, wanted: Callable[[str], bool]) -> str | None:
        """The first such column whose step mostly stays from one row to the next: an epoch number beside the loss of every batch."""
        for name, column in self._columns.items():
            stays = np.diff(np.asarray(column.steps)) == 0
            if wanted(name) and 2 * int(stays.sum()) > len(stays):
                return name
        return None

    def printed_often(self, name: str) -> bool:
        """Whether each step says the same value equally often, as two log handlers or several ranks do; then it is kept once.

        One value all along says nothing of the kind.
        """
        column = self._columns[name]
        steps, values = np.asarray(column.steps), np.asarray(column.values)
        new = np.concatenate(([True], np.diff(steps) != 0))
        often = np.diff(np.append(np.flatnonzero(new), len(steps)))
        same = new | np.concatenate(([False], values[1:] == values[:-1]))
        if len(often) < 2 or often[0] < 2 or np.ptp(often) or not same.all() or not np.ptp(values):
            return False
        for told in self._columns.values():
            at, value = np.asarray(told.steps), np.asarray(told.values)
            told.keep(np.concatenate(([True], (np.diff(at) != 0) | (value[1:] != value[:-1]))))
        return True

    def without_stale(self, wanted: Callable[[str], bool], beside: Callable[[str], bool]) -> None:
        """Keep the first of equal values in a row of each `wanted` column where most values repeat the one before and some do not, while a
        column `beside` it moves: a bar or a line that shows the result of the last evaluation at every step."""
        moving = [frozenset(column.rows) for name, column in self._columns.items() if beside(name) and len(set(column.values)) > 2]
        for name, column in self._columns.items():
            values = np.asarray(column.values)
            repeated = np.concatenate(([False], values[1:] == values[:-1]))
            shown = 2 * int(repeated.sum()) > len(values) - 1 and bool(np.ptp(values))
            if wanted(name) and shown and any(rows.issuperset(column.rows) for rows in moving):
                column.keep(~repeated)

    def count_rows(self, name: str) -> None:
        """Count the rows of this column from 1, and place all others where that count stands."""
        rows = np.asarray(self._columns[name].rows)
        for column in self._columns.values():
            column.steps = array("q", np.searchsorted(rows, np.asarray(column.rows), side="right").tolist())
        self.reached = len(rows)

    def series(self, own: npt.NDArray[np.bool_] | None = None) -> tuple[Series, ...]:
        """All series, or of the rows that are `own` (shape (count,)) those that have points there."""
        found = []
        for name, column in self._columns.items():
            series = Series.of(name[: self.limits.name_chars], column.steps, column.values, column.epochs, column.times)
            if own is not None:
                kept = own[np.asarray(column.rows, dtype=np.int64)]
                series = Series(series.name, series.steps[kept], series.values[kept], series.epochs[kept], series.times[kept])
            if len(series.steps):
                found.append(series)
        return tuple(found)


def whole(value: float | str | None) -> int | None:
    """A step as an integer of at most 62 bits, None for anything else."""
    if isinstance(value, str):
        value = number(value)
    if value is None or isinstance(value, bool) or not math.isfinite(value) or value != math.floor(value) or abs(value) >= _FARTHEST_STEP:
        return None
    return int(value)


def number(text: str) -> float | None:
    """A printed number: `6,677`, `12.5%` and `1e-4` are, `1_000` and words are not."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(text.strip().rstrip("%").replace(",", ""))
    except ValueError:
        return None


def duration(text: str) -> float | None:
    """Seconds of `0:02:32`, `12:05` or `4 days, 5:06:09`; None for anything else."""
    days, separator, clock = text.rpartition(", ")
    parts = clock.split(":")
    if not 2 <= len(parts) <= 3:
        return None
    try:
        seconds = sum(float(part) * 60.0**power for power, part in enumerate(reversed(parts)))
        return seconds + 86_400 * int(days.split()[0]) if separator else seconds
    except (ValueError, IndexError):
        return None
