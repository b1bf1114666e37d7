"""Several trainings that wrote into one log one after the other, told from a training that was resumed and from epochs that count anew.

A training of its own begins where the steps fall back to where the log began and the loss (or the learning rate) is back at its first
level, or with its very first step and a loss worse than just before. Where the epochs go on, or the loss stays at the level that was
reached, it is the same training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lossdoctor.model import LogEvent
from lossdoctor.run.log import Floats, Ints, Log, Series
from lossdoctor.run.names import canonical

_EDGE = 3  # rows that tell the level at either end of a training: fewer are one outlier away from the opposite
_LEAST = 2
_COUNTED = ("count", "last_line", "last_step")


def starts(steps: Ints, values: Floats, epochs: Floats, rates: Floats) -> list[int]:
    """The rows, the first one excluded, with which a new training begins; all arrays of shape (rows,), NaN where unknown.

    Where most restarts are none of a new training, the others are not believed either; where most are, so is each that counts its epochs
    anew: the folds of a cross-validation, one of which may have failed.
    """
    if len(steps) < 2 * _LEAST:
        return []
    back = _falls(steps, epochs)
    if not back:
        return []
    found, first = [], 0
    for at, after in zip(back, [*back[1:], len(steps)], strict=True):
        if _begins_anew(steps, values, epochs, rates, first=first, at=at, after=after):
            found.append(at)
            first = at
    return [at for at in back if at in found or epochs[at] == epochs[0]] if 2 * len(found) >= len(back) else []


def _falls(steps: Ints, epochs: Floats) -> list[int]:
    """Where the count falls back to where it began: of the steps, else, where rows were only counted, of the epochs."""
    for count in (steps.astype(np.float64), epochs):
        moves = np.diff(count)
        forward = moves[moves > 0]
        if not len(forward) or not np.isfinite(count).all():
            continue
        near = count[0] + float(np.median(forward))
        back = [int(at) + 1 for at in np.flatnonzero(moves < 0) if count[at + 1] <= near]
        if back:
            return back
    return []


def _begins_anew(steps: Ints, values: Floats, epochs: Floats, rates: Floats, *, first: int, at: int, after: int) -> bool:
    if epochs[at] > epochs[at - 1]:
        return False
    epochs_again, steps_again = epochs[at] == epochs[0], steps[at] == steps[0] and not np.isfinite(epochs[at])
    new = values[at : at + 1] if epochs_again else values[at : min(after, at + _EDGE)]  # steps also count anew in every epoch
    if (epochs_again or steps_again) and float(new.min()) > float(values[max(first, at - _EDGE) : at].max()):
        return True
    return min(at - first, after - at) >= _LEAST and (_is_back(values, first, at, after) or _is_back(rates, first, at, after))


def _is_back(values: Floats, first: int, at: int, after: int) -> bool:
    """Whether the rows from `at` on are as those from `first` on, and not as those just before `at`: the level left and came back.

    Start and end must not overlap, else noise would decide.
    """
    count = min(_EDGE, at - first, after - at)
    if _is_back_by(values, first, at, count):
        return True
    # Few rows that all go one way are told apart by fewer: four in order are chance once in 24.
    moves = np.concatenate((np.diff(values[first:at]), np.diff(values[at:after])))
    ordered = min(at - first, after - at) > _EDGE and bool((moves < 0).all() or (moves > 0).all())
    return ordered and _is_back_by(values, first, at, _LEAST)


def _is_back_by(values: Floats, first: int, at: int, count: int) -> bool:
    start, end, new = values[first : first + count], values[at - count : at], values[at : at + count]
    if not (np.isfinite(start).all() and np.isfinite(end).all() and np.isfinite(new).all()):
        return False
    apart = start.min() > end.max() or start.max() < end.min()
    level = float(np.median(new))
    return bool(apart) and abs(level - float(np.median(start))) < abs(level - float(np.median(end)))


def main_series(series: Sequence[Series]) -> Series | None:
    """The series whose order tells trainings apart: the training loss, else the longest one that is no schedule."""
    ranked = [(canonical(one.name)[1], index, one) for index, one in enumerate(series) if canonical(one.name)[0] == "train/loss"]
    if ranked:
        return min(ranked, key=lambda entry: entry[:2])[2]
    others = [one for one in series if not canonical(one.name)[0].startswith(("train/learning_rate", "train/epoch", "perf/", "eval/"))]
    return max(others, key=lambda one: len(one.steps), default=None)


def beside(one: Series, other: Series | None, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Floats:
    """The values of another series at the rows of this one (NaN where it has none), given the row numbers of both."""
    found = np.full(len(one.steps), np.nan)
    if other is None:
        return found
    shared, mine, theirs = np.intersect1d(rows, others, return_indices=True)
    if len(shared):
        found[mine] = other.values[theirs]
    return found


def rate_of(series: Sequence[Series]) -> Series | None:
    """The series of the learning rate."""
    return next((one for one in series if canonical(one.name)[0] == "train/learning_rate"), None)


def named(log: Log, number: int, count: int) -> Log:
    """The log of one of several trainings: said in its name and in a note; rows that were only counted are counted from 1 again."""
    series = log.series
    if log.step_is == "call" and number > 1 and series:
        before = min(int(one.steps.min()) for one in series) - 1
        series = tuple(replace(one, steps=one.steps - before) for one in series)
    reached = max((int(one.steps.max()) for one in series), default=log.reached_step)
    note = f"the log holds {count} trainings one after the other: this is number {number}"
    extra = {**log.extra, "training": f"training {number} of {count}"}
    return replace(
        log, name=f"{log.name} (training {number} of {count})", series=series, reached_step=reached, notes=(*log.notes, note), extra=extra
    )


def _line(event: LogEvent) -> int:
    line = event.where.rpartition(":")[2]
    return int(line) if line.isdigit() else 0


def within(events: Iterable[LogEvent], begin: int, last: int, after: int) -> Iterator[LogEvent]:
    """The events from line `begin` on and before `after`, as seen from the training whose last row is at line `last`.

    Of like messages the first and the last line are known: they may belong to two trainings.
    """
    for event in events:
        first = _line(event)
        final = int(event.numbers.get("last_line", first))
        if not (begin <= first < after or begin <= final < after):
            continue
        seen = final if begin <= final < after else first
        numbers = {
            name: number
            for name, number in event.numbers.items()
            if name not in ("went_on", *(_COUNTED if final != seen or first < begin else ()))
        }
        where = event.where if begin <= first else f"{event.where.rpartition(':')[0]}:{final}"
        step = event.step if begin <= first else event.numbers.get("last_step")
        yield replace(
            event, where=where, step=None if step is None else int(step), numbers={**numbers, "went_on": 1.0} if seen < last else numbers
        )
