"""Rows that the HuggingFace Trainer prints as dicts, without a step: the step is told by what stands around them.

In order: the training progress bar, which is redrawn with the right count after each row; epoch x steps per epoch, where the closing row or
the Trainer's own lines give the number of steps; else the rows are counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_CLOSING = frozenset(
    ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos", "train_tokens_per_second")
)
_AGREE = 0.8
_ROUGH = 0.1


@dataclass(slots=True)
class TrainerRow:
    """One printed row; `bar` is where the training bar stood (None without one), epoch and time are NaN where unknown."""

    line: int
    values: Mapping[str, float]
    epoch: float
    time: float
    bar: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a log says of the length of the run: `Total optimization steps`, `Num Epochs`, and where the progress bar stopped."""

    steps: int | None = None
    epochs: float | None = None
    bar: int | None = None
    bar_total: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """The step of each row, what a step is, and how it was found."""

    steps: list[int]
    step_is: str
    note: str


def closed(values: Mapping[str, float]) -> Mapping[str, float] | None:
    """The row that the Trainer writes when training has ended, its names in `train/` as it logs them elsewhere; None for any other row."""
    if "train_runtime" not in values:
        return None
    return {f"train/{name}" if name in _CLOSING else name: value for name, value in values.items()}


def place(rows: Sequence[TrainerRow], plan: Plan) -> Placed:
    """Find the step of every row."""
    per_epoch = _bar_steps_per_epoch(rows, plan.bar_total)
    if per_epoch is not None:
        steps = [row.bar if row.bar is not None else _rounded(row.epoch, per_epoch) for row in rows]
        return Placed(_filled(steps), "step", "steps were read from the progress bar")
    per_epoch = _told_steps_per_epoch(rows, plan)
    if per_epoch is not None:
        steps = [_rounded(row.epoch, per_epoch) for row in rows]
        return Placed(_snapped(rows, _filled(steps)), "step", f"steps were computed from the epoch at {per_epoch:.6g} steps an epoch")
    count, counted, losses = 0, [], any("loss" in row.values for row in rows)
    for row in rows:
        count += "loss" in row.values or not losses
        counted.append(count)
    which = "rows with a training loss" if losses else "rows"
    return Placed(counted, "call", f"the log tells no step: {which} are counted from 1")


def _bar_steps_per_epoch(rows: Sequence[TrainerRow], total: int | None) -> float | None:
    """Steps an epoch by the progress bar, the usual ratio or its whole number in the bar's `total`; NaN where no epochs are logged, None
    where bar and epochs do not go together."""
    seen = [row for row in rows if row.bar is not None]
    if len(seen) < _AGREE * len(rows):
        return None
    pairs = [(row.bar or 0, row.epoch) for row in seen if row.epoch > 0 and row.bar]
    if not pairs:
        return math.nan
    usual = median(bar / epoch for bar, epoch in pairs)
    for ratio in (usual, total / max(1, round(total / usual)) if total else usual):
        # An epoch printed with two digits is off by up to half a hundredth.
        agree = sum(abs(bar - epoch * ratio) <= max(1.5, 0.02 * bar, 0.0051 * ratio) for bar, epoch in pairs)
        if agree >= _AGREE * len(pairs):
            return ratio
    return None


def _told_steps_per_epoch(rows: Sequence[TrainerRow], plan: Plan) -> float | None:
    """Steps an epoch by the plan, the closing row's rates, or where the bar stood after the last row."""
    total = plan.steps or plan.bar_total
    if total and plan.epochs:
        return total / plan.epochs
    last = max((row.epoch for row in rows if row.epoch > 0), default=0.0)
    if not last:
        return None
    for row in reversed(rows):
        steps = row.values.get("train/train_runtime", math.nan) * row.values.get("train/train_steps_per_second", math.nan)
        if math.isfinite(steps) and steps >= 1:
            # The printed rates have few digits; the bar has all of them.
            exact = total is not None and abs(steps - total) <= max(1.5, 0.02 * total)
            return _closing_steps_per_epoch(rows, float(total) if exact and total else float(round(steps)), last)
    if total and plan.bar:
        rough = plan.bar / last
        epochs = max(1, round(total / rough))
        return total / epochs if abs(total / epochs - rough) <= _ROUGH * rough else None
    return None


def _closing_steps_per_epoch(rows: Sequence[TrainerRow], steps: float, last: float) -> float:
    """Steps an epoch from the closing row. After a resume some versions of the Trainer count all steps there, some those since the resume:
    the one is right by which a logging interval is a whole number of steps."""
    training = [row.epoch for row in rows if "loss" in row.values and row.epoch > 0]
    moves = [after - before for before, after in pairwise(training) if after > before]
    if not moves:
        return steps / last
    interval = median(moves)
    start = training[0] - interval
    if start <= 0.5 * interval:
        return steps / last
    return min(steps / last, steps / (last - start), key=lambda per_epoch: abs(per_epoch * interval - max(1, round(per_epoch * interval))))


def _rounded(epoch: float, per_epoch: float) -> int | None:
    place = epoch * per_epoch
    return round(place) if math.isfinite(place) else None


def _filled(steps: Sequence[int | None]) -> list[int]:
    """Rows without a step lie where the one before them lies."""
    filled, last = [], 0
    for step in steps:
        last = last if step is None else step
        filled.append(last)
    return filled


def _snapped(rows: Sequence[TrainerRow], steps: list[int]) -> list[int]:
    """Round to the logging interval where every row of training lies near a multiple of it: epochs are printed with few digits."""
    training = [step for row, step in zip(rows, steps, strict=True) if "loss" in row.values]
    moves = [after - before for before, after in pairwise(training) if after > before]
    interval = round(median(moves)) if moves else 1
    if interval < 2 or any(abs(step - round(step / interval) * interval) > max(1, 0.2 * interval) for step in training):
        return steps
    return [round(step / interval) * interval if "loss" in row.values else step for row, step in zip(rows, steps, strict=True)]
