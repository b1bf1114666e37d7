"""Entries of a log_history -> one series a key. Entries with the same keys become columns together; steps and epochs are shared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.run.log import Floats, Ints, Series

Entry = dict[str, Any]
FARTHEST_STEP = 2**62
_NAMED = 50
_AXES = frozenset(("step", "epoch"))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Rows of one key out of one batch, in order: places in the batch int64, steps int64, values and epochs float64, all of shape (n,)."""

    order: Ints
    steps: Ints
    values: Floats
    epochs: Floats


@dataclass(slots=True)
class Columns:
    """What the batches of entries have given so far. `name` is the file's, for the message where a limit is passed."""

    name: str
    limits: Limits = LIMITS
    entries: int = 0
    odd: int = 0
    points: int = 0
    _parts: dict[str, list[_Part]] = field(default_factory=dict)
    _left_out: dict[str, int] = field(default_factory=dict)

    def add(self, batch: Sequence[Any]) -> None:
        """Take entries in; raises `Unreadable` where there are more points or names than the limits allow."""
        self.entries += len(batch)
        found: dict[str, list[_Part]] = {}
        dicts = batch if set(map(type, batch)) <= {dict} else [entry for entry in batch if isinstance(entry, dict)]
        self.odd += len(batch) - len(dicts)
        for keys, order, entries in _alike(dicts):
            if "step" in keys:
                self._group(keys, order, entries, found)
            else:
                self.odd += len(entries)
        self._keep(found)

    def add_columns(self, columns: Mapping[str, Floats]) -> None:
        """Take entries in as float64 columns of shape (n,) by key, one of them the step; NaN is a key that an entry does not have."""
        count = len(columns["step"])
        self.entries += count
        good, steps = _places(columns["step"])
        self.odd += int(np.isnan(columns["step"]).sum())
        epochs = columns.get("epoch", np.full(count, np.nan))
        rows: dict[bytes, tuple[Ints, Ints, Floats]] = {}
        found: dict[str, list[_Part]] = {}
        for key, values in columns.items():
            if key in _AXES:
                continue
            logged = ~np.isnan(values)
            kept = logged & good
            lost = int(np.count_nonzero(logged & ~good & ~np.isnan(columns["step"])))
            if lost:
                self._left_out[key] = self._left_out.get(key, 0) + lost
            # Keys of the same entries share their steps and epochs, in memory as well.
            which = kept.tobytes()
            if which not in rows:
                order = np.flatnonzero(kept)
                rows[which] = order, steps[order], epochs[order]
            order, places, at = rows[which]
            if len(order):
                found[key] = [_Part(order, places, values[order], at)]
        self._keep(found)

    def _keep(self, found: Mapping[str, list[_Part]]) -> None:
        for key, parts in found.items():
            part = parts[0] if len(parts) == 1 else _in_order(parts)
            self.points += len(part.steps)
            self._parts.setdefault(key, []).append(part)
        if self.points > self.limits.points:
            raise Unreadable(f"{self.name}: more than {self.limits.points} points, over the limit")
        if len(self._parts) > self.limits.tags:
            raise Unreadable(f"{self.name}: more than {self.limits.tags} names, over the limit")

    def _group(self, keys: tuple[str, ...], order: Ints, entries: Sequence[Entry], found: dict[str, list[_Part]]) -> None:
        """The columns of entries with the same keys."""
        columns = _columns(keys, entries)
        places, good = columns["step"]
        usable, steps = _places(places)
        good = good & usable
        epochs = columns["epoch"][0] if "epoch" in keys else np.full(len(entries), np.nan)
        for key, (values, numeric) in columns.items():
            if key in _AXES:
                continue
            kept = good & numeric
            if kept.all():
                found.setdefault(key, []).append(_Part(order, steps, values, epochs))
                continue
            self._left_out[key] = self._left_out.get(key, 0) + int((~kept).sum())
            if kept.any():
                found.setdefault(key, []).append(_Part(order[kept], steps[kept], values[kept], epochs[kept]))

    def series(self) -> tuple[Series, ...]:
        """One series a key, in logging order."""
        shared: dict[tuple[int, ...], tuple[Ints, Floats, Floats]] = {}
        found = []
        for key, parts in self._parts.items():
            same = tuple(id(part.steps) for part in parts)
            if same not in shared:
                steps = np.concatenate([part.steps for part in parts])
                shared[same] = (steps, np.concatenate([part.epochs for part in parts]), np.full(len(steps), np.nan))
            steps, epochs, times = shared[same]
            found.append(Series(key[: self.limits.name_chars], steps, np.concatenate([part.values for part in parts]), epochs, times))
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        """What was left out, by name."""
        what = "are not numbers or have no usable step"
        said = [f"{count} values of {key[: self.limits.name_chars]} {what}" for key, count in list(self._left_out.items())[:_NAMED]]
        if len(self._left_out) > _NAMED:
            said.append(f"values of {len(self._left_out) - _NAMED} more names {what}")
        if self.odd:
            said.append(f"{self.odd} log entries without a step were left out")
        return tuple(said)


