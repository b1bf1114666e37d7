"""History rows -> columns -> Series on the run's own step axis."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lossdoctor.run.log import Floats, Ints, Series

STEP_KEYS = ("train/global_step", "trainer/global_step")
EPOCH_KEYS = ("train/epoch", "epoch")
_OWN_KEYS = {"_step", "_timestamp", "_runtime"}
# WandB writes these words bare into value_json and quoted into what its service returns.
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DEPTH = 16


@dataclass(slots=True)
class Columns:
    """The numbers of a history, key by key, in any order of rows; `left_out` counts what was no number (text, images, tables) by key."""

    rows: int = 0
    cells: dict[str, list[tuple[Ints, Floats]]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, rows: Ints | Sequence[int], values: Floats | Sequence[float]) -> None:
        self.cells.setdefault(name, []).append((np.asarray(rows, np.int64), np.asarray(values, np.float64)))

    def column(self, name: str) -> tuple[Ints, Floats]:
        """Row numbers, ascending, and values; of several values in one row the last one counts, as for WandB."""
        pieces = self.cells[name]
        rows, values = (np.concatenate([piece[i] for piece in pieces]) for i in (0, 1))
        order = np.argsort(rows, kind="stable")
        rows, values = rows[order], values[order]
        last = np.append(np.diff(rows) > 0, True)
        return rows[last], values[last]

    @property
    def points(self) -> int:
        return sum(len(rows) for pieces in self.cells.values() for rows, _ in pieces)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Where each history row lies; `name` is the key that the steps came from.

    `steps` int64, `epochs` and `times` (seconds since the Unix epoch) float64 with NaN where unknown, all of shape (rows,).
    """

    steps: Ints
    epochs: Floats
    times: Floats
    name: str
    step_is: str


def number(value: object) -> float | None:
    """A decoded JSON value as a float, None where it is no number; booleans are no numbers, the words for NaN and infinities are."""
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def decode(text: str) -> object:
    """Decode one value_json; a text that is no JSON, or nested beyond reason, comes back as None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def leaves(name: str, value: object, depth: int = 0) -> Iterator[tuple[str, object]]:
    """Flatten nested dictionaries with dots, as WandB's own charts name them; a media object (with a `_type`) is a leaf without value."""
    if not isinstance(value, dict):
        yield name, value
    elif "_type" in value or depth > _DEPTH:
        yield name, None
    else:
        for key, inner in value.items():
            yield from leaves(f"{name}.{key}", inner, depth + 1)


def from_rows(rows: Iterable[Mapping[str, Any]], columns: Columns | None = None, numbers: Iterable[int] | None = None) -> Columns:
    """Build columns from decoded rows; `numbers` gives their row numbers where they are not 0, 1, 2, ..."""
    columns = Columns() if columns is None else columns
    cells: dict[str, tuple[list[int], list[float]]] = {}
    counter = iter(range(1 << 62)) if numbers is None else iter(numbers)
    for row in rows:
        index = next(counter)
        columns.rows = max(columns.rows, index + 1)
        for key, raw in row.items():
            for name, value in leaves(str(key), raw):
                x = number(value)
                if x is None:
                    columns.left_out[name] += 1
                else:
                    where, values = cells.setdefault(name, ([], []))
                    where.append(index)
                    values.append(x)
    for name, (where, values) in cells.items():
        columns.add(name, where, values)
    return columns


def last_values(summary: Mapping[str, Any]) -> Columns:
    """A run's summary as a history of one row: the last value of every key, which is all that is left of a run without its history."""
    return from_rows([{key: value for key, value in summary.items() if key != "_wandb"}] if summary else [])


def axis(columns: Columns, started: float | None = None) -> Axis:
    """Place the rows: on `train/global_step` or `trainer/global_step`, else on WandB's own `_step`.

    `_step` counts log calls unless the program gave `step=` itself, which shows in gaps (`step_is` is then step, else call). A row without
    the global step takes that of the row before it, as WandB's step_sync does, and rows before the first one take the first.
    Times are `_timestamp`, else `started` + `_runtime`.
    """
    count = columns.rows
    times = _spread(columns, "_timestamp", count)
    if started is not None:
        times = np.where(np.isfinite(times), times, started + _spread(columns, "_runtime", count))
    epochs = next((_spread(columns, key, count) for key in EPOCH_KEYS if key in columns.cells), np.full(count, np.nan))
    for key in STEP_KEYS:
        if key in columns.cells:
            logged = _whole(_spread(columns, key, count))
            if np.isfinite(logged).any():
                return Axis(_filled(logged), epochs, times, key, "step")
    calls = _whole(_spread(columns, "_step", count))
    if not np.isfinite(calls).any():
        return Axis(np.arange(count, dtype=np.int64), epochs, times, "", "call")
    steps = _filled(calls)
    return Axis(steps, epochs, times, "_step", "step" if bool((np.diff(steps) > 1).any()) else "call")


def series(columns: Columns, place: Axis) -> tuple[Series, ...]:
    """One Series a key in order of first appearance, without WandB's own keys and the one that gave the steps."""
    found = []
    for name in columns.cells:
        if name in _OWN_KEYS or name == place.name:
            continue
        rows, values = columns.column(name)
        found.append(Series(name, place.steps[rows], values, place.epochs[rows], place.times[rows]))
    return tuple(found)


def _spread(columns: Columns, name: str, count: int) -> Floats:
    values = np.full(count, np.nan)
    if name in columns.cells:
        rows, known = columns.column(name)
        values[rows] = known
    return values


def _whole(values: Floats) -> Floats:
    """Whole steps; what no int64 can hold is NaN."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) < 2**62, np.floor(values), np.nan)


def _filled(values: Floats) -> Ints:
    """Forward fill, then the first known value for what lies before it. At least one value is finite."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    filled: Ints = values[np.where(last < 0, int(np.argmax(known)), last)].astype(np.int64)
    return filled
