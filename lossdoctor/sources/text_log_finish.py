"""What one pass over a text log has collected, as logs: one a training, its rows placed, its end told."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.model import Fault, LogEvent, Loss, Scalar
from lossdoctor.run.candidates import is_of_evaluation
from lossdoctor.run.log import Log
from lossdoctor.sources import text_log_loose as loose
from lossdoctor.sources.settings import keep
from lossdoctor.sources.text_log_reader import Reader, of_training
from lossdoctor.sources.text_log_trainer import Plan, place
from lossdoctor.sources.trainings import beside, main_series, named, rate_of, starts, within


def logs(reader: Reader, name: str) -> list[Log]:
    """One Log a training."""
    notes, step_is = [], "step"
    reader.end()
    reader.blocks.end()
    reader.add_blocks()
    _add_tables(reader)
    places = _add_keras(reader)
    by_batch = bool(places)
    if not reader.rows.holds(of_training):
        for at, values in enumerate(reader.lists.rows(), 1):
            reader.rows.add(values, at, float(at))
            step_is = "epoch"
    if told := _add_loose(reader):
        notes.append(told)
        step_is = "call"
    elif reader.rows.points and not by_batch and reader.clock.by_epoch and (reader.clock.header is not None or reader.tables.by_epoch):
        step_is = "epoch"
        if (every := reader.rows.crowded(of_training)) is not None and not reader.rows.printed_often(every):
            reader.rows.count_rows(every)
            step_is = "call"
            notes.append(f"the log tells no step, and many rows an epoch: those with {every} are counted from 1")
    _name_scores(reader)
    reader.rows.without_stale(is_of_evaluation, of_training)
    if reader.trainer:
        placed = place(reader.trainer, Plan(reader.planned_steps, reader.planned_epochs, reader.bar.step, reader.bar.total))
        if not reader.rows.points:
            step_is = placed.step_is
        for row, at in zip(reader.trainer, placed.steps, strict=True):
            reader.rows.line = row.line
            reader.rows.add(row.values, at, row.epoch, row.time)
        notes.append(placed.note)
        if reader.clock.step is None:
            places = [(row.line, at) for row, at in zip(reader.trainer, placed.steps, strict=True)]
    for at, scale in reader.scales:
        reader.rows.add({"loss_scale": scale}, at)
    events = _placed_events(reader, places, step_is)
    if not reader.rows.points and not events:
        raise Unreadable(f"{reader.path.name}: no line holds a metric with its step, and none a message that is known")
    drawn = reader.bar.total if reader.trainer or not reader.rows.points else None
    settings = keep(reader.settings, reader.path.name)
    said = {one.name: one.value for one in settings}
    log = Log(
        kind="text",
        path=reader.path,
        name=name,
        events=events,
        faults=tuple(_faults(reader)),
        planned_steps=reader.planned_steps or reader.clock.plan() or drawn or _amount(said.get("max_steps") if step_is == "step" else None),
        planned_epochs=_plan_of_epochs(reader) or _amount(said.get("num_train_epochs")),
        reached_step=_reached(reader, step_is),
        started=reader.rows.started,
        settings=settings,
        step_is=step_is,
        framework="transformers" if reader.trainer else "",
        notes=tuple(notes),
    )
    return _trainings(reader, log)


def _name_scores(reader: Reader) -> None:
    """CatBoost prints `learn`, `test` and the `best` of test, of a loss or of a score: where a higher one is better, they are no losses."""
    test, best = reader.rows.values_of("test loss"), reader.rows.values_of("best")
    if len(test) and len(test) == len(best) and (best >= test).all() and (best > test).any():
        reader.rows.rename({"train loss": "train/score", "test loss": "eval/score"})


def _amount(value: Scalar) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 1 else None


def _plan_of_epochs(reader: Reader) -> float | None:
    epochs = reader.clock.epochs or reader.tables.epochs
    if reader.planned_epochs or not epochs:
        return reader.planned_epochs
    return float(max(epochs, reader.clock.header or 0))  # `Epoch 0/11` to `Epoch 11/11` are twelve


def _trainings(reader: Reader, log: Log) -> list[Log]:
    """The log with its rows, as one Log a training."""
    series = reader.rows.series()
    main, rate = main_series(series), rate_of(series)
    if main is None:
        return [_ended(reader, replace(log, series=series), np.empty(0, dtype=np.int64), 0, None)]
    rows, lines_ = reader.rows.rows_of(main.name), reader.rows.lines()
    order = np.argsort(lines_[rows], kind="stable")
    told = lines_[rows][order]
    if not bool((np.diff(rows) > 0).all()) or not np.array_equal(order, np.arange(len(rows))):
        return [_ended(reader, replace(log, series=series), np.sort(told), 0, None)]
    rates = beside(main, rate, rows, reader.rows.rows_of(rate.name) if rate else rows)
    first = starts(main.steps, main.values, main.epochs, rates)
    if not first:
        return [_ended(reader, replace(log, series=series), told, 0, None)]
    edges = [0, *(int(told[row]) for row in first), None]
    logs = []
    for number, (begin, end) in enumerate(pairwise(edges), 1):
        own = (lines_ >= (begin or 0)) & (True if end is None else lines_ < end)
        part = replace(log, series=reader.rows.series(own))
        logs.append(_ended(reader, named(part, number, len(edges) - 1), told, begin or 0, end))
    return logs


def _ended(reader: Reader, log: Log, told: npt.NDArray[np.int64], begin: int, end: int | None) -> Log:
    """How the training between two lines ended: `told` are the lines of its losses."""

    def inside(line: float) -> bool:
        return begin <= line and (end is None or line < end)

    last = max((int(line) for line in told if inside(line)), default=begin)
    events = log.events if begin == 0 and end is None else tuple(within(log.events, begin, last, sys.maxsize if end is None else end))
    if end is None:
        finished, early = reader.closed or reader.ending.finished, reader.ending.early_stopped
    else:
        said = {kind for line, kind in reader.ends if inside(line) and line > last}
        finished, early = bool(said), "early" in said
    return replace(log, events=events, finished=True if finished or early else None, early_stopped=early)


def _reached(reader: Reader, step_is: str) -> int | None:
    """The last step of any row, or where the Trainer's bar stopped after it."""
    places = [reader.rows.reached]
    if step_is == "step" and (reader.trainer or not reader.rows.points):
        places.append(reader.bar.step)
    return max((place for place in places if place is not None), default=None)


