"""Where a run stood: its warmup, its epochs, whether its loss is spoiled."""

from __future__ import annotations

from functools import lru_cache
from math import inf

import numpy as np

from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, named_curve

BESIDE = 3  # rows around a break of the loss within which a move of the learning rate belongs to it
LASTS = 12  # rows of a new schedule


def beyond(found: float, limit: float) -> float:
    """How many times as large as its limit a number is: the margin of an evidence. Without bound over a limit of 0."""
    return found / limit if limit else inf


def longest(flags: np.ndarray) -> tuple[int, int] | None:
    """First and last index of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    best = 2 * int(np.argmax(edges[1::2] - edges[::2])) if len(edges) else 0
    return (int(edges[best]), int(edges[best + 1]) - 1) if len(edges) else None


def after_start(curve: Curve) -> Curve:
    """The rows after the first eighth, in which caches fill, kernels are compiled and readings begin."""
    return Curve(curve.steps[curve.width :], curve.values[curve.width :])


def logging_interval(run: Run) -> float:
    """The usual number of steps between two rows of the training loss, else of what was logged most; 0 where it cannot be told."""
    rows = run.signal("train/loss") or max(run.signals.values(), key=len, default=None)
    steps = np.unique(rows.steps) if rows is not None else ()
    return float(np.median(np.diff(steps))) if len(steps) > 1 else 0.0


def spoiled(run: Run) -> bool:
    """Whether the training loss holds NaN or Inf: then its shape tells nothing beyond that."""
    loss = run.signal("train/loss")
    return loss is not None and not bool(np.isfinite(loss.values).all())


def steps_per_epoch(run: Run) -> float | None:
    """Steps of one pass over the data, from the logged epochs; None where they are unknown."""
    loss = run.signal("train/loss")
    if loss is None or run.step_is == "epoch":
        return None
    known = np.isfinite(loss.epochs) & (loss.epochs > 0)
    steps, epochs = loss.steps[known], loss.epochs[known]
    if not len(steps):
        return None
    turns = np.flatnonzero(np.diff(epochs) > 0) + 1
    if len(turns) >= 2 and 2 * len(turns) < len(epochs) and bool((epochs == np.floor(epochs)).all()):  # the number of the epoch alone
        return float((steps[turns[-1]] - steps[turns[0]]) / (epochs[turns[-1]] - epochs[turns[0]]))
    # A log that begins in the middle may count its own rows.
    passed = epochs[-1] - epochs[0] if not steps[0] or epochs[0] >= 2 * steps[0] else 0.0
    return float((steps[-1] - steps[0]) / passed) if passed >= 1 else float(np.median(steps / epochs))


@lru_cache(maxsize=32)
def warmup_end(run: Run) -> int:
    """The last step of warmup: where the learning rate first reaches its peak, at most half of the run; without a learning rate
    (or with one that starts at its peak) the first 5 %, at most 100 steps."""
    rate = named_curve(run, "train/learning_rate")
    first, last = run.first_step, run.last_step
    default = first + min(round((last - first) / 20), 100)
    if len(rate) < 4 or rate.values.max() <= 0:
        return default
    highest = float(rate.values.max())
    peak = int(np.argmax(np.isclose(rate.values, highest)))
    # A cyclic schedule reaches its highest late; its first way up is its warmup.
    falls = np.flatnonzero((np.diff(rate.values) < 0) & (rate.values[:-1] >= highest / 3))
    peak = min(peak, int(falls[0])) if len(falls) else peak
    if peak == 0:
        return default
    return int(min(rate.steps[peak], first + 0.5 * (last - first)))


def rate_moves(run: Run, curve: Curve, row: int, change: float, *, up: bool) -> bool:
    """Whether the learning rate jumps by the factor `change` between two rows around the shift, only upwards where the loss goes up; its
    last twentieth is only decay."""
    rate = named_curve(run, "train/learning_rate")
    if len(rate) < 4 or rate.values.max() <= 0:
        return False
    near = rate.between(int(curve.steps[max(0, row - BESIDE - 1)]), int(curve.steps[min(len(curve) - 1, row + BESIDE)])).values
    floor = float(rate.values.max()) / 20
    ratios = np.maximum(near[1:], floor) / np.maximum(near[:-1], floor)
    return bool((ratios >= change).any() or (not up and (1 / ratios >= change).any()))


def rate_jumps(rate: Curve, rise: float) -> np.ndarray:
    """Rows at which the rate turns up by `rise` of its highest so far, after it had fallen by as much from there; within the
    first rows a rate may be a placeholder."""
    values, found = rate.values, []
    if not len(rate):
        return np.empty(0, dtype=np.intp)
    highest = lowest = float(values[0])
    low_at = 0
    for i, value in enumerate(map(float, values)):
        if value < lowest:
            lowest, low_at = value, i
        unit = rise * highest
        if unit > 0 and highest - lowest >= unit and value - lowest >= unit:
            if low_at >= BESIDE:
                found.append(low_at + 1)
            highest, lowest, low_at = value, value, i
        elif value > highest:
            highest, lowest, low_at = value, value, i
    return np.asarray(found, dtype=np.intp)


def lasting(rate: Curve, jumps: np.ndarray) -> np.ndarray:
    """The jumps of the rate after which it stays for LASTS rows, a sixth of a short run: a burst that is over sooner is no new schedule."""
    kept, values = max(BESIDE, min(LASTS, len(rate) // 6)), rate.values
    return np.array([j for j in jumps if np.median(values[j : j + kept]) >= (values[j - 1] + values[j]) / 2], dtype=np.intp)


def by_plan(rate: Curve, jumps: np.ndarray) -> bool:
    """At least three restarts to much the same peak, in equal distances or in ever longer ones: cyclic, or warm restarts, by plan."""
    if len(jumps) < 3:
        return False
    gaps = np.diff(rate.steps[jumps]).astype(float)
    tops = np.array([rate.values[a:b].max() for a, b in zip(jumps, [*jumps[1:], len(rate)], strict=True)])[:-1]
    even = bool(3 * np.ptp(gaps) <= np.median(gaps)) or bool((gaps[1:] >= gaps[:-1]).all())
    return even and bool(3 * np.ptp(tops) <= np.median(tops)) and not past_its_end(rate)


def past_its_end(rate: Curve) -> bool:
    """Whether a cosine to 0 runs on beyond its last step, back up the way it came: no scheduler does that by plan. A cosine lies below a
    seventh of its height for a quarter of the time, a cycle of straight lines for a seventh."""
    height = float(rate.values.max())
    smooth = 3 * float(np.diff(rate.values).max()) <= height and 100 * float(rate.values.min()) <= height
    return smooth and 5 * int((7 * rate.values < height).sum()) > len(rate)