def _places(steps: Floats) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Which steps are places on the axis (whole, within 62 bits), and the steps as int64, 0 where not."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(steps) & (np.abs(steps) < FARTHEST_STEP) & (steps == np.floor(steps))
    return good, np.where(good, steps, 0).astype(np.int64)


def _alike(entries: Sequence[Entry]) -> Iterator[tuple[tuple[str, ...], Ints, Sequence[Entry]]]:
    """The entries by their keys, in order: (keys, their places int64 of shape (n,), the n entries)."""
    if not entries:
        return
    keys = list(map(tuple, entries))
    kinds = {kind: code for code, kind in enumerate(dict.fromkeys(keys))}
    if len(kinds) == 1:
        yield keys[0], np.arange(len(entries), dtype=np.int64), entries
        return
    codes = np.fromiter(map(kinds.__getitem__, keys), np.int64, len(keys))
    ranked = np.argsort(codes, kind="stable")
    for kind, places in zip(kinds, np.split(ranked, np.flatnonzero(np.diff(codes[ranked])) + 1), strict=True):
        yield kind, places, list(map(entries.__getitem__, places.tolist()))


def _in_order(parts: Sequence[_Part]) -> _Part:
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("order", "steps", "values", "epochs")]
    rank = np.argsort(columns[0], kind="stable")
    return _Part(*(column[rank] for column in columns))


def _columns(keys: tuple[str, ...], entries: Sequence[Entry]) -> dict[str, tuple[Floats, npt.NDArray[np.bool_]]]:
    """Entries with the same keys as columns of float64, each with a mask of what is a number, all of shape (n,)."""

    def cells() -> Iterator[Any]:
        return chain.from_iterable(map(dict.values, entries))

    if set(map(type, cells())) <= {float, int}:
        try:
            table = np.fromiter(cells(), np.float64, len(entries) * len(keys)).reshape(len(entries), len(keys)).T.copy()
        except OverflowError:  # an integer beyond every float
            pass
        else:
            numeric = np.ones(len(entries), dtype=bool)
            return {key: (table[place], numeric) for place, key in enumerate(keys)}
    return {key: _column(list(map(itemgetter(key), entries))) for key in keys}


def _column(raw: list[Any]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    if set(map(type, raw)) <= {float, int, str}:
        try:
            return np.fromiter(map(float, raw), np.float64, len(raw)), np.ones(len(raw), dtype=bool)
        except (OverflowError, ValueError):
            pass
    numbers = [number(value) for value in raw]
    known = np.fromiter((n is not None for n in numbers), bool, len(raw))
    return np.fromiter((math.nan if n is None else n for n in numbers), np.float64, len(raw)), known


def number(value: Any) -> float | None:
    """A logged value as a float; booleans, containers and words are no numbers, '12.5%' and '1e-4' are."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value.strip().removesuffix("%")) if isinstance(value, str) else float(value)
    except OverflowError:
        return math.inf if isinstance(value, int) and value > 0 else -math.inf
    except ValueError:
        return None


def whole(value: Any) -> int | None:
    """A count: a number of at least 0 that fits into 62 bits."""
    known = number(value)
    return int(known) if known is not None and math.isfinite(known) and 0 <= known < FARTHEST_STEP else None