def _placed_events(reader: Reader, places: list[tuple[int, int]], step_is: str) -> tuple[LogEvent, ...]:
    """The events, those among rows that were placed at the end (line, step) at the step of the row before them or where the bar stood,
    whichever is later."""
    if not places:
        return reader.events.found()
    lines_, steps = zip(*places, strict=True)

    def at(line: float) -> int | None:
        index = bisect_right(lines_, line) - 1
        return steps[index] if index >= 0 else None

    placed = []
    for event in reader.events.found():
        row = at(int(event.where.rpartition(":")[2])) if event.kind != "more-events" else None
        bar = event.step if step_is == "step" else None
        last = at(event.numbers["last_line"]) if "last_line" in event.numbers else None
        numbers = {**event.numbers, **({} if last is None else {"last_step": float(last)})}
        placed.append(replace(event, step=max((place for place in (row, bar) if place is not None), default=None), numbers=numbers))
    return tuple(placed)


def _add_loose(reader: Reader) -> str:
    """Place the lines without a counter; the note to give where rows had to be counted."""
    reader.loose = loose.by_size(reader.loose)
    counted = bool(reader.trainer) or reader.rows.holds(of_training)
    placed = loose.placed(reader.loose, counted=counted)
    for one, at in placed or ():
        reader.rows.line = one.line
        reader.rows.add(one.values, at, math.nan if one.epoch is None else float(one.epoch), one.time)
    if placed is not None or len(reader.loose) < 2:
        return ""
    counts: dict[str, int] = {}
    for one in reader.loose:
        first = next(iter(one.values))
        counts[first] = counts.get(first, 0) + 1
        reader.rows.line = one.line
        reader.rows.add(one.values, max(counts.values()), math.nan if one.epoch is None else float(one.epoch), one.time)
    return "the log tells no step: rows with a loss are counted from 1"


def _add_tables(reader: Reader) -> None:
    reader.tables.flush()
    for values, at, epoch in reader.tables.take():
        reader.rows.add(values, at, epoch)


def _add_keras(reader: Reader) -> list[tuple[int, int]]:
    """Add the rows of Keras' bars; (line, step) of those that lie at batches."""
    found, by_epoch = reader.keras.rows()
    if found and by_epoch and reader.clock.header is None:
        reader.clock.header = int(found[-1][3])
    for line, values, at, epoch in found:
        reader.rows.line = line
        reader.rows.add(values, at, epoch)
    return [] if by_epoch else [(line, at) for line, _, at, _ in found]


def _faults(reader: Reader) -> list[Fault]:
    found = []
    if reader.unended:
        detail = "the log ends inside a line: its last value may be cut short"
        found.append(Fault("unterminated-line", f"{reader.path.name}:{reader.unended}", detail, Loss.BENIGN))
    if cut := reader.cut - bool(reader.unended):
        found.append(Fault("long-line", reader.path.name, f"{cut} lines were cut at {reader.limits.text_line_bytes} characters"))
    return found
