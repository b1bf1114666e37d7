"""Where a run stood at a step: the end of its warmup, its epochs, its restarts, its batch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lossdoctor.run import Run, Signal

AS_NEW = 0.15  # of ln(vocabulary): the first loss of a model from scratch
ROUNDED = 0.02  # of an epoch's length: what epochs of two digits leave of it
SINGLE = float(np.finfo(np.float32).eps)
GPU_SIGNAL = re.compile(r"gpu/(\d+)/")


@lru_cache(maxsize=4)
def warmup_end(run: Run) -> int | None:
    """The step at which the learning rate first stops rising; None without a warmup, or where neither LR nor settings tell."""
    rate = run.signal("train/learning_rate")
    rows = rate.in_order if rate is not None else None
    if rows is None or len(rows) < 3:
        return _planned_warmup(run)
    moves = np.diff(rows.values)
    small = SINGLE * float(np.max(np.abs(rows.values)) or 1.0)
    falls = np.flatnonzero(moves < -small)
    peak = int(np.argmax(rows.values[: falls[0] + 1] if len(falls) else rows.values))
    top = rows.values[peak]
    first_top = int(np.argmax(rows.values >= top * (1 - SINGLE)))
    if first_top == 0 or not (moves[:first_top] > small).any():
        return _planned_warmup(run)
    if first_top == len(rows) - 1:  # still rising where the log ends
        return None
    return int(rows.steps[first_top])


def _planned_warmup(run: Run) -> int | None:
    steps = run.number("warmup_steps")
    planned = run.planned_steps or run.last_step
    if steps is not None and 0 < steps < 1:
        return round(steps * planned) or None
    if steps:
        return int(steps)
    share = run.number("warmup_ratio")
    return round(share * planned) or None if share is not None and 0 < share <= 1 else None


@lru_cache(maxsize=4)
def steps_per_epoch(run: Run) -> float | None:
    """Optimizer steps in one pass over the data, None where no epoch was logged.

    HF rounds epochs to two digits in old versions, so the plan is preferred where it agrees within 2 %.
    """
    logged = _logged_steps_per_epoch(run)
    plan = run.planned_steps / run.planned_epochs if run.planned_steps and run.planned_epochs else None
    if logged is None:
        return None
    return plan if plan is not None and abs(plan - logged) <= ROUNDED * logged else logged


def _logged_steps_per_epoch(run: Run) -> float | None:
    for name in ("train/loss", "eval/loss", "train/epoch"):
        signal = run.signal(name)
        if signal is None:
            continue
        epochs, steps = signal.values if name == "train/epoch" else signal.epochs, signal.steps
        for tail in (slice(-64, None), slice(None)):
            good = np.isfinite(epochs[tail]) & (epochs[tail] > 0) & (steps[tail] > 0)
            if good.any():
                return float(np.median(steps[tail][good][-8:] / epochs[tail][good][-8:]))
    return None


@lru_cache(maxsize=4)
def resume_steps(run: Run) -> tuple[int, ...]:
    """The first step of every segment after the first, in the training loss, else in the signal with the most rows."""
    main = run.signal("train/loss") or max(run.signals.values(), key=len, default=None)
    return tuple(main.steps[1:][np.diff(main.segments) != 0].tolist()) if main is not None else ()


def gpu_count(run: Run) -> int | None:
    """GPUs of the run: from the settings, else from the readings of the machine; None where nothing tells."""
    for name in ("world_size", "num_processes", "n_gpu", "_n_gpu"):
        value = run.number(name)
        if value is not None and value >= 1:
            return int(value)
    indexes = {match[1] for name, signal in run.signals.items() if len(signal) and (match := GPU_SIGNAL.match(name))}
    return len(indexes) or None


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples per optimizer step and which of its factors are unknown (taken as 1)."""

    per_device: int
    accumulation: int
    devices: int
    unknown: tuple[str, ...]

    @property
    def samples(self) -> int:
        return self.per_device * self.accumulation * self.devices


def batch(run: Run) -> Batch:
    """The factors of the batch. The state's `train_batch_size` is per process, so it stands in for the per-device batch."""
    unknown = []

    def factor(said_as: str, *names: str) -> int:
        for name in names:
            value = run.number(name)
            if value is not None and math.isfinite(value) and value >= 1:
                return int(value)
        unknown.append(said_as)
        return 1

    per_device = factor("per_device_train_batch_size", "per_device_train_batch_size", "train_batch_size", "batch_size", "micro_batch_size")
    accumulation = factor("gradient_accumulation_steps", "gradient_accumulation_steps")
    devices = factor("world_size", "world_size", "num_processes", "n_gpu", "_n_gpu")
    return Batch(per_device, accumulation, devices, tuple(unknown))


def row_before(signal: Signal, step: int) -> int | None:
    """The step of the last finite row before `step`."""
    earlier = signal.finite.steps[signal.finite.steps < step]
    return int(earlier.max()) if len(earlier) else None


def row_interval(signal: Signal) -> float:
    """Median distance in steps between rows, 1 where it cannot be told."""
    moves: npt.NDArray[np.int64] = np.diff(signal.steps)
    forward = moves[moves > 0]
    return float(np.median(forward)) if len(forward) else 1.0


def untrained(run: Run) -> bool:
    """Whether the first losses lie within 15 % of ln(vocabulary), as those of a model from scratch do."""
    loss, vocabulary = run.signal("train/loss"), run.number("vocab_size")
    first = loss.in_order.values[:1] if loss is not None else np.empty(0)
    return vocabulary is not None and vocabulary > 1 and len(first) == 1 and abs(float(first[0]) / math.log(vocabulary) - 1) <= AS_NEW
